"""A header that lies is found out before any number is read."""

import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save

from core.errors import PackageError
from core.takehome.tensors import MAX_HEADER_BYTES, MAX_TENSORS, read_tensors

EXPECTED = {"a": (torch.float32, (2, 3)), "b": (torch.int64, (2,))}
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}
A = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
B = {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]}


def file_of(header: object, payload: bytes = bytes(40), length: int | None = None) -> bytes:
    """A safetensors file with this header, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + payload


def test_what_was_saved_is_read():
    found = read_tensors(save(TENSORS, {"format": "pt"}), EXPECTED, "f")

    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    assert read_tensors(file_of({"a": A, "b": B}), EXPECTED, "f")["a"].shape == (2, 3)


BAD_HEADERS = {
    "empty": (b"", "not a safetensors file"),
    "seven bytes": (b"1234567", "not a safetensors file"),
    "pickle": (b"\x80\x04\x95" + bytes(60), "not a safetensors file"),
    "zip": (b"PK\x03\x04" + bytes(60), "not a safetensors file"),
    "length 0": (file_of({"a": A}, length=0), "not a safetensors file"),
    "length beyond the file": (file_of({"a": A}, length=10_000), "not a safetensors file"),
    "length 2**64 - 1": (file_of({"a": A}, length=2**64 - 1), "not a safetensors file"),
    "not JSON": (file_of(b"{not json}"), "not readable JSON"),
    "not UTF-8": (file_of(b'{"\xff\xfe": 1}'), "not readable JSON"),
    "name twice": (file_of(b'{"a": 1, "a": 2}'), "not readable JSON"),
    "NaN": (file_of(b'{"a": NaN}'), "not readable JSON"),
    "deep": (file_of(b'{"a":' + b"[" * 100_000), "not readable JSON"),
    "too long": (file_of(b"{" + b" " * MAX_HEADER_BYTES + b"}"), "header of 1,048,578 bytes"),
    "too many": (file_of({str(n): A for n in range(MAX_TENSORS + 1)}), "5,001 tensors"),
    "remarks": (file_of({"a": A, "b": B, "__metadata__": {"x": "y"}}), "remarks"),
    "a list": (file_of({"a": [], "b": B}), "not described"),
    "more to say": (file_of({"a": {**A, "x": 1}, "b": B}), "not described"),
    "unknown type": (file_of({"a": {**A, "dtype": "F8_E4M3"}, "b": B}), "type of number"),
    "type is a list": (file_of({"a": {**A, "dtype": ["F32"]}, "b": B}), "type of number"),
    "negative shape": (file_of({"a": {**A, "shape": [-2, -3]}, "b": B}), "impossible shape"),
    "shape of truth": (file_of({"a": {**A, "shape": [True, 6]}, "b": B}), "impossible shape"),
    "fractional shape": (file_of({"a": {**A, "shape": [2.0, 3]}, "b": B}), "impossible shape"),
    "ten dimensions": (file_of({"a": {**A, "shape": [1] * 10}, "b": B}), "impossible shape"),
    "three places": (file_of({"a": {**A, "data_offsets": [0, 1, 24]}, "b": B}), "impossible shape"),
    "a shape that overflows": (file_of({"a": {**A, "shape": [4194305] * 3}, "b": B}), "do not fit its shape"),
    "overlap": (file_of({"a": A, "b": {**B, "data_offsets": [20, 36]}}, bytes(36)), "overlap"),
    "the same bytes": (file_of({"a": A, "b": A}, bytes(24)), "overlap"),
    "hole": (file_of({"a": A, "b": {**B, "data_offsets": [28, 44]}}, bytes(44)), "bytes between"),
    "out of range": (file_of({"a": A, "b": B}, bytes(39)), "cut off or too long"),
    "too much": (file_of({"a": A, "b": B}, bytes(41)), "cut off or too long"),
    "backwards": (file_of({"a": {**A, "data_offsets": [24, 0]}, "b": B}), "do not fit its shape"),
    "missing": (file_of({"a": A}, bytes(24)), "lacks: b"),
    "extra": (file_of({"a": A, "b": B, "c": {**B, "data_offsets": [40, 56]}}, bytes(56)), "in addition: c"),
    "other shape": (file_of({"a": {**A, "shape": [3, 2]}, "b": B}), r"a is \[3, 2\].*should be \[2, 3\]"),
    "other type": (file_of({"a": {**A, "dtype": "I64", "shape": [3]}, "b": B}), r"a is \[3\] of torch.int64"),
}


@pytest.mark.parametrize("kind", BAD_HEADERS)
def test_rows_d2_and_d4_to_d9_are_refused_with_the_reason(kind: str):
    data, reason = BAD_HEADERS[kind]

    with pytest.raises(PackageError, match=reason):
        read_tensors(data, EXPECTED, "f")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_row_d10_numbers_that_are_none_are_refused(number: float):
    bad = TENSORS["a"].clone()
    bad[1, 2] = number

    with pytest.raises(PackageError, match=r"invalid numbers.*first in a"):
        read_tensors(save({**TENSORS, "a": bad}), EXPECTED, "f")


def test_at_most_five_names_are_listed_and_none_can_do_anything_to_the_text():
    many = {f"layer\n{n}": torch.zeros(1) for n in range(9)}

    with pytest.raises(PackageError) as caught:
        read_tensors(save({**TENSORS, **many}), EXPECTED, "f")

    assert str(caught.value).count("layer") == 5 and "4 more" in str(caught.value) and "\n" not in str(caught.value)


def test_cut_off_anywhere_it_is_refused():
    data = save(TENSORS)

    for size in range(len(data)):
        with pytest.raises(PackageError):
            read_tensors(data[:size], EXPECTED, "f")


def test_any_byte_of_the_header_changed_gives_the_tensors_or_a_refusal_and_nothing_else():
    data, dice = save(TENSORS), np.random.default_rng(0)
    header = 8 + int.from_bytes(data[:8], "little")
    refused = 0

    for place in range(header):
        for value in dice.integers(0, 256, 20):
            changed = bytearray(data)
            changed[place] = value
            try:
                assert set(read_tensors(bytes(changed), EXPECTED, "f")) == set(TENSORS)
            except PackageError:
                refused += 1
    assert refused > 0.8 * 20 * header
