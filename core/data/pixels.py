"""Decoded pictures of one data set in a single memory-mapped file: decoded once, read by every process at no cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

FILE_NAME = "pixels.u8"


class PixelWriter:
    """Appends pictures to the file of a data set in the making."""

    def __init__(self, folder: Path) -> None:
        self._file: BinaryIO = (folder / FILE_NAME).open("wb")
        self._offset = 0

    def append(self, pixels: np.ndarray) -> int:
        """Write (H, W, 3) uint8 pixels; the offset in bytes where they begin."""
        start = self._offset
        self._offset += self._file.write(pixels.tobytes())
        return start

    def close(self) -> None:
        self._file.close()


class PixelStore:
    """Pictures by index. Read-only, safe to share between threads."""

    def __init__(self, folder: Path, places: Sequence[tuple[int, int, int]]) -> None:
        """`places`: offset in bytes, height and width of each picture."""
        self._places = places
        self._bytes = np.memmap(folder / FILE_NAME, dtype=np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> np.ndarray:
        """Pixels of one picture, (H, W, 3) uint8, a view into the file."""
        offset, height, width = self._places[index]
        return self._bytes[offset : offset + height * width * 3].reshape(height, width, 3)
