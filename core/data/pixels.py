"""Decoded pictures of one data set in a single memory-mapped file: decoded once, read by every process at no cost."""

import hashlib
import mmap
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from core.errors import DatasetError, shown

if TYPE_CHECKING:  # whoever only writes here needs no arrays, and would wait for numpy
    import numpy as np

FILE_NAME = "pixels.u8"
TICK_NS = 2 * 10**9  # the coarsest clock of a file system
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


def share_pixels(source: Path, folder: Path) -> None:
    """Give a data set in the making all pixels of another: one file under two names, where the system can do that.

    Nothing is ever written to a file that has its name, and whichever name is deleted first, the other stays.

    Raises:
        DatasetError: the other one is deleted at this moment.
    """
    try:
        os.link(source / FILE_NAME, folder / FILE_NAME)
    except FileNotFoundError as error:
        raise DatasetError(f"The data set {shown(source.name)} was deleted in another window; reload.") from error
    except OSError:  # no links there, or too many
        shutil.copyfile(source / FILE_NAME, folder / FILE_NAME)


class PixelStore:
    """Pictures by index, each compared with its hash when it is first read. Read-only, safe to share between threads.

    Damage is found where it would be used: what nobody looks at costs nothing, and a picture is hashed in a hundredth
    of the time that a network takes for it.
    """

    def __init__(self, folder: Path, places: Sequence[tuple[int, int, int]], hashes: Sequence[str]) -> None:
        """`places`: offset in bytes, height and width of each picture; `hashes`: what `hash_pixels` gave for each.

        Raises:
            DatasetError: the file is missing, or shorter than its pictures are together.
        """
        import numpy as np

        self._places, self._hashes = places, hashes
        try:
            with (folder / FILE_NAME).open("rb") as file:
                if os.fstat(file.fileno()).st_size < length_of(places):
                    raise DatasetError(damaged(folder.name))
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise DatasetError(damaged(folder.name)) from error
        self._folder = folder
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        self._read = 0
        self._checked = bytearray(len(places))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> "np.ndarray":
        """Pixels of one picture, (H, W, 3) uint8, a view into the file.

        Raises:
            DatasetError: they are not those that were stored.
        """
        offset, height, width = self._places[index]
        self._let_go(height * width * 3)
        pixels = self._bytes[offset : offset + height * width * 3].reshape(height, width, 3)
        if not self._checked[index]:
            if hash_pixels(height, width, pixels.data) != self._hashes[index]:
                self._let_it_be_known()
                raise DatasetError(damaged(self._folder.name))
            self._checked[index] = 1
        return pixels

    def check(self) -> None:
        """Read every picture once, for its hash.

        Raises:
            DatasetError: the pixels of one are not those that were stored.
        """
        for index in range(len(self)):
            self[index]

    def _let_it_be_known(self) -> None:
        """The file counts as touched, so whoever opens a data set that has it reads all of it: pictures replace it."""
        with suppress(OSError):
            newest_ns = max(time.time_ns(), *(path.stat().st_mtime_ns for path in self._folder.iterdir())) + TICK_NS
            os.utime(self._folder / FILE_NAME, ns=(newest_ns, newest_ns))

    def _let_go(self, size: int) -> None:
        """Hand mapped pages back now and then: they stay in the system's cache, but count as ours while held."""
        self._read += size
        if self._read > HELD_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._read = 0


def hash_pixels(height: int, width: int, pixels: bytes | memoryview) -> str:
    """SHA-256 of a decoded picture and its size: exact copies share it, whatever file they came in."""
    digest = hashlib.sha256(f"{height}x{width}".encode())
    digest.update(pixels)
    return digest.hexdigest()


def length_of(places: Sequence[tuple[int, int, int]]) -> int:
    """Bytes of the file that has pictures at these places."""
    return max((offset + height * width * 3 for offset, height, width in places), default=0)


def damaged(dataset_id: str) -> str:
    """What is said of a data set whose files are not what was stored."""
    return (
        f"The files of data set {shown(dataset_id)} are damaged. Add the same pictures again, which replaces it, or "
        "delete it on the Data page."
    )
