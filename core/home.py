"""Where Thaw keeps everything: one folder, `THAW_HOME`. Nothing is written anywhere else.

Whatever the system refuses here, or in a block that one of these functions guards, is a StorageError with a sentence.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from core.errors import StorageError
from core.storage import explained, home_path, home_sentence

LEFT_S = 86_400.0
_SEAL: Final = re.compile(rb'\{"sha256": "([0-9a-f]{64})",')


def thaw_home() -> Path:
    """The folder of data sets, caches, runs and the database; `THAW_HOME` if set, else the user's data folder.

    Raises:
        StorageError: it cannot be made.
    """
    home = home_path()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if os.path.isfile(home) else os.strerror(error.errno or 0)
        raise StorageError(home_sentence(reason)) from error
    return home


def home_folder(*parts: str) -> Path:
    """A folder below `thaw_home()`, made if it is missing."""
    folder = thaw_home().joinpath(*parts)
    with explained():
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder below `thaw_home()` that is gone after the block, whatever happens in it."""
    with explained():
        _sweep(home_folder("staging"))
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=home_folder("staging")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what a process that died in the middle has left there, a day later."""
    for left in folder.iterdir():
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_S:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def folder_in_the_making(final: Path, staging: Path | None = None) -> Iterator[Path]:
    """A temporary folder beside `final`, or a given one, that takes its name only if the block ends well.

    A crash leaves a folder that nobody reads, never half a result under the real name. If another process was
    faster, its folder stays and ours is dropped: both hold the same content, since names are content hashes or ids.
    """
    with explained():
        final.parent.mkdir(parents=True, exist_ok=True)
        staging = staging or Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
        try:
            yield staging
            try:
                staging.rename(final)
            except OSError:
                if not final.is_dir():
                    raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@explained()
def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part (temporary name, fsync, rename)."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sealed(text: bytes) -> bytes:
    """The text of a JSON object with its own SHA-256 as the first entry: whatever changes in it is noticed."""
    return b'{"sha256": "%b",%b' % (hashlib.sha256(text).hexdigest().encode(), text[1:])


def unsealed(text: bytes) -> tuple[bytes, bool]:
    """The text that was sealed, and whether it was: files of earlier versions were not.

    Raises:
        ValueError: it is not what it was when it was sealed.
    """
    seal = _SEAL.match(text)
    if seal is None:
        return text, False
    rest = b"{" + text[seal.end() :]
    if hashlib.sha256(rest).hexdigest().encode() != seal[1]:
        raise ValueError("the file has changed since it was written")
    return rest, True
