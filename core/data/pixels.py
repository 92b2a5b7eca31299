"""Decoded pictures of one data set in a single memory-mapped file: decoded once, read by every process at no cost."""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:  # whoever only writes here needs no arrays, and would wait for numpy
    import numpy as np

FILE_NAME = "pixels.u8"
HELD_BYTES = 64 * 1024**2  # of the file, resident in this process


class PixelWriter:
    """Appends pictures to the file of a data set in the making."""

    def __init__(self, folder: Path, offset: int = 0) -> None:
        """`offset`: bytes that are there already and stay; what follows them goes."""
        self._file: BinaryIO = (folder / FILE_NAME).open("r+b" if offset else "wb")
        self._file.truncate(offset)
        self._file.seek(offset)
        self._offset = offset

    def append(self, pixels: bytes | memoryview) -> int:
        """Write (H, W, 3) uint8 pixels; the offset in bytes where they begin."""
        start = self._offset
        self._offset += self._file.write(pixels)
        return start

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class PixelStore:
    """Pictures by index. Read-only, safe to share between threads."""

    def __init__(self, folder: Path, places: Sequence[tuple[int, int, int]]) -> None:
        """`places`: offset in bytes, height and width of each picture."""
        import numpy as np

        self._places = places
        with (folder / FILE_NAME).open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        self._read = 0

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> "np.ndarray":
        """Pixels of one picture, (H, W, 3) uint8, a view into the file."""
        offset, height, width = self._places[index]
        self._let_go(height * width * 3)
        return self._bytes[offset : offset + height * width * 3].reshape(height, width, 3)

    def _let_go(self, size: int) -> None:
        """Hand mapped pages back now and then: they stay in the system's cache, but count as ours while held."""
        self._read += size
        if self._read > HELD_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._read = 0
