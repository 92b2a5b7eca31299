"""Where Thaw keeps everything: one folder, `THAW_HOME`. Nothing is written anywhere else."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_data_path


def thaw_home() -> Path:
    """The folder of data sets, caches, runs and the database; `THAW_HOME` if set, else the user's data folder."""
    chosen = os.environ.get("THAW_HOME")
    home = Path(chosen).expanduser().absolute() if chosen else user_data_path("thaw", appauthor=False)
    home.mkdir(parents=True, exist_ok=True)
    return home


def home_folder(*parts: str) -> Path:
    """A folder below `thaw_home()`, made if it is missing."""
    folder = thaw_home().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def folder_in_the_making(final: Path) -> Iterator[Path]:
    """A temporary folder beside `final` that takes its name only if the block ends well.

    A crash leaves a folder that nobody reads, never half a result under the real name. If another process was
    faster, its folder stays and ours is dropped: both hold the same content, since names are content hashes or ids.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
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
