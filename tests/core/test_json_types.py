"""Whether a value read from JSON is what an annotation says."""

from dataclasses import fields
from typing import Any, Literal, get_type_hints

import pytest

from core.json_types import fits
from core.runs.record import RunRecord


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ([1, 2], list[int], True),
        ([1, "2"], list[int], False),
        ((1, 2), list[int], False),
        ({"train": [1, 2]}, dict[str, list[int]], True),
        ({"train": [1, None]}, dict[str, list[int]], False),
        ([1, 2, 3], tuple[int, ...], True),
        ([1, "a"], tuple[int, str], True),
        ([1], tuple[int, str], False),
        (None, int | None, True),
        (True, int, False),
        (float("nan"), float, False),
        ("kept", Literal["kept", "adapted"], True),
        ({"a": object()}, dict[str, Any], True),
    ],
)
def test_a_value_is_what_an_annotation_says_or_not(value: object, kind: Any, expected: bool):
    assert fits(value, kind) is expected


@pytest.mark.parametrize("name", [spec.name for spec in fields(RunRecord)])
def test_no_field_of_a_record_has_a_type_that_cannot_be_looked_at(name: str):
    kind = get_type_hints(RunRecord)[name]
    for value in ({"a": [0]}, [0], "text", 0, None):
        fits(value, kind)
