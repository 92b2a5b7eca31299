"""The command line: `python -m core data|train|race|compare|classify|export|publish|import|runs|backbones`.

Each command is one call into `core`, the same that a page makes. `--json` prints the result as JSON and nothing else
on standard output; bad input ends with one clear line and exit code 2.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from threading import Thread
from typing import Any, NoReturn

from core import commands
from core.data.groups import GROUPS_HELP
from core.data.reading.layout import AUTO, LAYOUT_HELP
from core.errors import ThawError
from core.machine.process import imports_exempt_from_gc, keep_freed_memory, prepare_process
from core.runs.worker import preload
from core.settings.scenarios import SCENARIOS, USUAL, USUAL_RACE
from core.settings.schema import (
    AugmentSettings,
    DataSettings,
    ModelSettings,
    OptimSettings,
    RunSettings,
)
from core.storage import explained

Result = tuple[dict[str, Any], str]
"""A command's result as JSON values, and as text for a person."""
_TRAINING = ("train", "race")
_OPTIMISER_OPTIONS = tuple(fields(OptimSettings))
_MODEL_OPTIONS = ("last_stages", "weights", "batchnorm")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> Any:
        self.exit(2, f"{self.prog}: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options; the options of a run come from the settings' own table."""
    parser = _Parser(prog="python -m core", description="Thaw, an honest transfer-learning lab.")
    commands_ = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    def add(name: str, help: str, run: Callable[[argparse.Namespace], Result]) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands_.add_parser(name, help=help, description=help)
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(run=run)
        return command

    data = add(
        "data",
        "Bring a data set into the store and describe it.",
        lambda a: commands.data(a.data, _data(a), a.report, a.draw, a.layout, a.groups),
    )
    data.add_argument("data", metavar="D", help="builtin, a zip or a folder")
    _add_layout(data)
    data.add_argument("--report", default="text", choices=("text", "csv"), help="what to print: csv has a row per file")
    data.add_argument("--draw", metavar="FOLDER", help="write the built-in pictures there, as files")
    train = add(
        "train",
        "Train one scenario with one seed.",
        lambda a: commands.train(a.data, _settings(a), _say(a), a.layout, a.groups),
    )
    _add_run_options(train)
    train.add_argument("--scenario", default=USUAL, help=f"which part of the network trains: {', '.join(SCENARIOS)}")
    train.add_argument("--seed", type=int, default=0)
    race = add(
        "race",
        "Train several scenarios with several seeds on the same data, and say which is better.",
        lambda a: commands.race(
            a.data, _settings(a), _names(a.scenarios), _seeds(a.seeds), _say(a), a.layout, a.groups
        ),
    )
    _add_run_options(race)
    race.add_argument("--scenarios", default=",".join(USUAL_RACE), help="comma-separated")
    race.add_argument("--seeds", default="0", help="comma-separated")
    compare = add(
        "compare",
        "Compare two finished runs, or all the runs of a race.",
        lambda a: commands.compare(a.runs, a.band, a.report),
    )
    compare.add_argument("runs", metavar="RUN", nargs="+")
    compare.add_argument("--band", type=float, default=0.02, help="gap that makes no difference in practice (fraction)")
    compare.add_argument("--report", default="text", choices=("text", "markdown", "csv"), help="what to print")
    classify = add("classify", "Classify pictures.", _classify)
    classify.add_argument("run_id", metavar="RUN")
    classify.add_argument("pictures", metavar="PICTURE", nargs="+", help="picture files, or folders of them")
    classify.add_argument("--top", type=int, default=3, help="classes to name per picture")
    classify.add_argument(
        "--coverage", type=float, help="name as many classes as hold the true one so often (fraction)"
    )
    classify.add_argument("--explain", metavar="FOLDER", help="write a heat map of each picture there, as PNG")
    machine = add("machine", "How fast this machine is; measured once.", lambda a: commands.machine(a.again))
    machine.add_argument("--again", action="store_true", help="measure anew, when nothing else is running")
    export = add("export", "Pack a run as a zip to take home.", lambda a: commands.export(a.run_id, a.file, _say(a)))
    export.add_argument("run_id", metavar="RUN")
    export.add_argument("file", metavar="FILE.zip")
    publish = add(
        "publish",
        "Put a packed run on the Hugging Face Hub; the token comes from HF_TOKEN.",
        lambda a: commands.publish(a.run_id, a.repository, a.public, _say(a)),
    )
    publish.add_argument("run_id", metavar="RUN")
    publish.add_argument("repository", metavar="OWNER/NAME")
    publish.add_argument("--public", action="store_true", help="let everybody see it")
    import_ = add("import", "Bring a packed run back.", lambda a: commands.bring_back(a.file, _say(a)))
    import_.add_argument("file", metavar="FILE.zip")
    add("runs", "List the runs there are.", lambda a: commands.list_runs())
    add("backbones", "List the networks there are and where their weights are.", lambda a: commands.list_backbones())
    return parser


def _add_layout(command: argparse.ArgumentParser) -> None:
    command.add_argument("--layout", default=AUTO, metavar="HOW", help=LAYOUT_HELP)
    command.add_argument("--groups", metavar="HOW", help=GROUPS_HELP)


def _add_run_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, metavar="D", help="builtin, a zip or a folder")
    _add_layout(command)
    command.add_argument("--backbone", default=ModelSettings().backbone)
    command.add_argument("--augment", default=AugmentSettings().preset, help="a preset of augmentations")
    model = [spec for spec in fields(ModelSettings) if spec.name in _MODEL_OPTIONS]
    data = [spec for spec in fields(DataSettings) if spec.metadata]
    for spec in (*model, *_OPTIMISER_OPTIONS, *data):
        numeric = spec.metadata["low"] is not None
        whole = spec.metadata["whole"]
        command.add_argument(
            f"--{spec.name.replace('_', '-')}",
            type=int if numeric and whole else float if numeric else str,
            default=spec.default,
            help=f"{spec.metadata['help']} (default: {'by scenario' if spec.default is None else spec.default})",
        )


def _data(arguments: argparse.Namespace) -> DataSettings:
    options = vars(arguments)
    return DataSettings(**{s.name: options[s.name] for s in fields(DataSettings) if s.metadata and s.name in options})


def _settings(arguments: argparse.Namespace) -> RunSettings:
    """The settings of a run; `data.dataset` is filled in when the data is in the store."""
    options = vars(arguments)
    model = {name: options[name] for name in _MODEL_OPTIONS}
    scenario = options.get("scenario", USUAL)
    return RunSettings(
        data=_data(arguments),
        augment=AugmentSettings(preset=options["augment"]),
        model=ModelSettings(backbone=options["backbone"], scenario=scenario, **model),
        optim=OptimSettings(**{spec.name: options[spec.name] for spec in _OPTIMISER_OPTIONS}),
        seed=options.get("seed", 0),
    )


def _classify(arguments: argparse.Namespace) -> Result:
    with imports_exempt_from_gc():
        import core.inference.predictor  # noqa: F401

    options = arguments.top, arguments.coverage, arguments.explain
    return commands.classify(arguments.run_id, arguments.pictures, *options)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _seeds(text: str) -> list[int]:
    try:
        return [int(seed) for seed in _names(text)]
    except ValueError as error:
        raise ThawError(f"--seeds is {text!r}; give whole numbers, like 0,1,2.") from error


def _say(arguments: argparse.Namespace) -> commands.Say:
    """Progress goes to standard error, on one line where it is a terminal; nowhere with --json."""
    if arguments.json or not sys.stderr.isatty():
        return lambda text: None
    return lambda text: print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    prepare_process()
    keep_freed_memory()
    arguments = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold what this terminal cannot show
    if arguments.command in _TRAINING:  # beside reading the pictures, which is another process's work
        Thread(target=preload).start()
    try:
        with explained():
            values, text = arguments.run(arguments)
    except ThawError as error:
        print(f"python -m core {arguments.command}: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print(f"python -m core {arguments.command}: the machine ran out of memory.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"python -m core {arguments.command}: stopped.", file=sys.stderr)
        return 130
    _say(arguments)("")
    print(json.dumps(values, ensure_ascii=True, indent=1, allow_nan=False) if arguments.json else text)
    return 0


def run_and_leave(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process here and now: taking torch down piece by piece would be another second.

    Nor is there any waiting for what is still being imported when pictures turn out to be unusable.
    """
    try:
        code = main(argv)
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # whoever was reading has gone
        code = 1
    except OSError as error:  # what is printed goes to a file on a full disk, say
        print(f"python -m core: the result could not be printed ({error.strerror}).", file=sys.stderr)
        code = 2
    os._exit(code)


if __name__ == "__main__":
    run_and_leave()
