"""What belongs together: an experiment is data, training strategy and settings; its runs differ in seed and fold."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import permutations
from typing import Any, Final

from core.augment.catalogue import CUSTOM, steps_of
from core.models.catalogue import BACKBONES
from core.settings.scenarios import SCENARIO_OPTIONS
from core.settings.schema import RunSettings, differences

_NO_DIFFERENCE: Final = frozenset({"model.scenario", "seed", "data.fold", "data.dataset"})
"""What is no setting of an experiment, or is said by other words."""
_WORDS: Final = {
    "model.backbone": ("{}", ""),
    "model.weights": ("{} weights", ""),
    "model.batchnorm": ("BatchNorm {}", ""),
    "model.last_stages": ("{} stages", ""),
    "optim.epochs": ("{} epochs", ""),
    "optim.train_size": ("{} px", "full size"),
    "augment.preset": ("{} augmentation", ""),
    "augment.steps": ("own augmentation", ""),
    "optim.optimizer": ("{}", ""),
    "optim.lr": ("learning rate {:g}", ""),
    "optim.backbone_lr": ("backbone rate {:g}", ""),
    "optim.batch_size": ("batches of {}", ""),
    "optim.schedule": ("{} schedule", ""),
    "optim.class_weights": ("{} class weights", ""),
    "optim.l2": ("L2 {:g}", "L2 chosen"),
    "optim.views": ("{} views", ""),
    "optim.ema": ("weights averaged, {:g}", ""),
    "data.folds": ("{} folds", "one test part"),
    "data.split_rule": ("test part by rule {}", ""),
}
"""Field -> how a value of it is said, and how none is, in the order in which they are; others by their name."""
_VALUES: Final[dict[tuple[str, Any], str]] = {
    ("model.weights", "none"): "random start",
    ("model.weights", "imagenet"): "ImageNet weights",
    ("augment.preset", "none"): "no augmentation",
    ("augment.preset", CUSTOM): "own augmentation",
    ("optim.optimizer", "sgd"): "SGD",
    ("optim.optimizer", "adamw"): "AdamW",
    ("optim.class_weights", "none"): "classes unweighted",
    ("optim.ema", 0.0): "weights not averaged",
}
"""Values with words of their own."""
_ORDER: Final = tuple(_WORDS)
LONGEST_LABEL: Final = 90


def experiment_of(settings: RunSettings) -> RunSettings:
    """The same settings without seed and fold, defaults written out, and without what has no effect."""
    usual, row = RunSettings(), settings.model.row
    head, backbone = settings.rates
    unused = SCENARIO_OPTIONS - row.options
    optim: dict[str, Any] = {"device": usual.optim.device, "lr": head, "backbone_lr": backbone or None}
    optim |= {name: getattr(usual.optim, name) for name in unused - {"last_stages"}}
    if "optimizer" in optim or settings.optim.optimizer != "sgd":
        optim["momentum"] = usual.optim.momentum
    model = replace(settings.model, weights=settings.model.start, batchnorm=settings.model.statistics)
    if "last_stages" in unused:
        model = replace(model, last_stages=usual.model.last_stages)
    augment = settings.augment if settings.augment.preset == CUSTOM else replace(settings.augment, steps=())
    data = replace(settings.data, fold=None)
    return RunSettings(data=data, augment=augment, model=model, optim=replace(settings.optim, **optim))


def experiment_key(settings: RunSettings) -> str:
    """Names an experiment, in addresses too: the same in a later version that knows more settings."""
    changed = [(field, value) for field, _, value in differences(RunSettings(), experiment_of(settings))]
    return hashlib.sha256(json.dumps(changed, default=asdict).encode()).hexdigest()[:10]


def labels_of(experiments: Sequence[RunSettings]) -> list[str]:
    """What to call experiments that stand side by side: by strategy, and by whatever else differs between them.

    What most of them have alike is left out of the names of these; who stands alone is held against what is usual.

    Returns:
        In the same order, no two alike.
    """
    if len(experiments) == 1:
        return labels_in_list(experiments)
    apart: list[dict[str, Any]] = [{} for _ in experiments]
    for (place, one), (_, other) in permutations(enumerate(experiments), 2):
        for field, value, _ in differences(one, other):
            if field not in _NO_DIFFERENCE and _sets_apart(field, one, other):
                apart[place][field] = value
    _leave_out_what_most_share(apart)
    return no_two_alike([_label(one, _said(fields)) for one, fields in zip(experiments, apart, strict=True)])


def labels_in_list(experiments: Sequence[RunSettings]) -> list[str]:
    """What to call experiments that are listed: with all that is not as usual, be it alike in all of them or not."""
    return no_two_alike([_label(one, own_settings(one)) for one in experiments])


def _label(one: RunSettings, said: str) -> str:
    label = one.model.row.label + (f" ({said})" if said else "")
    return label if len(label) <= LONGEST_LABEL else f"{label[:LONGEST_LABEL]}…"


def own_settings(one: RunSettings) -> str:
    """What is not as it usually is with this strategy, in a few words; empty where all is."""
    return _said(_own(one))


def shared_settings(experiments: Sequence[RunSettings]) -> str:
    """What all of them have alike and is not as usual: what their names beside each other do not say."""
    found: dict[str, dict[str, Any]] = {}
    for one in experiments:
        for field, value in _own(one).items():
            found.setdefault(field, {})[repr(value)] = value
    alike = {field: next(iter(values.values())) for field, values in found.items() if len(values) == 1}
    return _said({field: value for field, value in alike.items() if all(_has(one, field) for one in experiments)})


def _has(one: RunSettings, field: str) -> bool:
    """Whether a field is at a value of its own, or changes nothing here."""
    return field in _own(one) or not has_effect(field, one, _usual(one))


def _own(one: RunSettings) -> dict[str, Any]:
    usual = _usual(one)
    changed = [(field, value) for field, value, _ in differences(one, usual) if field not in _NO_DIFFERENCE]
    return {field: value for field, value in changed if _sets_apart(field, one, usual)}


def _usual(one: RunSettings) -> RunSettings:
    """This strategy with everything at its default."""
    usual = RunSettings()
    data = replace(usual.data, split_rule=one.data.split_rule)
    return experiment_of(replace(usual, data=data, model=replace(usual.model, scenario=one.model.scenario)))


def no_two_alike(labels: Sequence[str]) -> list[str]:
    """The same labels, those that occur more than once with their place."""
    return [label if labels.count(label) == 1 else f"{label} ({place})" for place, label in enumerate(labels, start=1)]


def _leave_out_what_most_share(apart: Sequence[dict[str, Any]]) -> None:
    """Drop a field's most common value wherever it stands; of two that are as common, both stay."""
    for field in {field for fields in apart for field in fields}:
        found = Counter(repr(fields[field]) for fields in apart if field in fields).most_common(2)
        if len(found) == 1 or found[0][1] > found[1][1]:
            for fields in apart:
                if repr(fields.get(field)) == found[0][0]:
                    fields.pop(field, None)


def _said(fields: dict[str, Any]) -> str:
    """What sets an experiment apart, the weightiest first."""
    ordered = sorted(fields, key=lambda field: (_ORDER.index(field) if field in _ORDER else len(_ORDER), field))
    return ", ".join(dict.fromkeys(in_words(field, fields[field]) for field in ordered))


def in_words(field: str, value: Any) -> str:
    """A setting's value as it is said beside others: `optim.epochs` of 2 is "2 epochs"."""
    if field == "model.backbone":
        return BACKBONES[value].label if value in BACKBONES else str(value)
    if not isinstance(value, tuple) and (field, value) in _VALUES:
        return _VALUES[field, value]
    number = ":g" if isinstance(value, float) else ""
    some, none = _WORDS.get(field, (f"{spoken(field)} {{{number}}}", f"no {spoken(field)}"))
    text = none if value is None else some.format(value)
    return text.removesuffix("s") if value == 1 and text.startswith("1 ") else text


def spoken(field: str) -> str:
    """A setting's name in a sentence: `optim.batch_size` is said as batch size."""
    return field.rpartition(".")[2].replace("_", " ")


def _sets_apart(field: str, a: RunSettings, b: RunSettings) -> bool:
    """Whether a difference does not just follow from the strategy."""
    return (has_effect(field, a, b) and has_effect(field, b, a)) and not (at_default(field, a) and at_default(field, b))


def has_effect(field: str, settings: RunSettings, other: RunSettings) -> bool:
    """Whether a setting changes anything in a run, seen beside another one on the same pictures."""
    if field.rpartition(".")[2] in SCENARIO_OPTIONS - settings.model.row.options:
        return False
    match field:
        case "optim.momentum":
            return settings.optim.optimizer == "sgd"
        case "augment.preset":  # two names of the same steps
            return steps_of(settings.augment) != steps_of(other.augment)
        case "optim.device":  # a chip says what they were really computed on
            return False
        case "augment.steps":
            return settings.augment.preset == CUSTOM and steps_of(settings.augment) != steps_of(other.augment)
    return True


def at_default(field: str, settings: RunSettings) -> bool:
    """Whether a setting that has a stated default per scenario is at it, left out or written out."""
    match field:
        case "model.weights":
            return settings.model.start == replace(settings.model, weights=None).start
        case "model.batchnorm":
            return settings.model.statistics == replace(settings.model, batchnorm=None).statistics
        case "optim.lr" | "optim.backbone_lr":
            default = replace(settings, optim=replace(settings.optim, lr=None, backbone_lr=None)).rates
            place = 0 if field == "optim.lr" else 1
            return settings.rates[place] == default[place]
    return False
