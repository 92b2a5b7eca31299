"""The home folder as what a machine has of a shared store: what is missing is fetched, what was made is put there.

A folder of the home, such as `datasets/<id>`, is an object under the same path. Beside the caches lies a note for each
folder that says what of it is in the store; its time says when the folder was last used. Beyond `THAW_CACHE_GB`
gigabytes, whole folders go that were not used for longest: never what is not in the store, or is in use.
Without `THAW_STORE` none of this is done: the home folder is all there is.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from core.errors import StorageError, StoreError
from core.home import one_at_a_time, sealed, server_folder, temporary_folder, thaw_home, unsealed, write_atomically
from core.objects.store import FILE_NAME, Index, Store, entry_of, store_here
from core.records import read_json
from core.storage import explained, home_path

KINDS: Final = ("datasets", "runs")
LargeKind = Literal["shards", "pieces", "features", "predictions", "results", "sets"]
"""What tasks on large data sets make, see `core.shards.objects`; what consists of others comes after them."""
LARGE: Final = tuple(f"large/{kind}" for kind in get_args(LargeKind))
CACHE_GB: Final = 20.0
LOOK_AGAIN_S: Final = 10.0
"""So long what the store said about a folder is believed."""
JUST_USED_S: Final = 60.0
"""Since its last use a folder is taken to be in use, whoever opened it."""
GONE: Final = 1_000_000_000  # nanoseconds since 1970: older than whatever describes a file that was fetched
_looked: dict[tuple[str, Path], float] = {}
_listed: dict[tuple[str, Path], tuple[float, frozenset[str]]] = {}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    """What of a folder is in the store."""

    store: str
    index: Index
    changed: bool = False
    """Something was written here that could not be put there yet."""
    version: int = 1


def here(folder: Path, name: str) -> Path:
    """The path of a file in a folder of the home, fetched if the store has it and this machine does not.

    Raises:
        StoreError: it would have to be fetched, and the store does not answer.
        StorageError: it is damaged there, or there is no room for it.
    """
    store = store_here()
    if store is None or not folder.is_relative_to(home_path()):
        return folder / name
    note = _fresh(store, folder)
    if note is None or name not in note.index.files:
        return folder / name
    if not (folder / name).exists():
        _fetch(store, folder, note, name)
    with suppress(OSError):
        os.utime(_note_path(folder))
    return folder / name


def is_elsewhere(folder: Path, name: str) -> bool:
    """Whether a file is in the store only, as far as is known here."""
    store = store_here()
    if store is None or (folder / name).exists():
        return False
    note = _read_note(store, folder)
    return note is not None and name in note.index.files


def is_there(folder: Path) -> bool:
    """Whether the store has a folder; asked if that is not known.

    Raises:
        StoreError: it does not answer.
    """
    store = store_here()
    return store is not None and _fresh(store, folder) is not None


def share(folder: Path, *names: str, generation: int = 0) -> None:
    """Put a folder into the store, as it is here now, or these files of it: what of them is gone here goes there.

    Args:
        generation: of a folder that several may make, the highest one counts.

    Raises:
        StoreError: the store does not answer; it is noted that this is still to be done.
    """
    store = store_here()
    if store is None:
        return
    _check_that_all_is_here(store, folder)
    note = _read_note(store, folder)
    if note is not None:
        _write_note(folder, replace(note, changed=True))
    as_a_whole = not names or note is None or note.changed
    wanted = tuple(path.name for path in sorted(folder.iterdir())) if as_a_whole else names
    files = {name: folder / name for name in wanted if re.fullmatch(FILE_NAME, name) and (folder / name).is_file()}
    gone = tuple(name for name in names if name not in files)
    with explained():
        index = store.put(_key(folder), files, generation, gone=gone, rest=note is not None)
    _write_note(folder, _Note(store=store.address, index=index))
    _forget_what_was_said(store, folder)
    _keep_within_budget(0)


def share_unless_there(folder: Path) -> None:
    """The same for a folder that may have been made before there was a store, or while it did not answer."""
    store = store_here()
    if store is None or not folder.is_dir():
        return
    note = _fresh(store, folder)
    if (note is None or note.changed) and folder.is_dir():  # it may have been deleted on another machine
        share(folder)


def forget(folder: Path) -> None:
    """Remove an object, and the note about it; the folder itself is the caller's to remove.

    Raises:
        StoreError: the store does not answer; everything stays.
    """
    store = store_here()
    if store is None:
        return
    store.delete(_key(folder))
    _note_path(folder).unlink(missing_ok=True)
    shutil.rmtree(_note_path(folder).with_suffix(""), ignore_errors=True)  # of what lay below it
    _forget_what_was_said(store, folder)


def fetch_again(folder: Path) -> bool:
    """Drop what is here of a folder whose files were found damaged, if the store has it; whether it has."""
    store = store_here()
    note = None if store is None else _fresh(store, folder)
    if note is None or note.changed:
        return False
    for name in note.index.files:
        (folder / name).unlink(missing_ok=True)
    return True


def is_as_stored(folder: Path) -> bool:
    """Whether all that is here of a folder is, byte for byte, what the store has of it."""
    store = store_here()
    note = None if store is None else _fresh(store, folder)
    files = {} if note is None else note.index.files
    here = {name: entry for name, entry in files.items() if (folder / name).exists()}
    return bool(here) and all(entry_of(folder / name) == entry for name, entry in here.items())


def names_in(folder: Path, here: frozenset[str]) -> frozenset[str]:
    """The names of the folders below one: those of the store, and of those that are here what is not there yet.

    Args:
        here: all that are here. What the store had and has no more was deleted on another machine.
    """
    store = store_here()
    if store is None:
        return here
    said = _listed.get((store.address, folder))
    if said is None or time.monotonic() - said[0] > LOOK_AGAIN_S:
        try:
            there = frozenset(store.keys(_key(folder)))
        except StoreError as error:
            _log.warning("what is in the store is not known: %s", error)
            return here | (said[1] if said else frozenset())
        said = _listed[store.address, folder] = (time.monotonic(), there)
    return said[1] | {name for name in here if _is_ours_alone(_read_note(store, folder / name))}


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Within the block nothing of a folder goes to make room, whichever process makes it."""
    if store_here() is None:
        yield
        return
    from filelock import FileLock

    marks = _marks(folder)
    marks.mkdir(parents=True, exist_ok=True)
    mark = marks / uuid.uuid4().hex
    with FileLock(mark, thread_local=False):
        try:
            yield
        finally:
            with suppress(OSError):
                mark.unlink()


def only_here() -> list[Path]:
    """Folders that could be in the store and are not: made before there was one, or while it did not answer."""
    store = store_here()
    home = thaw_home()
    folders = [folder for kind in (*KINDS, *LARGE) for folder in sorted((home / kind).glob("*")) if folder.is_dir()]
    return [] if store is None else [folder for folder in folders if _is_ours_alone(_fresh(store, folder))]


def is_made_by_tasks(folder: Path) -> bool:
    """Whether a folder is one of `LARGE`."""
    return folder.parent.parent.name == "large"


def cached_bytes() -> int:
    """What lies here that is in the store, too."""
    return sum(size for _, size, _ in _folders())


def budget_bytes() -> int:
    """How much may.

    Raises:
        StorageError: `THAW_CACHE_GB` is no number, or no size.
    """
    chosen = os.environ.get("THAW_CACHE_GB") or str(CACHE_GB)
    try:
        size = int(float(chosen) * 1e9)
    except (ValueError, OverflowError) as error:  # "inf" is a number to Python, too
        raise StorageError("THAW_CACHE_GB is no number: give gigabytes, such as 20.") from error
    if size < 0:
        raise StorageError("THAW_CACHE_GB is below 0: give gigabytes, such as 20.")
    return size


def _is_ours_alone(note: _Note | None) -> bool:
    return note is None or note.changed


def _fresh(store: Store, folder: Path) -> _Note | None:
    """What of a folder is in the store, asked anew now and then; where it does not answer, what was known."""
    note, last = _read_note(store, folder), _looked.get((store.address, folder))
    if note is not None and (note.changed or _is_recent(folder, last)):
        return note
    try:
        index = store.index(_key(folder))
    except StoreError as error:
        if is_made_by_tasks(folder) or (note is None and not folder.is_dir()):
            raise  # tasks elsewhere would not find what this one goes on with
        _log.warning("what is here is used as it is: %s", error)
        return note
    _looked[store.address, folder] = time.monotonic()
    if index is None:
        if note is not None:
            _gone_there(store, folder)
        return None
    if note is None or note.index != index:
        note = _adopt(store, folder, note, index)
    return note


def _check_that_all_is_here(store: Store, folder: Path) -> None:
    """Raises StorageError where another store has what is missing here: half of it would be put into this one."""
    note = _note_at(_note_path(folder))
    if note and note.store != store.address and not all((folder / name).exists() for name in note.index.files):
        raise StorageError("Part of it lies in the store that THAW_STORE named before; copy that one's content first.")


def _is_recent(folder: Path, last: float | None) -> bool:
    """Whether what the store said then still holds: a data set may get another title, what was made stays as it is."""
    stays = folder.parent.name == "runs" or is_made_by_tasks(folder)
    return last is not None and (stays or time.monotonic() - last < LOOK_AGAIN_S)


def _gone_there(store: Store, folder: Path) -> None:
    """It was deleted on another machine, so it goes here, too.

    Raises:
        StorageError: all of the store is gone, which nobody meant; what is here stays.
    """
    if not store.is_there():
        raise StorageError(
            "Nothing of Thaw's is where THAW_STORE says: is the folder mounted, the bucket the right one?"
        )
    shutil.rmtree(folder, ignore_errors=True)
    _note_path(folder).unlink(missing_ok=True)


def _adopt(store: Store, folder: Path, before: _Note | None, index: Index) -> _Note:
    """Take what the store says for true: files that are here and are others there go."""
    known = before.index.files if before else {}
    for name, entry in index.files.items():
        path = folder / name
        if path.exists() and (known[name] if name in known else entry_of(path)) != entry:
            path.unlink()
    for name in set(known) - set(index.files):
        (folder / name).unlink(missing_ok=True)
    note = _Note(store=store.address, index=index)
    _write_note(folder, note)
    return note


def _fetch(store: Store, folder: Path, note: _Note, name: str) -> None:
    """Bring one file here, whole and compared with its hash. Of several who want it, one does."""
    with explained(), one_at_a_time(f"fetch-{_short(folder)[:3]}", lambda: None):
        if (folder / name).exists():
            return
        _keep_within_budget(note.index.files[name].size_bytes, folder)
        with temporary_folder("fetch") as staging:
            try:
                store.get(_key(folder), note.index, name, staging / name)
            except FileNotFoundError as error:
                _forget_what_was_said(store, folder)
                raise StoreError("It was changed or deleted on another machine just now; try again.") from error
            os.utime(staging / name, ns=(time.time_ns(), GONE))
            folder.mkdir(parents=True, exist_ok=True)
            os.replace(staging / name, folder / name)


def _keep_within_budget(coming: int, spared: Path | None = None) -> None:
    """Drop the folders that were not used for longest, until what is coming fits."""
    folders = sorted(_folders())
    over = coming + sum(size for _, size, _ in folders) - budget_bytes()
    for used, size, folder in folders:
        if over <= 0 or time.time() - used < JUST_USED_S:
            return
        if folder != spared and not _is_in_use(folder):
            _let_go(folder)
            over -= size


def _let_go(folder: Path) -> None:
    note = _note_at(_note_path(folder))
    if note is None or note.changed:
        return
    for name in note.index.files:
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # something else lies there, which is ours alone
        folder.rmdir()


def _folders() -> Iterator[tuple[float, int, Path]]:
    """(when it was last used, bytes that are here, folder) of each folder that the store has, too."""
    notes = server_folder("cache", "objects")
    for path in notes.rglob("*.note"):
        note = _note_at(path)
        if note is None or note.changed:
            continue
        folder = home_path() / path.relative_to(notes).with_suffix("")
        size = sum(entry.size_bytes for name, entry in note.index.files.items() if (folder / name).exists())
        if size:
            with suppress(OSError):
                yield path.stat().st_mtime, size, folder


def _is_in_use(folder: Path) -> bool:
    from filelock import FileLock, Timeout

    for mark in _marks(folder).glob("*"):
        try:
            with FileLock(mark, blocking=False):
                mark.unlink(missing_ok=True)  # its process is gone
        except (OSError, Timeout):
            return True
    return False


def _key(folder: Path) -> str:
    return folder.relative_to(home_path()).as_posix()


def _short(folder: Path) -> str:
    return hashlib.sha256(_key(folder).encode()).hexdigest()[:16]


def _note_path(folder: Path) -> Path:
    return home_path() / "cache" / "objects" / f"{_key(folder)}.note"


def _marks(folder: Path) -> Path:
    return home_path() / "cache" / "in-use" / _short(folder)


def _read_note(store: Store, folder: Path) -> _Note | None:
    note = _note_at(_note_path(folder))
    return note if note is not None and note.store == store.address else None


def _note_at(path: Path) -> _Note | None:
    try:
        return read_json(unsealed(path.read_bytes())[0], _Note)
    except (OSError, ValueError, RecursionError):
        return None


@explained()
def _write_note(folder: Path, note: _Note) -> None:
    path = _note_path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, sealed(json.dumps(asdict(note)).encode()))


def _forget_what_was_said(store: Store, folder: Path) -> None:
    """What was said about a folder, and which there are."""
    _looked.pop((store.address, folder), None)
    _listed.pop((store.address, folder.parent), None)
