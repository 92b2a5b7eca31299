"""The store that several machines share: `THAW_STORE`, a folder or `s3://bucket/prefix`.

An object is a set of files under a key, such as `datasets/<id>`. Each file lies there under its SHA-256, and an index,
put in place last and whole, names them: so a reader finds all of an object or none of it, and what has been damaged on
the way or at rest is noticed when it is read. Whoever puts an object that is there already replaces it whole.
Where the store does not answer, it is asked again for a while.
"""

import json
import logging
import os
import random
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from msgspec import Meta

from core.errors import StorageError, StoreError, shown
from core.home import sealed, unsealed
from core.records import Count, Hash, read_json
from core.storage import explain, home_path, unfolded

PATIENCE_S: Final = 20.0
"""So long a store that does not answer is asked again."""
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
WHOLE_TRIES: Final = 3  # a file that came damaged may have been damaged on the way
SCHEME: Final = "s3://"
MARK: Final = "thaw-store.txt"
FILE_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_INDEX: Final = re.compile(r"index-(\d{6})\.json")
_CONNECT_S: Final = 5
_READ_S: Final = 30
_SILENT: Final = "The store that THAW_STORE names does not answer; it is tried again when it is next needed."
_CLOSED: Final = (
    "The store that THAW_STORE names refuses access: check its address and the AWS_... variables, or the folder's "
    "permissions."
)
_NO_KEY: Final = ("NoCredentialsError", "PartialCredentialsError")
"""Of botocore: waiting gives nobody a key."""
_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file of an object."""

    sha256: Hash
    size_bytes: Count


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """What an object consists of."""

    generation: Count = 0
    """Of several, the highest counts: an attempt at a run that was given up does not replace its successor's."""
    files: dict[Annotated[str, Meta(pattern=rf"\A{FILE_NAME}\Z")], Entry] = field(default_factory=dict)
    version: int = 1


class Store:
    """Objects by key. Every call may raise a StorageError, a StoreError where waiting may help."""

    def __init__(self, address: str, patience_s: float = PATIENCE_S) -> None:
        """`address`: a folder's absolute path, or `s3://bucket/prefix`."""
        self.address, self._patience_s = address, patience_s
        self._marked = False
        self._remote = address.startswith(SCHEME)
        self._root = address.removeprefix(SCHEME).rstrip("/") if self._remote else address
        self._files = bucket_files() if self._remote else _folder_files()

    def index(self, key: str) -> Index | None:
        """What an object consists of now; None where there is none.

        Raises:
            StorageError: what lies there is damaged.
        """
        found = {int(match[1]): name for name in self._listed(key) if (match := _INDEX.fullmatch(name))}
        if not found:
            return None
        try:
            text, whole = unsealed(self._ask(partial(self._files.cat_file, self._path(key, found[max(found)]))))
            if not whole:
                raise ValueError("it has no hash")
            return read_json(text, Index)
        except FileNotFoundError:  # replaced or deleted meanwhile
            return self.index(key)
        except (ValueError, RecursionError) as error:
            raise StorageError(damaged(key), damaged=True) from error

    def put(
        self,
        key: str,
        files: Mapping[str, Path],
        generation: int = 0,
        *,
        gone: tuple[str, ...] = (),
        rest: bool = False,
    ) -> Index:
        """Put files under a key, all or nothing; what was there stays until all of it has arrived.

        Args:
            generation: nothing is done where a higher one is there already.
            rest: the object keeps its other files, but for those in `gone`.

        Returns:
            What is there now.
        """
        self._mark()
        before = self.index(key) or Index(generation=generation)
        if before.generation > generation:
            return before
        there = before.files if before.generation == generation else {}
        ours = {name: entry_of(path) for name, path in files.items()}
        for name, entry in ours.items():
            if entry not in there.values():
                self._put_file(files[name], self._path(key, _name_of(entry, generation)))
        kept = {name: entry for name, entry in there.items() if rest and name not in gone}
        after = Index(generation=generation, files={**kept, **ours})
        text = sealed(json.dumps(asdict(after)).encode())
        self._put(self._path(key, f"index-{generation:06d}.json"), lambda place: self._files.pipe_file(place, text))
        self._drop(key, before, after)
        return after

    def get(self, key: str, index: Index, name: str, target: Path) -> None:
        """Bring one file of an object, compared with its hash, to a path where nothing is.

        Raises:
            FileNotFoundError: it is not there any more; the object was replaced or deleted.
            StorageError: it is damaged there.
        """
        entry = index.files[name]
        path = self._path(key, _name_of(entry, index.generation))
        for attempt in range(WHOLE_TRIES):
            self._ask(partial(self._files.get_file, path, str(target)))
            if entry_of(target) == entry:
                return
            _log.warning("%s of %s came damaged from the store, attempt %d", name, key, attempt + 1)
            target.unlink()
        raise StorageError(damaged(key), damaged=True)

    def read(self, key: str, index: Index, name: str, folder: Path) -> bytes:
        """The same for a small file, by way of a folder."""
        target = folder / uuid.uuid4().hex
        self.get(key, index, name, target)
        content = target.read_bytes()
        target.unlink()
        return content

    def delete(self, key: str) -> None:
        """Remove an object, its index first, or all objects below a key; none there is fine."""
        for name in self._listed(key):
            if _INDEX.fullmatch(name):
                self._remove(self._path(key, name))
        with suppress(FileNotFoundError):
            self._ask(partial(self._files.rm, self._path(key), recursive=True))

    def keys(self, key: str) -> list[str]:
        """The names of the objects that are one level below this key."""
        try:
            found = self._ask(partial(self._files.find, self._path(key)))  # with a depth it would ask folder by folder
        except FileNotFoundError:
            return []
        parts = [str(path).rsplit("/", 2) for path in found]
        return sorted({row[-2] for row in parts if _INDEX.fullmatch(row[-1])})

    def is_there(self) -> bool:
        """Whether anything was ever put there: a folder that is not mounted and an emptied bucket look the same."""
        return bool(self._ask(partial(self._files.exists, self._path(MARK))))

    # -- how it is done

    def _mark(self) -> None:
        if not self._marked and not self.is_there():
            self._put(self._path(MARK), lambda place: self._files.pipe_file(place, b"Thaw keeps its objects here.\n"))
        self._marked = True

    def _path(self, *parts: str) -> str:
        return "/".join((self._root, *parts))

    def _listed(self, key: str) -> list[str]:
        try:
            rows = self._ask(partial(self._files.ls, self._path(key), detail=False))
        except FileNotFoundError:
            return []
        return sorted(str(row).rstrip("/").rpartition("/")[2] for row in rows)

    def _put_file(self, source: Path, path: str) -> None:
        self._put(path, lambda place: self._files.put_file(str(source), place))

    def _put(self, path: str, write: Callable[[str], object]) -> None:
        """A PUT on S3 is all or nothing; in a folder, a file gets its name when it is whole."""

        def put() -> None:
            if self._remote:
                write(path)
                return
            staged = f"{path}.{uuid.uuid4().hex}.part"
            write(staged)
            os.replace(staged, path)

        try:
            self._ask(put)
        except FileNotFoundError as error:
            raise StorageError("There is no bucket or folder where THAW_STORE says; make it first.") from error

    def _drop(self, key: str, before: Index, after: Index) -> None:
        """What the new index does not name any more; that it stays lying there would harm nobody."""
        kept = {_name_of(entry, after.generation) for entry in after.files.values()}
        old = {_name_of(entry, before.generation) for entry in before.files.values()} - kept
        old |= {f"index-{before.generation:06d}.json"} if before.generation < after.generation else set()
        for name in sorted(old, reverse=True):  # the index first
            with suppress(StorageError):
                self._remove(self._path(key, name))

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._ask(partial(self._files.rm_file, path))

    def _ask(self, what: Callable[[], T]) -> T:
        return ask(what, self._patience_s)


def ask(what: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What a store says, asked again while it does not answer.

    Raises:
        FileNotFoundError: there is no such file, or no such bucket.
        StoreError: it did not answer for so long.
        StorageError: it refuses, or there is no room.
    """
    last, pause = time.monotonic() + patience_s, FIRST_PAUSE_S
    while True:
        try:
            return what()
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise StorageError(_CLOSED) from error
        except Exception as error:
            if not may_pass(error) or time.monotonic() + pause > last:
                raise _in_words(error) from error
            _log.info("the store does not answer (%s), trying again", type(error).__name__)
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, LONGEST_PAUSE_S)


def store_here(patience_s: float = PATIENCE_S) -> Store | None:
    """The store that `THAW_STORE` names; None where everything lies in the home folder alone.

    Args:
        patience_s: so long it is asked again where it does not answer.

    Raises:
        StorageError: it names none that can be used.
    """
    chosen = os.environ.get("THAW_STORE")
    return _store_at(chosen, os.environ.get("AWS_ENDPOINT_URL"), patience_s) if chosen else None


@lru_cache(maxsize=8)
def _store_at(chosen: str, endpoint: str | None, patience_s: float) -> Store:
    if chosen.startswith(SCHEME):
        if not chosen.removeprefix(SCHEME).strip("/"):
            raise StorageError("THAW_STORE names no bucket: write s3://bucket/prefix.")
        return Store(chosen, patience_s)
    if "://" in chosen:
        raise StorageError("THAW_STORE is neither a folder nor s3://bucket/prefix.")
    folder = unfolded(chosen).absolute()
    if chosen.startswith("~") and unfolded(chosen) == Path(chosen):
        raise StorageError(f"THAW_STORE is {shown(chosen)}, which begins with a user that does not exist.")
    if folder == home_path() or folder.is_relative_to(home_path()):
        raise StorageError("THAW_STORE lies in THAW_HOME, which each machine has of its own: name another folder.")
    return Store(str(folder), patience_s)


def entry_of(path: Path) -> Entry:
    """What an index says about a file."""
    with path.open("rb") as file:
        return Entry(sha256=file_digest(file, "sha256").hexdigest(), size_bytes=path.stat().st_size)


def damaged(key: str) -> str:
    """What is said of an object that is not what was stored."""
    kind, _, name = key.rpartition("/")
    what = {"datasets": "data set", "runs": "run"}.get(kind.rpartition("/")[2], "object")
    again = {"data set": "add the same pictures again", "run": "train again"}.get(what, "it is made again")
    return f"The {what} {name!r} is damaged in the store that THAW_STORE names. Delete it, and {again}."


def bucket_files() -> Any:
    """Files of S3 buckets, by fsspec: credentials and region come from the environment, as AWS's own tools read them.

    Raises:
        StorageError: what speaks to S3 is not installed.
    """
    return _bucket_files(os.environ.get("AWS_ENDPOINT_URL"))


@lru_cache(maxsize=2)  # a second each
def _bucket_files(endpoint: str | None) -> Any:
    import fsspec

    try:
        files = fsspec.filesystem(
            "s3",
            endpoint_url=endpoint,
            use_listings_cache=False,  # other machines change what is there
            skip_instance_cache=True,
            config_kwargs={
                "connect_timeout": _CONNECT_S,
                "read_timeout": _READ_S,
                "retries": {"mode": "standard", "total_max_attempts": 2},
            },
        )
    except ImportError as error:
        raise StorageError("An address that begins with s3:// needs one package more: install thaw-lab[s3].") from error
    files.retries = 1  # how long is tried is said here alone
    return files


def _folder_files() -> Any:
    import fsspec

    return fsspec.filesystem("file", auto_mkdir=True, skip_instance_cache=True)


def _name_of(entry: Entry, generation: int) -> str:
    return f"{generation:06d}-{entry.sha256}"


def may_pass(error: Exception) -> bool:
    """Whether it may work a moment later: a network, an overloaded server, a file system that was away."""
    kinds: list[type] = [OSError]
    for place, names in (("botocore.exceptions", ("BotoCoreError", "ClientError")), ("aiohttp", ("ClientError",))):
        kinds += [getattr(sys.modules[place], name) for name in names if place in sys.modules]
    return isinstance(error, tuple(kinds)) and not _is_full(error) and not lacks_a_key(error)


def lacks_a_key(error: Exception) -> bool:
    """Whether nobody has given this process what a bucket is opened with."""
    return type(error).__name__ in _NO_KEY


def _is_full(error: Exception) -> bool:
    found = explain(error)
    return isinstance(found, StorageError) and found.full


def _in_words(error: Exception) -> Exception:
    """What is said of it; a bug stays what it is."""
    if lacks_a_key(error):
        return StorageError(_CLOSED)
    if _is_full(error):
        return explain(error) or error
    return StoreError(_SILENT) if may_pass(error) else error
