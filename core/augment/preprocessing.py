"""What a network expects of a picture: sizes, interpolation, mean and deviation. No torch.

The numbers always come from the weights (`core.models.weights.preprocessing_of`) and go with the run, so that
classifying uses what training used.
"""

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from core.errors import SettingsError
from core.records import Number, Rate

LARGEST_SIZE: Final = 1024  # no backbone of the catalogue comes near; a damaged file must not ask for a gigapixel
Side = Annotated[int, Meta(ge=1, le=LARGEST_SIZE)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """Short side to `resize_size`, centre crop of `image_size`, then (pixel - mean) / std per channel."""

    image_size: Side
    """Side of the square the network sees, in pixels."""
    resize_size: Side
    """Short side before the crop, in pixels."""
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[Number, Number, Number]
    """Per channel, of pixels in 0-1."""
    std: tuple[Rate, Rate, Rate]
    """Per channel, of pixels in 0-1."""

    def __post_init__(self) -> None:
        if self.resize_size < self.image_size:
            raise SettingsError(f"resize_size is {self.resize_size}, smaller than image_size, {self.image_size}.")

    def at_size(self, side: int | None) -> "Preprocessing":
        """The same for another square; None leaves it as it is."""
        if side is None:
            return self
        return replace(self, image_size=side, resize_size=round(self.resize_size * side / self.image_size))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
