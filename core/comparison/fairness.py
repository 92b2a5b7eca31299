"""May two runs be compared, and what differs between them besides the thing compared?

Hard conditions decide whether a comparison is possible at all. Every setting that differs without following from
the scenario is uncontrolled and becomes a chip: whatever the result is, it may be due to that, and is about the whole
recipes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from core.comparison.experiments import at_default, has_effect, in_words
from core.comparison.metrics import Array, check_predictions
from core.comparison.pictures import PictureAnswers
from core.errors import RunError
from core.settings.schema import RunSettings, differences

MIXED_RULES: Final = (
    "Some of these runs are of an earlier version of Thaw, which drew another test part for every seed; the others "
    "share one test part. Train the earlier ones again to compare them."
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """What the comparison needs to know about one finished run."""

    run: str
    label: str
    settings: RunSettings
    fingerprint: str
    split_hash: str
    class_names: tuple[str, ...]
    pictures: tuple[str, ...]
    """Content keys of the test pictures, in order."""
    targets: Array
    """(N,) int64."""
    probabilities: Array
    """(N, K) float32."""
    timings: Mapping[str, float]
    """Seconds by phase: decode, features, train, val, test, other."""
    duration_s: float
    head_hash: str
    """Hash of the head's start."""
    weights_hash: str | None
    """Hash of the pretrained weights file; None: a random start."""
    machine: str
    threads: int
    engine: str = "torch"
    """What computed forward passes in fp32."""
    device: str = "the processor"
    """What it was computed on, in words."""
    precision: Mapping[str, str] = field(default_factory=dict)
    """In what `features` of frozen stages were computed, and in what training steps, `train`."""
    cached_features: int = 0
    """Pictures whose features came from the cache: where there are any, times are warm ones."""
    lacks: tuple[str, ...] = ()
    """Which classes its parts lack, in sentences."""
    groups: tuple[str, ...] = ()
    """What each test picture shows (a patient, a place), where several show the same; empty where all stand alone."""
    tested: PictureAnswers = field(init=False, repr=False)
    """The same answers by picture: what they are joined to another run's answers by."""

    def __post_init__(self) -> None:
        check_predictions(self.targets, self.probabilities)
        expected = (len(self.pictures), len(self.class_names))
        if self.probabilities.shape != expected:
            raise RunError(
                f"run {self.run} predicts {self.probabilities.shape} (pictures, classes) but names {expected}; "
                "its predictions are damaged. Train it again."
            )
        answers = PictureAnswers(self.pictures, self.class_names, self.targets, self.probabilities)
        object.__setattr__(self, "tested", answers)  # the dataclass is frozen


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A setting in which two runs differ, with defaults resolved."""

    field: str
    a: Any
    b: Any
    expected: bool
    """It is the thing compared, or follows from it by a stated default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chip:
    """A warning beside the verdict."""

    field: str
    text: str
    affects: Literal["accuracy", "timing"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fairness:
    """Whether two runs can be compared, in words, and what else differs."""

    comparable: bool
    """The hard conditions hold: same data, split, test pictures and classes."""
    reasons: tuple[str, ...]
    """Why not comparable, one sentence each; empty if they are."""
    differences: tuple[Difference, ...]
    chips: tuple[Chip, ...]

    @property
    def uncontrolled(self) -> tuple[Difference, ...]:
        return tuple(row for row in self.differences if not row.expected)


def check_fairness(a: Outcome, b: Outcome) -> Fairness:
    """Compare what two runs were made of; predictions are not looked at."""
    reasons = _hard_reasons(a, b)
    rows = _setting_differences(a, b)
    return Fairness(
        comparable=not reasons,
        reasons=tuple(reasons),
        differences=tuple(rows),
        chips=tuple(_setting_chip(row) for row in rows if not row.expected) + _other_chips(a, b),
    )


def _hard_reasons(a: Outcome, b: Outcome) -> list[str]:
    """Sentences for the conditions without which predictions cannot be laid side by side."""
    reasons = []
    if a.fingerprint != b.fingerprint:
        reasons.append("They were trained on different data sets.")
    mixed = mixed_rules([a, b])
    if mixed:
        reasons.append(mixed)
    elif a.split_hash != b.split_hash:
        reasons.append("Their pictures were divided differently into train, val and test.")
    if a.class_names != b.class_names:
        reasons.append(f"Their classes differ: {', '.join(a.class_names)} against {', '.join(b.class_names)}.")
    pictures = Counter(a.pictures), Counter(b.pictures)
    if pictures[0] != pictures[1]:
        reasons.append(
            f"They were not tested on the same pictures: {len(a.pictures)} against {len(b.pictures)}, "
            f"{(pictures[0] & pictures[1]).total()} in common."
        )
    elif not a.pictures:
        reasons.append("There are no test pictures.")
    elif set(a.tested) != set(b.tested):
        reasons.append("The same test pictures carry different labels.")
    return reasons


def mixed_rules(outcomes: Sequence[Outcome]) -> str:
    """Why these runs cannot be compared, if some have a test part for their seed only and others one for all seeds.

    Empty where all were divided by one rule, and where both rules gave the same test part.
    """
    rules = {one.settings.data.split_rule for one in outcomes}
    tested = {tuple(sorted(one.pictures)) for one in outcomes}
    return MIXED_RULES if len(rules) > 1 and len(tested) > 1 else ""


def _setting_differences(a: Outcome, b: Outcome) -> list[Difference]:
    """The settings that differ and do something, each marked as expected or not."""
    same_scenario = a.settings.model.scenario == b.settings.model.scenario
    rows = []
    for name, in_a, in_b in differences(a.settings, b.settings):
        effects = _touches(name, a, b), _touches(name, b, a)
        if not any(effects):
            continue
        # what only one of the two has at all (a number of cached views, of last stages) belongs to that scenario
        follows = not all(effects) or (at_default(name, a.settings) and at_default(name, b.settings))
        rows.append(Difference(field=name, a=in_a, b=in_b, expected=name == "model.scenario" or follows))
    uncontrolled = [row for row in rows if not row.expected]
    if same_scenario and len(uncontrolled) == 1:
        return [replace(row, expected=True) for row in rows]
    return rows


def _touches(field: str, run: Outcome, other: Outcome) -> bool:
    """Whether a setting changes anything in `run`, seen beside `other`."""
    settings = run.settings
    match field:
        case "data.dataset":  # two names of the same pictures
            return run.fingerprint != other.fingerprint
        case "data.test_fraction" | "data.split_rule" if settings.data.folds is not None:
            return False
        case "data.val_fraction" | "data.test_fraction" | "data.split_rule":  # where all of it was drawn
            return run.split_hash != other.split_hash
    return has_effect(field, settings, other.settings)


def _setting_chip(row: Difference) -> Chip:
    text = f"Not held equal: {in_words(row.field, row.a)} against {in_words(row.field, row.b)}."
    return Chip(field=row.field, text=text, affects="accuracy")


def _other_chips(a: Outcome, b: Outcome) -> tuple[Chip, ...]:
    """Chips for what is not a setting: the head's start, the weights file, the machine."""
    same_backbone = a.settings.model.backbone == b.settings.model.backbone
    accuracy, timing = [], []
    if same_backbone and a.settings.seed == b.settings.seed and a.head_hash != b.head_hash:
        accuracy.append(("head", "The heads started from different numbers although seed and backbone are the same."))
    if same_backbone and a.weights_hash and b.weights_hash and a.weights_hash != b.weights_hash:
        accuracy.append(("weights", "The pretrained weights come from different files."))
    if a.device != b.device:
        text = f"They were computed on different devices, which round differently: {a.device} against {b.device}."
        accuracy.append(("device", text))
    if a.machine != b.machine:
        timing.append(("machine", f"Times were measured on different machines: {a.machine} against {b.machine}."))
    for run in (a, b):
        if run.cached_features:
            pictures = f"{run.cached_features} pictures' features"
            timing.append(("cache", f"{run.label} took {pictures} from the cache: its time is a warm one."))
    if a.threads != b.threads:
        timing.append(("threads", f"Times were measured with {a.threads} against {b.threads} threads."))
    if a.engine != b.engine:
        timing.append(("engine", f"Forward passes were computed by {a.engine} against {b.engine}."))
    for work, words in (("features", "Features were computed"), ("train", "They were trained")):
        in_a, in_b = a.precision.get(work), b.precision.get(work)
        if _does(work, a) and _does(work, b) and in_a != in_b:
            timing.append(("precision", f"{words} in {in_a} against {in_b}."))
    chips = [Chip(field=field, text=text, affects="accuracy") for field, text in accuracy]
    return (*chips, *(Chip(field=field, text=text, affects="timing") for field, text in timing))


def _does(work: str, run: Outcome) -> bool:
    """Whether a run's way of training has this kind of work in it."""
    scenario = run.settings.model.row
    return scenario.caches_views if work == "features" else scenario.takes_steps
