"""From the bytes of a picture to its pixels: one policy for training, testing and classifying.

How it is done stands in `core.data.reading.picture`, with which a network that is taken home reads pictures, too.
"""

from typing import TYPE_CHECKING, Final

from core.data.reading.kinds import READ, Unreadable
from core.data.reading.limits import MAX_PIXELS, MAX_SIDE
from core.data.reading.picture import Policy, ReadPicture
from core.data.reading.picture import read_picture as read_by
from core.errors import ImageError

if TYPE_CHECKING:  # whoever reads pictures needs no arrays
    import numpy as np

__all__ = ["FORMATS", "MAX_ASPECT", "POLICY", "SHORT_SIDE", "ReadPicture", "decode_picture", "read_picture"]

FORMATS: Final = tuple(kind.name for kind in READ)
SHORT_SIDE: Final = 256  # what every backbone's own evaluation preprocessing starts from, or less
MAX_ASPECT: Final = 4  # of a longer strip only the middle is kept: the crops never see more
POLICY: Final = Policy(
    formats=FORMATS, max_pixels=MAX_PIXELS, max_side=MAX_SIDE, max_aspect=MAX_ASPECT, short_side=SHORT_SIDE
)


def decode_picture(data: bytes) -> "np.ndarray":
    """Pixels of a picture file: (H, W, 3) uint8 sRGB, upright, short side at most `SHORT_SIDE`.

    Raises:
        ImageError: with the reason alone; the caller knows the file's name.
    """
    return read_picture(data).pixels


def read_picture(data: bytes, name: str = "") -> ReadPicture:
    """Read a picture file, and say what had to be done to it.

    Args:
        name: as it came; only for noticing that its ending is another kind's.

    Raises:
        ImageError: with the reason alone; the caller knows the file's name.
    """
    try:
        return read_by(data, POLICY, name)
    except Unreadable as error:
        raise ImageError(str(error), error.code) from error
