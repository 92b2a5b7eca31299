"""What is written to be read again, as typed dataclasses: kinds of values with their limits, and JSON as such records.

A record that is read has every field its class has no default for, each as its annotation says. Fields that a later
version added are not looked at; fields that an earlier one did not know have their defaults. What cannot be read like
that has another major version.
"""

import json
import re
from threading import Lock
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

MOST: Final = 1_000_000
"""Rows of any list."""
Count = Annotated[int, Meta(ge=0, le=10**15)]
Size = Annotated[int, Meta(gt=0, le=10**15)]
Amount = Annotated[float, Meta(ge=0, le=1e15)]
Rate = Annotated[float, Meta(gt=0, le=1e15)]
Number = Annotated[float, Meta(ge=-1e15, le=1e15)]
"""Never infinite."""
Share = Annotated[float, Meta(ge=0, le=1)]
Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256."""
_KNOWN: Final = set[Any]()
_LEARNING: Final = Lock()


def read_json(text: bytes, kind: type[T]) -> T:
    """JSON as a record.

    Raises:
        ValueError, RecursionError: it is no JSON, or does not say what such a record does.
    """
    _know(kind)
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):  # names of files may hold half of a pair, which is no JSON
        return typed(json.loads(text.decode("utf-8", "surrogatepass")), kind)


def typed(values: Any, kind: type[T]) -> T:
    """JSON values as a record; what is one already, within them, is taken as it is.

    Raises:
        ValueError: they do not say what such a record does. The message names the place, and never what stands there.
    """
    _know(kind)
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        said, _, place = str(error).replace("`", "").partition(" - at ")
        said = re.sub("^Invalid enum value.*", "another value than there is", said, flags=re.DOTALL)
        raise ValueError(f"{place.replace('$.', '') or 'the whole'}: {said[:1].lower()}{said[1:]}") from error


def _know(kind: Any) -> None:
    """Let msgspec look at a class before it is read for the first time.

    In one thread at a time: it notes what it finds at the class before it has found everything, and a thread that reads
    such a record meanwhile ends the whole process (msgspec 0.22).
    """
    if kind not in _KNOWN:
        with _LEARNING:
            msgspec.json.Decoder(kind)
            _KNOWN.add(kind)


def fits(values: object, kind: type) -> bool:
    """Whether JSON values are those of a record."""
    try:
        typed(values, kind)
    except ValueError:
        return False
    return True


def unknown_field(values: Any, known: Any, place: str = "the whole") -> str | None:
    """The place in JSON values that has a field which a record made of them has not; None if there is none."""
    inner: list[tuple[Any, Any, str]] = []
    if isinstance(values, dict) and isinstance(known, dict):
        if not set(values) <= set(known):
            return place
        inner = [(value, known[name], f"{place}.{name}") for name, value in values.items()]
    if isinstance(values, list) and isinstance(known, list | tuple):
        rows = enumerate(zip(values, known, strict=False))
        inner = [(value, other, f"{place}[{number}]") for number, (value, other) in rows]
    return next(filter(None, (unknown_field(*one) for one in inner)), None)
