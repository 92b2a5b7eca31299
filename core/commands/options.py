"""The options of a run, read off the settings' own table, and the settings that a command line asks for."""

import argparse
from dataclasses import fields

from core.data.groups import GROUPS_HELP
from core.data.reading.layout import AUTO, LAYOUT_HELP
from core.errors import ThawError
from core.settings.recipes import RECIPES, get_recipe
from core.settings.scenarios import USUAL
from core.settings.schema import AugmentSettings, DataSettings, ModelSettings, OptimSettings, RunSettings

DATA_HELP = "builtin, digits, a zip, a folder or s3://bucket/prefix"
_MODEL_OPTIONS = [spec for spec in fields(ModelSettings) if spec.name in ("last_stages", "weights", "batchnorm")]
_OPTIMISER_OPTIONS = fields(OptimSettings)
_DATA_OPTIONS = [spec for spec in fields(DataSettings) if spec.metadata]


def add_reading(command: argparse.ArgumentParser) -> None:
    """How a data set is read and grouped."""
    command.add_argument("--layout", default=AUTO, metavar="HOW", help=LAYOUT_HELP)
    command.add_argument("--groups", metavar="HOW", help=GROUPS_HELP)


def add_run_options(command: argparse.ArgumentParser) -> None:
    """Everything that runs of a race have in common."""
    command.add_argument("--data", required=True, metavar="D", help=DATA_HELP)
    add_reading(command)
    command.add_argument("--backbone", default=ModelSettings().backbone)
    command.add_argument("--recipe", help=f"settings with a name, over the options beside it: {', '.join(RECIPES)}")
    command.add_argument("--augment", default=AugmentSettings().preset, help="a preset of augmentations")
    for spec in (*_MODEL_OPTIONS, *_OPTIMISER_OPTIONS, *_DATA_OPTIONS):
        numeric = spec.metadata["low"] is not None
        command.add_argument(
            f"--{spec.name.replace('_', '-')}",
            type=int if numeric and spec.metadata["whole"] else float if numeric else str,
            default=spec.default,
            help=f"{spec.metadata['help']} (default: {'by scenario' if spec.default is None else spec.default})",
        )


def run_settings(arguments: argparse.Namespace) -> RunSettings:
    """The settings of a run; `data.dataset` is filled in when the data is in the store."""
    options = vars(arguments)
    model = {spec.name: options[spec.name] for spec in _MODEL_OPTIONS}
    scenario = options.get("scenario", USUAL)
    settings = RunSettings(
        data=DataSettings(**{spec.name: options[spec.name] for spec in _DATA_OPTIONS}),
        augment=AugmentSettings(preset=options["augment"]),
        model=ModelSettings(backbone=options["backbone"], scenario=scenario, **model),
        optim=OptimSettings(**{spec.name: options[spec.name] for spec in _OPTIMISER_OPTIONS}),
        seed=options.get("seed", 0),
    )
    return settings if options["recipe"] is None else get_recipe(options["recipe"]).apply(settings)


def names_in(text: str) -> list[str]:
    """What stands between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def seeds_in(text: str) -> list[int]:
    """The same as whole numbers.

    Raises:
        ThawError: something else stands there.
    """
    try:
        return [int(seed) for seed in names_in(text)]
    except ValueError as error:
        raise ThawError(f"--seeds is {text!r}; give whole numbers, like 0,1,2.") from error
