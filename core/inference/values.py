"""What a run says about a picture as JSON values: the same from the command line and from the page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.comparison.metrics import Array
from core.comparison.temperature import at_temperature
from core.inference.prediction_sets import SetRule
from core.runs.record import RunRecord


def answer_values(
    record: RunRecord, name: str, raw: Array, *, top: int, rule: SetRule | None = None, unknown: bool | None = None
) -> dict[str, Any]:
    """One picture's answer.

    Args:
        name: of the file.
        raw: (K,) as the network gives them.
        top: how many classes are listed, most probable first.
        rule: for the classes that are named; None leaves them out.
        unknown: whether it is unlike all training pictures; None leaves it out.
    """
    names: Sequence[str] = record.dataset.class_names
    shown = at_temperature(raw, record.temperature)
    order = np.argsort(-shown, kind="stable")[:top]
    values: dict[str, Any] = {
        "file": name,
        "predicted": names[order[0]],
        "top": [{"class": names[index], "probability": float(shown[index])} for index in order],
        "probabilities": dict(zip(names, map(float, shown), strict=True)),
        "raw_probabilities": dict(zip(names, map(float, raw), strict=True)),
    }
    if rule is not None:
        values["named"] = [names[index] for index in rule.names(raw)]
    return values if unknown is None else {**values, "none_of_these": unknown}


def run_answers(
    record: RunRecord,
    pictures: list[dict[str, Any]],
    rule: SetRule | None = None,
    detection: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """All answers of one run, with what the probabilities and the named classes are worth.

    Args:
        detection: of unknown images, see `core.inference.out_of_distribution`; None leaves it out.
    """
    values: dict[str, Any] = {"run": record.run, "class_names": list(record.dataset.class_names)}
    values |= {"temperature": record.temperature, "val_pictures": record.split.val}
    if rule is not None:
        values["sets"] = {"coverage": rule.coverage, "possible": rule.is_possible, "val_pictures": rule.val_pictures}
    if detection is not None:
        values["unknown_images"] = detection
    return {**values, "pictures": pictures}
