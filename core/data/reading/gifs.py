"""Whether a GIF moves. Pillow skips its blocks for that, and decodes none."""

import io
from typing import Final

from PIL import Image

BYTES_A_READ: Final = 64
"""A block has 255 bytes wherever a GIF is honest, and takes two reads. One made of tiny blocks would take seconds."""
FEW_READS: Final = 20_000


def is_gif(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith(b"GIF8")


def is_animated_gif(data: bytes) -> bool:
    """Whether a GIF has a second picture. Of a broken one nothing is said: False."""
    if not is_gif(data):
        return False
    try:
        with Image.open(_Bounded(data), formats=("GIF",)) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # a reader's failure has no common type
        return False


class _Bounded(io.BytesIO):
    """A file that may be read so many times: all files are looked at before any that takes too long can be named."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = FEW_READS + len(data) // BYTES_A_READ

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's.

        Raises:
            OSError: that was once too often.
        """
        self._left -= 1
        if self._left < 0:
            raise OSError("made of tiny blocks")
        return super().read(size)
