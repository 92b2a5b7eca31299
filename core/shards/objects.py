"""Where what tasks make lies: `THAW_HOME/large/`, a folder for each thing, under the hash of what it is made of.

A folder gets its name when it is whole, so that it is there says that it is done; whoever makes it twice makes the same
and the first one stays. Nothing is ever written to a folder that has its name.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from core.home import folder_in_the_making, home_folder

Kind = Literal["pieces", "shards", "features", "sets", "results", "predictions"]
KINDS: Final[tuple[Kind, ...]] = ("pieces", "shards", "features", "sets", "results", "predictions")


def folder_of(kind: Kind, name: str) -> Path:
    """Where a thing lies, or would."""
    return home_folder("large", kind) / name


def find(kind: Kind, name: str, file: str) -> Path | None:
    """A file of a thing; None as long as it is not done."""
    path = folder_of(kind, name) / file
    return path if path.exists() else None


@contextmanager
def making(kind: Kind, name: str, staging: Path | None = None) -> Iterator[Path]:
    """A folder that becomes the thing, if the block ends well and nobody else was faster."""
    with folder_in_the_making(folder_of(kind, name), staging) as folder:
        yield folder


def drop(kind: Kind, name: str) -> None:
    """Remove a thing that was found damaged: whoever asks for it next makes it again."""
    shutil.rmtree(folder_of(kind, name), ignore_errors=True)


def names_of(kind: Kind) -> list[str]:
    """All that are done."""
    return sorted(path.name for path in home_folder("large", kind).iterdir() if path.is_dir())
