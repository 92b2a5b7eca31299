"""Everything a user can choose, in one place: names, ranges, units, defaults, help. No torch, no Streamlit.

Pages build their widgets from the same table that the checks here use, so a range is written once.
"""

import sys
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

from core.errors import SettingsError
from core.settings.scenarios import SCENARIOS, USUAL, Scenario

Weights = Literal["imagenet", "none"]
BatchNorm = Literal["kept", "adapted"]
Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["one-cycle", "cosine", "step", "constant"]
ClassWeights = Literal["none", "balanced"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]
DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    whole: bool | None = None,
    choices: Collection[str] = (),
) -> Any:
    """A dataclass field that carries what a form and a check need to know about it.

    Args:
        whole: whether only whole numbers are allowed; None: as the default is.
    """
    whole = isinstance(default, int) if whole is None else whole
    known = {"help": help, "unit": unit, "low": low, "high": high, "whole": whole, "choices": choices}
    return field(default=default, metadata=known)


class Checked:
    """Checks every field against its own metadata when a settings object is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for spec in fields(self):  # type: ignore[arg-type]
            value = getattr(self, spec.name)
            if spec.metadata:
                _check(spec.name, value, spec)
            elif isinstance(spec.default, str) and not isinstance(value, str):
                raise SettingsError(f"{spec.name} is {value!r}; it must be a name.")


def _check(name: str, value: Any, spec: Any) -> None:
    """Raise SettingsError unless `value` has the default's kind and lies in the field's range or choices."""
    if value is None and spec.default is None:
        return
    choices, low, high = (spec.metadata[key] for key in ("choices", "low", "high"))
    if choices and value not in tuple(choices):
        raise SettingsError(f"{name} is {value!r}; choose one of: {', '.join(choices)}.")
    if low is None and high is None:
        return
    whole = spec.metadata["whole"]
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not abs(value) <= sys.float_info.max:
        raise SettingsError(f"{name} is {value!r}; it must be a {'whole ' if whole else ''}number.")
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value:g}; it must lie between {low:g} and {high:g}.")


SPLIT_RULE: Final = 2
"""One test part per data set, drawn from content alone. Rule 1 drew another one for every seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSettings(Checked):
    """Which pictures, and how those without a given split are divided."""

    dataset: str = "builtin"
    """The data set's id in the store (its fingerprint), or `builtin`."""
    split_rule: int = SPLIT_RULE
    """How a test part is drawn, see `core.data.splits`; 1 in runs of earlier versions."""
    val_fraction: float = option(0.2, "Share of each class kept for choosing the epoch.", low=0.05, high=0.5)
    test_fraction: float = option(0.25, "Share of each class kept for the final report.", low=0.05, high=0.5)
    train_per_class: int | None = option(
        None, "Training pictures of each class that are learnt from; the others wait.", low=2, high=100_000, whole=True
    )
    """None: all. Fewer are always among more, whatever the number; validation and test stay as they are."""
    folds: int | None = option(
        None, "Divide all pictures into so many parts, each of them the test part once.", low=2, high=10, whole=True
    )
    """None: one test part."""
    fold: int | None = option(
        None, "Which of the folds is the test part of a run, counted from 1.", low=1, high=10, whole=True
    )
    """None where there are no folds, or while runs are planned: `core.runs.race.plan_race` makes one of each."""

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.fold is not None and self.fold > (self.folds or 0):
            raise SettingsError(f"fold is {self.fold}; there are {self.folds or 'no'} folds.")
        if self.split_rule not in range(1, SPLIT_RULE + 1):
            raise SettingsError(f"split_rule is {self.split_rule!r}; this Thaw knows the rules 1 to {SPLIT_RULE}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentStep:
    """One transform of a training pipeline: its name in the catalogue and its parameters, in the catalogue's order."""

    name: str
    values: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentSettings(Checked):
    """How training pictures are varied. Evaluation never is."""

    preset: str = "gentle"
    """A preset of the catalogue, or `custom`, in which case `steps` says what is done."""
    steps: tuple[AugmentStep, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSettings(Checked):
    """Which network, what it knows at the start, and which part of it trains."""

    backbone: str = "efficientnet_lite0"
    scenario: str = option(USUAL, "Which part of the network trains.", choices=SCENARIOS)
    last_stages: int = option(1, "How many stages at the end train, in the scenario Last stages.", low=1, high=12)
    weights: Weights | None = option(
        None, "What the backbone knows at the start: ImageNet, or nothing (random).", choices=get_args(Weights)
    )
    """None: what the scenario implies, nothing for From scratch and ImageNet for all others."""
    batchnorm: BatchNorm | None = option(
        None, "Whether running statistics of normalisation layers stay as they are.", choices=get_args(BatchNorm)
    )
    """None: kept where there is something to keep (pretrained weights), adapted otherwise."""

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.row.from_nothing and self.weights == "imagenet":
            raise SettingsError(f"scenario is {self.scenario}, which starts from nothing; weights cannot be imagenet.")
        if self.batchnorm and self.batchnorm != (self.row.batchnorm or self.batchnorm):
            what = "are kept" if self.row.batchnorm == "kept" else "move"
            raise SettingsError(
                f"scenario is {self.scenario}, so statistics {what}; batchnorm cannot be {self.batchnorm}."
            )

    @property
    def row(self) -> Scenario:
        """All that the scenario is."""
        return SCENARIOS[self.scenario]

    @property
    def start(self) -> Weights:
        """The weights the backbone really starts from."""
        return self.weights or ("none" if self.row.from_nothing else "imagenet")

    @property
    def statistics(self) -> BatchNorm:
        """What really happens to the running statistics of normalisation layers that train."""
        return self.row.batchnorm or self.batchnorm or ("kept" if self.start == "imagenet" else "adapted")


MOST_EPOCHS: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimSettings(Checked):
    """How the trained part is trained."""

    epochs: int = option(5, "How often training goes through all training pictures.", low=1, high=MOST_EPOCHS)
    batch_size: int = option(16, "Pictures per optimiser step.", unit="pictures", low=2, high=256)
    optimizer: Optimizer = option("adamw", "How a gradient becomes a step.", choices=get_args(Optimizer))
    lr: float | None = option(None, "Learning rate of the head.", low=1e-6, high=10.0)
    """None: the scenario's stated default."""
    backbone_lr: float | None = option(None, "Learning rate of the backbone's trained part.", low=1e-7, high=10.0)
    """None: the scenario's stated default."""
    schedule: Schedule = option("one-cycle", "How the rate changes during training.", choices=get_args(Schedule))
    momentum: float = option(0.9, "Share of the last step kept in the next (SGD only).", low=0.0, high=0.999)
    weight_decay: float = option(0.01, "Pull of the weights towards zero.", low=0.0, high=1.0)
    label_smoothing: float = option(0.0, "Share of certainty given away to the other classes.", low=0.0, high=0.5)
    class_weights: ClassWeights = option(
        "none",
        "Whether pictures of rare classes count more: balanced lets all classes weigh the same.",
        choices=get_args(ClassWeights),
    )
    views: int = option(2, "Seeded views per picture when features of frozen stages are cached.", low=1, high=32)
    l2: float | None = option(None, "Penalty on a head that is solved for on cached features.", low=1e-6, high=1e3)
    """None: chosen on held-out training pictures."""
    stage_decay: float = option(1.0, "Each earlier stage's rate, as a share of the next one's.", low=0.1, high=1.0)
    ema: float = option(
        0.0, "Share of the averaged weights kept at each step; 0 averages nothing.", low=0.0, high=0.9999
    )
    train_size: int | None = option(
        None,
        "Side of the square trained on; smaller is faster. Testing is always at full size.",
        unit="px",
        low=96,
        high=512,
        whole=True,
    )
    """None: the network's own."""
    precision: PrecisionChoice = option(
        "auto", "In what training computes; auto takes what is faster here.", choices=get_args(PrecisionChoice)
    )
    """The test part is always computed in float32."""
    device: DeviceChoice = option(
        "auto",
        "What a run computes on: cpu, or a graphics card (cuda, or mps on a Mac); auto takes the fastest that is here. "
        "The draws are the same on each, results differ by rounding.",
        choices=get_args(DeviceChoice),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSettings:
    """One run, completely: the same settings on the same machine give the same history."""

    data: DataSettings = field(default_factory=DataSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    seed: int = option(0, "Fixes train and val, order, augmentation and the head's start.", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        seed = next(spec for spec in fields(self) if spec.name == "seed")
        _check("seed", self.seed, seed)

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rates really used: (head, backbone); the backbone's is 0 where it does not train."""
        head, backbone = self.model.row.rates[self.optim.optimizer]
        return self.optim.lr or head, backbone and (self.optim.backbone_lr or backbone)


PARTS: Final = {"data": DataSettings, "augment": AugmentSettings, "model": ModelSettings, "optim": OptimSettings}
"""The parts of a run's settings by name; what is in none of them belongs to the run itself."""


def differences(a: RunSettings, b: RunSettings) -> list[tuple[str, Any, Any]]:
    """The fields in which two runs differ: (`part.field`, value in a, value in b), with defaults resolved.

    Rates and weights are compared as really used, so that "the default" and the same number written out are equal.
    """
    rows = [
        (f"{name}.{spec.name}", getattr(getattr(a, name), spec.name), getattr(getattr(b, name), spec.name))
        for name, kind in PARTS.items()
        for spec in fields(kind)
        if spec.name not in {"lr", "backbone_lr", "weights", "batchnorm"}
    ]
    rows += [
        ("model.weights", a.model.start, b.model.start),
        ("model.batchnorm", a.model.statistics, b.model.statistics),
        ("optim.lr", a.rates[0], b.rates[0]),
        ("optim.backbone_lr", a.rates[1], b.rates[1]),
        ("seed", a.seed, b.seed),
    ]
    return [row for row in rows if row[1] != row[2]]
