"""The small square that is kept of a picture to compare it with others, see `core.data.copies`.

Made where the picture is decoded, since there it costs next to nothing: so no arrays here, only Pillow.
"""

from typing import Final

from PIL import Image

SIDE: Final = 32  # pixels
SQUARE_BYTES: Final = 3 * SIDE * SIDE


def square_of(image: Image.Image) -> Image.Image:
    """(S, S) RGB of an RGB picture, with S = `SIDE`: each pixel the mean of what it stands for."""
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)
