"""Whether what was read from a JSON file is what a dataclass says: it may be damaged, or of another version."""

import math
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def fits(value: object, kind: Any) -> bool:
    """Whether a JSON value is what a type annotation says; numbers are finite, tuples are lists."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, list | tuple) and _fits_tuple(value, inner)
    if origin is list:
        return isinstance(value, list) and all(fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if kind is float or kind is int:
        allowed = int | float if kind is float else int
        return isinstance(value, allowed) and not isinstance(value, bool) and math.isfinite(value)
    return kind is Any or isinstance(value, NoneType if kind is None else kind)


def _fits_tuple(values: list[Any] | tuple[Any, ...], kinds: tuple[Any, ...]) -> bool:
    if len(kinds) == 2 and kinds[1] is ...:
        return all(fits(value, kinds[0]) for value in values)
    return len(values) == len(kinds) and all(map(fits, values, kinds))


def fits_fields(values: object, cls: type) -> bool:
    """Whether JSON values have the fields of a dataclass, all that have no default and no others, as they should be."""
    if not isinstance(values, dict):
        return False
    kinds = get_type_hints(cls)
    known = {spec.name: spec.default is MISSING and spec.default_factory is MISSING for spec in fields(cls)}
    return (
        set(values) <= set(known)
        and all(name in values for name, needed in known.items() if needed)
        and all(fits(value, kinds[name]) for name, value in values.items())
    )
