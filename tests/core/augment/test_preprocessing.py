"""What a network expects of a picture survives JSON and refuses nonsense."""

import json
from typing import Any

import pytest

from core.augment.preprocessing import Preprocessing
from core.errors import SettingsError
from core.records import typed

GOOD: dict[str, Any] = {
    "image_size": 224,
    "resize_size": 256,
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


def test_preprocessing_survives_json() -> None:
    first = typed(GOOD, Preprocessing)

    assert first.to_dict() == GOOD
    assert typed(json.loads(json.dumps(first.to_dict())), Preprocessing) == first


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_size", 0),
        ("image_size", 224.5),
        ("image_size", True),
        ("image_size", 512),
        ("resize_size", 100_000),
        ("interpolation", "nearest"),
        ("mean", [0.5, 0.5]),
        ("mean", [0.5, 0.5, float("nan")]),
        ("mean", "abc"),
        ("std", [0.5, 0.0, 0.5]),
        ("std", 0.5),
    ],
)
def test_a_value_that_makes_no_sense_is_named(field: str, value: Any) -> None:
    with pytest.raises((ValueError, SettingsError), match="image_size" if value == 512 else field):
        typed({**GOOD, field: value}, Preprocessing)


def test_a_missing_field_is_named() -> None:
    without_mean = {name: value for name, value in GOOD.items() if name != "mean"}

    with pytest.raises(ValueError, match="missing required field mean"):
        typed(without_mean, Preprocessing)
