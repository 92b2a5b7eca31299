"""The one boundary to storage: what the system, the database and tensor files raise becomes a sentence here.

A full disk, a folder that cannot be written, a locked or damaged database are nobody's bug: `explain` knows them all.
Everything else is a bug and stays what it is. Neither the database's library nor the tensors' is imported for this:
where they are not loaded, they have raised nothing.
"""

import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from platformdirs import user_data_path

from core.errors import DatabaseAway, StorageError, ThawError, shown

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_SENTENCE: Final = "The storage is full; nothing was stored. Delete data sets or runs and try again."
DATABASE: Final = "thaw.db"
LONGEST_PATH: Final = 300
_CLOSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_STORAGE: Final = (ConnectionError, ProcessLookupError, ChildProcessError)
"""Errors of the system that are about other things than files."""
_LOCKED: Final = "55P03"
"""PostgreSQL's number for a lock that was waited for in vain."""
_PROBE_BYTES: Final = 1 << 16


def home_path() -> Path:
    """Where the home folder is, whether or not it is there: `THAW_HOME`, else the user's data folder.

    Raises:
        StorageError: it begins with `~` and the name of nobody, or is meant from a folder that is gone.
    """
    chosen = os.environ.get("THAW_HOME")
    if not chosen:
        return user_data_path("thaw", appauthor=False)
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError as error:
        raise StorageError(
            f"THAW_HOME is {shown(chosen)}, which begins with a user that does not exist: name a folder."
        ) from error
    except OSError as error:
        raise StorageError(
            f"THAW_HOME is {shown(chosen)}, to be found from a folder that is not there any more: give its whole path."
        ) from error


def unfolded(where: str | Path) -> Path:
    """The path with its `~` replaced; as it is where that is a user who does not exist, so that nothing is there."""
    try:
        return Path(where).expanduser()
    except RuntimeError:
        return Path(where)


def is_hosted() -> bool:
    """Whether strangers use this server: on Hugging Face Spaces, or where `THAW_HOSTED` says so."""
    return bool(os.environ.get("SPACE_ID") or os.environ.get("THAW_HOSTED"))


@contextmanager
def explained(name: str | None = None) -> Iterator[None]:
    """Within the block, or the function it decorates, whatever `explain` knows is raised as that.

    Args:
        name: what is being written, where that is somebody's own file and not in the home folder.
    """
    try:
        yield
    except Exception as error:
        found = explain(error, name)
        if found is None or found is error:
            raise
        raise found from error


def explain(error: BaseException, name: str | None = None) -> ThawError | None:
    """What an error means to a person; the same one if it says so itself, None if nobody could have expected it."""
    if isinstance(error, ThawError):
        return error
    code = _code_of(error)
    if code in FULL:
        if name is not None:
            return StorageError(
                f"There is no room left for {shown(name)}; nothing was written. Make room and try again."
            )
        return StorageError(FULL_SENTENCE, full=True)
    if code is not None:
        return StorageError(_about_a_file(error, os.strerror(code), code, name))
    if _comes_from(error, "safetensors", "SafetensorError"):
        return StorageError("A file of weights, predictions or features is damaged; train again.")
    return _about_the_database(error) if _comes_from(error, "sqlalchemy.exc", "DBAPIError") else None


def home_sentence(reason: str) -> str:
    """That the home folder cannot be used, and why; strangers are told no path."""
    if is_hosted():
        return f"This server's folder cannot be written ({reason}); nothing was stored. Try again later."
    if os.environ.get("THAW_HOME"):
        return f"THAW_HOME is {_home()}, which cannot be written ({reason}): name a folder that can."
    return f"Thaw's folder is {_home()}, which cannot be written ({reason}): set THAW_HOME to a folder that can."


def _home() -> str:
    """The home folder's path for a message, on one line and not endless; no stranger learns it."""
    if is_hosted():
        return "this server's folder"
    path = str(home_path())
    return path if path.isprintable() and len(path) <= LONGEST_PATH else shown(path, LONGEST_PATH)


def _code_of(error: BaseException) -> int | None:
    """The system's number of an error, if it is the system's; tensor files tell it in their text only."""
    if isinstance(error, OSError) and not isinstance(error, _NO_STORAGE):
        return error.errno  # None in what libraries derive from it: an answer of a server, a picture of no format
    if _comes_from(error, "safetensors", "SafetensorError"):
        found = re.search(r"\(os error (\d+)\)", str(error))
        return int(found[1]) if found else None
    return None


def _comes_from(error: BaseException, module: str, kind: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, kind))


def _about_a_file(error: BaseException, reason: str, code: int, name: str | None) -> str:
    path = getattr(error, "filename", None)
    place = Path(os.fsdecode(path)).absolute() if isinstance(path, str | bytes) else None
    ours = name is None and (place is None or place.is_relative_to(home_path()))
    if ours and code in _CLOSED:
        return home_sentence(reason)
    called = name or (place.name if place else None)
    what = shown(called) if called else "a file"
    return f"{what[0].upper()}{what[1:]} could not be read or written ({reason}); check it and its disk, and try again."


def _about_the_database(error: Any) -> StorageError | None:
    """SQLite says what is wrong by name; of another database, that it does not answer."""
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    said = str(error.orig).splitlines()[0] if str(error.orig) else "no reason given"
    if name.startswith("SQLITE_FULL"):
        return StorageError(FULL_SENTENCE, full=True)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or getattr(error.orig, "sqlstate", None) == _LOCKED:
        return StorageError("The database is locked: another program is using it. Close that program and try again.")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StorageError(damaged_database(said))
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM")):
        return _why_home_fails() or StorageError(
            f"{the_database()} could not be read or written ({said}): its file is closed to us, or the disk is full or "
            f"damaged. Make room there, or {another_database()}.",
            full=name.startswith("SQLITE_IOERR"),
        )
    if name.startswith("SQLITE_ERROR"):
        return StorageError(f"The database is not one that this version of Thaw can use ({said}).")
    if not name and type(error).__name__ in ("OperationalError", "InterfaceError"):  # the text may name a password
        return DatabaseAway("The database that THAW_DATABASE names does not answer; start it, or unset THAW_DATABASE.")
    return None


def damaged_database(reason: str) -> str:
    """That the database cannot be read any more, and what to do."""
    away = another_database() if _is_named() else "move that file away and a new one is begun"
    return f"{the_database()} is damaged ({reason}). {away[0].upper()}{away[1:]}; data sets and the files of runs stay."


def the_database() -> str:
    """The database of runs for a message; its address may hold a password, and no stranger learns of it."""
    return "The database that THAW_DATABASE names" if _is_named() else f"The database {DATABASE} in {_home()}"


def another_database() -> str:
    """How to have another one, for the end of a message."""
    return "name another one in THAW_DATABASE" if _is_named() else "name another folder in THAW_HOME"


def _is_named() -> bool:
    return bool(os.environ.get("THAW_DATABASE")) and not is_hosted()


def _why_home_fails() -> StorageError | None:
    """What the system says when something is written into the home folder, if it minds."""
    try:
        with tempfile.TemporaryFile(dir=home_path()) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
    except OSError as error:
        found = explain(error)
        return found if isinstance(found, StorageError) else None
    return None
