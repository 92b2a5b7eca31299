"""Where Thaw keeps everything: one folder, `THAW_HOME`. Nothing is written anywhere else."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_data_path

LEFT_S = 86_400.0


def home_path() -> Path:
    """Where `thaw_home()` is, whether it has been made or not."""
    chosen = os.environ.get("THAW_HOME")
    return Path(chosen).expanduser().absolute() if chosen else user_data_path("thaw", appauthor=False)


def thaw_home() -> Path:
    """The folder of data sets, caches, runs and the database; `THAW_HOME` if set, else the user's data folder."""
    home = home_path()
    home.mkdir(parents=True, exist_ok=True)
    return home


def home_folder(*parts: str) -> Path:
    """A folder below `thaw_home()`, made if it is missing."""
    folder = thaw_home().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder below `thaw_home()` that is gone after the block, whatever happens in it."""
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
