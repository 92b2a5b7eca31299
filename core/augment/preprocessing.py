"""What a network expects of a picture: sizes, interpolation, mean and deviation. No torch.

The numbers always come from the weights (`core.models.weights.preprocessing_of`) and go with the run, so that
classifying uses what training used.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from core.errors import SettingsError

INTERPOLATIONS: Final = ("bilinear", "bicubic")
LARGEST_SIZE: Final = 1024  # no backbone of the catalogue comes near; a damaged file must not ask for a gigapixel


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """Short side to `resize_size`, centre crop of `image_size`, then (pixel - mean) / std per channel."""

    image_size: int
    """Side of the square the network sees, in pixels."""
    resize_size: int
    """Short side before the crop, in pixels."""
    interpolation: str
    """`bilinear` or `bicubic`."""
    mean: tuple[float, float, float]
    """Per channel, of pixels in 0-1."""
    std: tuple[float, float, float]
    """Per channel, of pixels in 0-1."""

    def __post_init__(self) -> None:
        for name in ("image_size", "resize_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_SIZE:
                raise SettingsError(f"{name} is {value!r}; it must be a whole number from 1 to {LARGEST_SIZE} pixels.")
        if self.resize_size < self.image_size:
            raise SettingsError(f"resize_size is {self.resize_size}, smaller than image_size, {self.image_size}.")
        if self.interpolation not in INTERPOLATIONS:
            raise SettingsError(f"interpolation is {self.interpolation!r}; choose one of: {', '.join(INTERPOLATIONS)}.")
        for name in ("mean", "std"):
            if not _three_numbers(getattr(self, name)):
                raise SettingsError(f"{name} is {getattr(self, name)!r}; it must be three finite numbers.")
        if min(self.std) <= 0:
            raise SettingsError(f"std is {self.std!r}; every number must be above 0.")

    def at_size(self, side: int | None) -> "Preprocessing":
        """The same for another square; None leaves it as it is."""
        if side is None:
            return self
        return replace(self, image_size=side, resize_size=round(self.resize_size * side / self.image_size))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """The record that `to_dict` described.

        Raises:
            SettingsError: a field is unknown, missing or has a value that is not allowed.
        """
        known = {spec.name for spec in fields(cls)}
        if set(values) != known:
            unknown, missing = sorted(set(values) - known), sorted(known - set(values))
            raise SettingsError(f"preprocessing has unknown fields {unknown} and lacks {missing}.")
        read: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**read)


def _three_numbers(values: Sequence[Any]) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == 3
        and all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= sys.float_info.max for v in values)
    )
