"""Tensors out of a file that a stranger made: what its header says is checked before a library reads it."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from core.errors import PackageError

MAX_HEADER_BYTES: Final = 1024**2
MAX_TENSORS: Final = 5_000
SHOWN: Final = 5
_TYPES: Final = {"F32": (torch.float32, 4), "I64": (torch.int64, 8)}
"""What Thaw writes, by safetensors' names; with bytes per number."""


def read_json(data: bytes, what: str) -> Any:
    """JSON as Thaw writes it: UTF-8, no name twice in an object, finite numbers.

    Raises:
        PackageError: it is something else.
    """
    try:
        return json.loads(
            data.decode("utf-8", "surrogatepass"), object_pairs_hook=_without_twins, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{what} is not readable JSON.") from error


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def read_tensors(
    data: bytes, expected: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], what: str
) -> dict[str, Tensor]:
    """The tensors of a safetensors file that has exactly the expected names, types and shapes, and finite numbers.

    Raises:
        PackageError: it has not, or it is no safetensors file.
    """
    _check_same(read_header(data, what), expected, what)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise PackageError(f"{what} is a damaged safetensors file.") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise PackageError(f"{what} contains invalid numbers (NaN or infinite), first in {name}.")
    return tensors


def read_header(data: bytes, what: str) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Types and shapes by name, if they cover the bytes behind the header without gap or overlap."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= len(data) - 8 or data[8:9] != b"{":
        raise PackageError(f"{what} is not a safetensors file.")
    if length > MAX_HEADER_BYTES:
        raise PackageError(f"{what} has a header of {length:,} bytes; the limit is {MAX_HEADER_BYTES:,}.")
    header = read_json(data[8 : 8 + length], f"The header of {what}")
    if header.pop("__metadata__", {}) not in ({}, {"format": "pt"}):
        raise PackageError(f"{what} carries remarks that Thaw does not write.")
    if len(header) > MAX_TENSORS:
        raise PackageError(f"{what} has {len(header):,} tensors; the limit is {MAX_TENSORS:,}.")
    found, places = {}, []
    for name, entry in header.items():
        dtype, shape, (begin, end), size = _entry(entry, name, what)
        if end - begin != size * math.prod(shape):
            raise PackageError(f"{what}: the bytes of {_short(name)} do not fit its shape.")
        found[name] = dtype, shape
        places.append((begin, end))
    at = 0
    for begin, end in sorted(places):
        if begin != at:
            raise PackageError(f"{what}: tensors overlap, or there are bytes between them.")
        at = end
    if at != len(data) - 8 - length:
        raise PackageError(f"{what}: its tensors end at byte {at:,} and the file does not; it is cut off or too long.")
    return found


def _entry(entry: Any, name: str, what: str) -> tuple[torch.dtype, tuple[int, ...], tuple[int, int], int]:
    """Type, shape, first and last place, and bytes per number of one tensor."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise PackageError(f"{what}: {_short(name)} is not described as safetensors describe a tensor.")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _TYPES:
        raise PackageError(f"{what}: {_short(name)} has a type of number that Thaw does not write.")
    shape, offsets = entry["shape"], entry["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or any(type(n) is not int or not 0 <= n < 2**63 for n in numbers):
            raise PackageError(f"{what}: {_short(name)} has an impossible shape or place.")
    if len(offsets) != 2 or len(shape) > 8:
        raise PackageError(f"{what}: {_short(name)} has an impossible shape or place.")
    dtype, size = _TYPES[entry["dtype"]]
    return dtype, tuple(shape), (offsets[0], offsets[1]), size


def _check_same(
    found: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    expected: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    what: str,
) -> None:
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    for names, word in ((missing, "lacks"), (extra, "has in addition")):
        if names:
            more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            raise PackageError(f"{what} {word}: {', '.join(map(_short, names[:SHOWN]))}{more}.")
    for name, (dtype, shape) in expected.items():
        if found[name] != (dtype, shape):
            kind, other = found[name]
            raise PackageError(f"{what}: {name} is {list(other)} of {kind}, it should be {list(shape)} of {dtype}.")


def _short(name: str) -> str:
    """A name out of the file, fit to be shown."""
    return ascii(name[:80])[1:-1]
