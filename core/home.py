"""Where Thaw keeps everything: one folder, `THAW_HOME`. Nothing is written anywhere else.

Where strangers share a server, each has a workspace: a home of its own below the server's. Whose is meant is asked
here, under everything that opens a file, so that nothing above can forget to ask. Weights, speeds and downloads are the
server's.

Whatever the system refuses here, or in a block that one of these functions guards, is a StorageError with a sentence.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from core.errors import StorageError, WorkspaceError
from core.storage import explained, home_path, home_sentence

ABANDONED_AFTER_S = 86_400.0
LOOK_AGAIN_S = 0.2
BELIEVED_S: Final = 1.0
"""That the home folder is there, since it was last looked for: a page asks for it a hundred times."""
WORKSPACES: Final = "workspaces"
INTAKE: Final = "intake"
"""What a temporary folder is for whose content is about to be kept, and counts already."""
_STAGING: Final = "staging"
GONE: Final = "This workspace is not here any more: it was deleted, or its time was up. Reload the page to begin anew."
_SEAL: Final = re.compile(rb'\{"sha256": "([0-9a-f]{64})",')
_NO_SEAL: Final = re.compile(rb'\{\s*"version"')


_said: ContextVar[str | None] = ContextVar("workspace", default=None)
_ask: Callable[[], str] = str
"""Whose workspace is meant where nobody has said so; a server that tells visitors apart replaces it."""


_looked: dict[Path, float] = {}


def workspace() -> str:
    """The id of the workspace whose files are meant; empty for the server's own, the only ones of a single user."""
    said = _said.get()
    return _ask() if said is None else said


def ask_for_workspace(ask: Callable[[], str]) -> Callable[[], str]:
    """Let `ask` say from now on, in every thread, whose files are meant; what said it before.

    Args:
        ask: gives an id, or raises where it cannot tell: never the server's own files by accident.
    """
    global _ask
    before, _ask = _ask, ask
    return before


@contextmanager
def within(workspace: str) -> Iterator[None]:
    """Mean the files of this workspace in the block, in this thread; of the server itself where it is empty."""
    before = _said.set(workspace)
    try:
        yield
    finally:
        _said.reset(before)


def thaw_home() -> Path:
    """The folder of data sets, caches, runs and the database: the server's, or below it that of the workspace.

    Raises:
        StorageError: it cannot be made.
        WorkspaceError: the workspace was deleted.
    """
    home, own = server_home(), workspace()
    if not own:
        return home
    home = home / WORKSPACES / own
    if not home.is_dir():
        raise WorkspaceError(GONE)
    return home


def server_home() -> Path:
    """`THAW_HOME` if set, else the user's data folder; what is nobody's own lies there: weights, speeds, downloads.

    Raises:
        StorageError: it cannot be made.
    """
    home = home_path()
    now = time.monotonic()
    if now - _looked.get(home, -BELIEVED_S) < BELIEVED_S:
        return home
    try:
        home.mkdir(parents=True, exist_ok=True)
        _looked.clear()
        _looked[home] = now
    except OSError as error:
        reason = "it is a file" if os.path.isfile(home) else os.strerror(error.errno or 0)
        raise StorageError(home_sentence(reason)) from error
    return home


def home_folder(*parts: str) -> Path:
    """A folder below `thaw_home()`, made if it is missing."""
    return _made(thaw_home().joinpath(*parts))


def server_folder(*parts: str) -> Path:
    """A folder below `server_home()`, made if it is missing."""
    return _made(server_home().joinpath(*parts))


@explained()
def _made(folder: Path) -> Path:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def megabytes_here() -> float:
    """What is kept in `thaw_home()`, or just being taken in; a file with two names counts once.

    What only passes through is not: a zip as it was uploaded, or one that was packed to be taken away. What the server
    lends to everybody is nobody's: the built-in set's pixels are one file in all workspaces.
    """
    lent = _sizes_in(server_home() / "datasets") if workspace() else {}
    return sum(size for file, size in _sizes_in(thaw_home()).items() if file not in lent) / 1e6


def _sizes_in(top: Path) -> dict[tuple[int, int], int]:
    """Bytes of all files that are kept below a folder, by what tells a file whatever its names."""
    sizes: dict[tuple[int, int], int] = {}
    for folder, below, names in os.walk(top):
        if folder == str(top / _STAGING):
            below[:] = [name for name in below if name.startswith(INTAKE)]
        for name in names:
            with suppress(OSError):  # gone meanwhile
                found = os.lstat(os.path.join(folder, name))
                sizes[found.st_dev, found.st_ino] = found.st_size
    return sizes


@contextmanager
def one_at_a_time(name: str, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock of this name, which one thread of one process has at a time; it goes with its process.

    Args:
        waiting: called again and again while somebody else holds it; it may raise, to wait no longer.
    """
    from filelock import FileLock, Timeout  # few need it

    lock = FileLock(server_folder("locks") / f"{name}.lock", thread_local=False)
    while not lock.is_locked:
        with suppress(Timeout):
            lock.acquire(timeout=LOOK_AGAIN_S)
            break
        waiting()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder below `thaw_home()` that is gone after the block, whatever happens in it.

    A locked file beside it says that somebody works in it. The lock ends with its process, and the next one sweeps.
    """
    from filelock import FileLock

    staging = home_folder(_STAGING)
    _sweep(staging)
    folder = staging / f"{purpose}-{uuid.uuid4().hex[:12]}"
    mark = folder.with_name(f"{folder.name}.lock")
    with explained(), FileLock(mark, thread_local=False):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # Windows keeps what is open; the next one sweeps
                mark.unlink()


@explained()
def sweep_staging() -> None:
    """Remove what processes have left behind that died in the middle, for whoever has nothing to put there."""
    staging = thaw_home() / _STAGING
    if staging.is_dir():
        _sweep(staging)


def _sweep(staging: Path) -> None:
    """Remove what processes have left there that died in the middle; never what somebody works in, however long."""
    from filelock import FileLock, Timeout

    marks = set(staging.glob("*.lock"))
    for mark in marks:
        with suppress(OSError, Timeout), FileLock(mark, blocking=False):
            shutil.rmtree(mark.with_suffix(""), ignore_errors=True)
            mark.unlink(missing_ok=True)
    for left in set(staging.iterdir()) - marks:  # an older Thaw made no marks
        with suppress(OSError):
            is_old = time.time() - left.stat().st_mtime > ABANDONED_AFTER_S
            if is_old and not left.with_name(f"{left.name}.lock").exists():
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def folder_in_the_making(final: Path, staging: Path | None = None) -> Iterator[Path]:
    """A temporary folder, or a given one, that takes the name `final` only if the block ends well.

    A crash leaves a folder that nobody reads and the next one sweeps, never half a result under the real name. If
    another process was faster, its folder stays and ours is dropped: both hold the same content, since names are
    content hashes or ids.
    """
    with explained(), ExitStack() as until_the_end:
        final.parent.mkdir(parents=True, exist_ok=True)
        folder = staging or until_the_end.enter_context(temporary_folder("making"))
        try:
            yield folder
            try:
                folder.rename(final)
            except OSError:
                if not final.is_dir():
                    raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def ordinary(path: Path) -> Path:
    """The path, if an ordinary file is there: reading anything else, as a device or a pipe, may never end.

    Raises:
        OSError: there is none.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    return path


@explained()
def write_atomically(
    path: Path, content: bytes, while_ours: Callable[[], AbstractContextManager[object]] = nullcontext
) -> None:
    """Write a file so that a reader sees the old content or the new, never a part (temporary name, fsync, rename).

    Args:
        while_ours: entered to put it in its place; raises where it is no longer ours to do.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with while_ours():
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
        ValueError: it is not what it was when it was sealed, or begins as neither does.
    """
    seal = _SEAL.match(text)
    if seal is None and _NO_SEAL.match(text):
        return text, False
    if seal is None:
        raise ValueError("the file has neither its hash nor its version")
    rest = b"{" + text[seal.end() :]
    if hashlib.sha256(rest).hexdigest().encode() != seal[1]:
        raise ValueError("the file has changed since it was written")
    return rest, True
