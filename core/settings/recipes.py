"""Settings with a name: what Home offers as quick and usual, and what a tutorial or a paper did.

A recipe is about one or two training strategies and changes only the fields that it names; everything else stays as the
person chose it. What Thaw does otherwise than the source is said in the recipe's help. No torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from core.errors import SettingsError
from core.settings.scenarios import USUAL_RACE
from core.settings.schema import AugmentStep, OptimSettings, RunSettings

Value = str | int | float | tuple[AugmentStep, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A row of the table."""

    name: str
    """In addresses and on the command line."""
    label: str
    help: str
    """What it is for, in a sentence or two, and what is not as in its source."""
    source: str
    """Where it comes from: a page or paper with its address, or which of our own measurements."""
    strategies: tuple[str, ...]
    """The scenarios that it is about. Where it is one, the recipe chooses it."""
    changes: Mapping[str, Value]
    """`part.field` -> value, as `differences` names them; None stands for the strategy's or network's own."""

    def apply(self, base: RunSettings) -> RunSettings:
        """The same settings but for the fields that the recipe names."""
        return changed(base, self.changes)

    def is_in(self, settings: RunSettings) -> bool:
        """Whether settings are already as the recipe would make them."""
        return self.apply(settings) == settings


def changed(base: RunSettings, changes: Mapping[str, Value]) -> RunSettings:
    """The same settings but for some fields, `part.field` -> value."""
    by_part: dict[str, dict[str, Value]] = {}
    for name, value in changes.items():
        part, spec = name.split(".")
        by_part.setdefault(part, {})[spec] = value
    made = {part: replace(getattr(base, part), **values) for part, values in by_part.items()}
    return replace(base, **made)


TUTORIAL: Final = "https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html"
_TUTORIAL_STEPS: Final[Mapping[str, Value]] = {
    "model.backbone": "resnet18",
    "augment.preset": "tutorial",
    "augment.steps": (),
    "optim.epochs": 25,
    "optim.batch_size": 4,
    "optim.optimizer": "sgd",
    "optim.lr": 1e-3,
    "optim.momentum": 0.9,
    "optim.weight_decay": 0.0,
    "optim.schedule": "step",
    "optim.train_size": None,
}
_PRETRAINED: Final[Mapping[str, Value]] = {"model.weights": "imagenet", "model.batchnorm": None}
_OURS: Final = OptimSettings()
_ROWS: Final = (
    Recipe(
        name="quick",
        label="Quick",
        help="Fine-tuning in two epochs; Frozen is as quick as it is. Fine-tuned ends a few points lower.",
        source="Our own measurement: benchmarks/quick.py",
        strategies=USUAL_RACE,
        changes={"optim.train_size": _OURS.train_size, "optim.epochs": 2},
    ),
    Recipe(
        name="usual",
        label="Usual",
        help="The network's own image size and five epochs: what all other measurements of Thaw are made with.",
        source="Our own measurements: benchmarks/race.py and benchmarks/recipes.py",
        strategies=USUAL_RACE,
        changes={"optim.train_size": _OURS.train_size, "optim.epochs": _OURS.epochs},
    ),
    Recipe(
        name="tutorial-finetuned",
        label="As in the PyTorch tutorial: fine-tuning",
        help="25 epochs in batches of 4, one small rate for all layers, BatchNorm updating. The tutorial drops the "
        "rate every 7 epochs, Thaw at half and three quarters; it reports the best epoch on the pictures that chose "
        "it, Thaw on others.",
        source=TUTORIAL,
        strategies=("finetuned",),
        changes={
            **_TUTORIAL_STEPS,
            **_PRETRAINED,
            "model.scenario": "finetuned",
            "model.batchnorm": "adapted",
            "optim.backbone_lr": 1e-3,
            "optim.stage_decay": 1.0,
        },
    ),
    Recipe(
        name="tutorial-frozen",
        label="As in the PyTorch tutorial: fixed feature extractor",
        help="Gradients off and training mode on, so BatchNorm's statistics move: what Thaw calls Frozen, BatchNorm "
        "updating. The drops of the rate and the best epoch differ as in the tutorial's fine-tuning.",
        source=TUTORIAL,
        strategies=("looks-frozen",),
        changes={**_TUTORIAL_STEPS, **_PRETRAINED, "model.scenario": "looks-frozen"},
    ),
    Recipe(
        name="alien-predator",
        label="Alien vs Predator: VGG-19, centre crop",
        help="A new last layer on VGG-19, which sees the middle of each picture, always the same. Pixels are "
        "normalised as VGG-19's weights expect, not by 0.5 as there, and the head is solved for, so there are no "
        "epochs. A large download, and slow on a processor.",
        source="Tutorials on the pictures of https://www.kaggle.com/datasets/pmigdal/alien-vs-predator-images",
        strategies=("frozen",),
        changes={
            **_PRETRAINED,
            "model.backbone": "vgg19",
            "model.scenario": "frozen",
            "augment.preset": "centre-crop",
            "augment.steps": (),
            "optim.train_size": None,
        },
    ),
    Recipe(
        name="layer-wise",
        label="Layer-wise learning rates, as in ULMFiT",
        help="Fine-tuning in which each earlier stage learns 2.6 times more slowly than the next. The factor was found "
        "on texts, with layers thawed one after the other; Thaw trains all stages from the start.",
        source="Howard and Ruder 2018, https://arxiv.org/abs/1801.06146",
        strategies=("finetuned",),
        changes={**_PRETRAINED, "model.scenario": "finetuned", "optim.stage_decay": round(1 / 2.6, 3)},
    ),
)
RECIPES: Final[dict[str, Recipe]] = {row.name: row for row in _ROWS}
"""By name, in the order in which they are shown."""


def get_recipe(name: str) -> Recipe:
    """The row called `name`.

    Raises:
        SettingsError: there is none; the message lists the names there are.
    """
    if name not in RECIPES:
        raise SettingsError(f"recipe is {name!r}; choose one of: {', '.join(RECIPES)}.")
    return RECIPES[name]
