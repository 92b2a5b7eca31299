"""Where what tasks make lies: `THAW_HOME/large/`, a folder for each thing, under the hash of what it is made of.

A folder gets its name when it is whole, so that it is there says that it is done; whoever makes it twice makes the same
and the first one stays. Nothing is ever written to a folder that has its name.
With `THAW_STORE` each thing goes to the store as soon as it is made, and what is here is a bounded cache: a task on
another machine finds all of it. Where the store does not answer, tasks end with a StoreError, and what they made stays.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import StorageError
from core.home import folder_in_the_making, home_folder
from core.objects.cache import LargeKind, forget, here, is_as_stored, is_there, names_in, share_unless_there


def folder_of(kind: LargeKind, name: str) -> Path:
    """Where a thing lies, or would."""
    return home_folder("large", kind) / name


def is_done(kind: LargeKind, name: str) -> bool:
    """Whether a thing is here, or in the store; what is here alone, made before there was one, goes there."""
    folder = folder_of(kind, name)
    with _without_what_is_damaged(folder):
        share_unless_there(folder)
        return folder.is_dir() or is_there(folder)
    return False


def find(kind: LargeKind, name: str, file: str) -> Path | None:
    """A file of a thing, fetched if need be; None as long as it is not done, or where the store has it damaged."""
    folder = folder_of(kind, name)
    with _without_what_is_damaged(folder):
        path = here(folder, file) if is_done(kind, name) else folder / file
        return path if path.exists() else None
    return None


@contextmanager
def _without_what_is_damaged(folder: Path) -> Iterator[None]:
    """A thing that turns out to be damaged in the store goes, there and here: it is not done."""
    try:
        yield
    except StorageError as error:
        if not error.damaged:
            raise
        _remove(folder)


def _remove(folder: Path) -> None:
    forget(folder)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def making(kind: LargeKind, name: str, staging: Path | None = None) -> Iterator[Path]:
    """A folder that becomes the thing, if the block ends well and nobody else was faster."""
    with folder_in_the_making(folder_of(kind, name), staging) as folder:
        yield folder
    share_unless_there(folder_of(kind, name))


def drop(kind: LargeKind, name: str) -> bool:
    """Remove a thing that was found damaged, from the store only if it went there as it is.

    Returns:
        Whether the store has it whole. Otherwise whoever asks for it next makes it again.
    """
    folder = folder_of(kind, name)
    with _without_what_is_damaged(folder):
        if is_there(folder) and not is_as_stored(folder):
            shutil.rmtree(folder, ignore_errors=True)
            return True
        _remove(folder)
    return False


def names_of(kind: LargeKind) -> list[str]:
    """All that are done."""
    folder = home_folder("large", kind)
    return sorted(names_in(folder, frozenset(path.name for path in folder.iterdir() if path.is_dir())))
