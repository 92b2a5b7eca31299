"""From a large source to pieces: what lies there is listed, laid out by its folders, and cut. No picture is read.

A folder of class folders is read as every folder is, judged by a few files of each. Its files are dealt out in turn, so
that every piece has of every class what the whole has. A folder of tars is cut tar by tar.
An address, `s3://bucket/prefix`, is read by fsspec; what a piece needs of it is fetched when its turn comes.
"""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

from core.data.bucket import closed
from core.data.pieces import File, Piece
from core.data.reading.candidates import PICTURE_ENDINGS, is_system
from core.data.reading.folder_names import part_of
from core.data.reading.layout import AUTO, Listing, find_layout
from core.data.reading.limits import MAX_DEPTH
from core.data.reading.tars import cut
from core.errors import DatasetError, StorageError
from core.models.download import is_offline
from core.objects.store import SCHEME, lacks_a_key, may_pass
from core.shards.executor import Executor
from core.storage import unfolded

SAMPLE: Final = 50
"""Files of a folder by which it is judged what it is."""
TAR: Final = ".tar"
PACKED: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
WHOLE_UP_TO: Final = 3 * 10**9
"""Bytes of a tar elsewhere that is one shard: WebDataset's own writer makes none larger (`ShardWriter`, maxsize)."""
Row = tuple[str, int, str]
"""Name within its folder, size, stamp."""
Rows = dict[str, list[Row]]
"""By folder, from the root."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What a source turned out to hold."""

    title: str
    pieces: Iterable[Piece]
    """Made one by one, as they are asked for; can be gone through once."""
    count: int
    """Of the pieces."""
    read_as: str
    ignored: int
    """Files that are no pictures of a class, as far as their names and folders tell."""
    notices: tuple[str, ...]


def list_source(where: str, size: int, work: Executor, layout: str = AUTO) -> Listed:
    """The pieces of a folder, a tar, or what lies at an address.

    Args:
        size: pictures of a piece.

    Raises:
        LayoutQuestion: it can be read in more than one way.
        DatasetError: there is nothing to be read there.
    """
    title, root, rows = _rows_of(where)
    tars = [(folder, row) for folder, inside in rows.items() for row in inside if row[0].lower().endswith(TAR)]
    pictures = any(_is_picture(row[0]) for inside in rows.values() for row in inside)
    if tars and not pictures:
        others = sum(map(len, rows.values())) - len(tars)
        return _of_tars(title, root, tars, size, work, others)
    if not pictures:
        packed = any(row[0].lower().endswith(PACKED) for inside in rows.values() for row in inside)
        why = " Its tars are packed: unpack them to plain .tar first." if packed else ""
        raise DatasetError(f"No pictures and no tars were found in {title}.{why}")
    return _of_folders(title, root, rows, size, layout)


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_ENDINGS and not is_system(name)


# -- listing


def _rows_of(where: str) -> tuple[str, str, Rows]:
    """What it is called, the root, and what lies in each folder below it."""
    if "://" in where:
        return _rows_at(where)
    if not where.strip():  # it would be the folder that one stands in
        raise DatasetError("No large data set was named. Give a folder, a tar or s3://bucket/prefix.")
    path = unfolded(where)
    if path.is_file() and path.suffix.lower() == TAR:
        return path.stem, str(path.parent.resolve()), {"": [_row(path.name, path.stat())]}
    if not path.is_dir():
        raise DatasetError(f"There is no folder or tar called {path.name[:80]!r}.")
    root = path.resolve()
    return root.name, str(root), dict(_walk(root))


def _walk(root: Path) -> Iterator[tuple[str, list[Row]]]:
    """Folders with their files, in the order of their names; links to folders are not followed."""
    for folder, inner, _ in os.walk(root):
        inner.sort()
        here = Path(folder).relative_to(root).as_posix()
        inner[:] = [] if len(PurePosixPath(here).parts) > MAX_DEPTH else inner
        with os.scandir(folder) as entries:
            rows = sorted(_row(entry.name, entry.stat()) for entry in entries if entry.is_file())
        yield "" if here == "." else here, rows


def _row(name: str, stat: os.stat_result) -> Row:
    return name, stat.st_size, str(stat.st_mtime_ns)


def files_at(address: str) -> tuple[Any, str]:
    """fsspec's file system behind an address, and the path there.

    Raises:
        DatasetError: what speaks to it is not installed.
    """
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        kind = address.partition("://")[0]
        raise DatasetError(f"{kind}:// cannot be read here; for s3, install thaw-lab[s3].") from error
    return files, str(path).rstrip("/")


def _rows_at(address: str) -> tuple[str, str, Rows]:
    if is_offline() and not address.startswith(("file://", "memory://")):
        raise DatasetError("THAW_OFFLINE forbids to go online, so nothing was fetched.")
    if not address.partition("://")[2].strip("/"):
        raise DatasetError(f"There is nothing at {address}; give s3://bucket/prefix.")
    files, root = files_at(address)
    try:
        found = files.find(root, detail=True)
        found = {path: about if about.get("size") is not None else files.info(path) for path, about in found.items()}
    except Exception as error:
        if lacks_a_key(error) or (isinstance(error, PermissionError) and address.startswith(SCHEME)):
            raise DatasetError(closed(address)) from error
        if not may_pass(error):
            raise
        raise DatasetError(f"{address} cannot be read ({type(error).__name__}).") from error
    rows: Rows = {}
    title, top = root.rpartition("/")[2], address.rstrip("/")
    if list(found) == [root]:  # a tar
        root, title, top = root.rpartition("/")[0], title.removesuffix(TAR), top.rpartition("/")[0]
    for path, about in sorted(found.items()):
        folder, _, name = path.removeprefix(root).lstrip("/").rpartition("/")
        stamp = about.get("ETag") or about.get("LastModified") or about.get("created") or ""
        rows.setdefault(folder, []).append((name, about.get("size") or 0, str(stamp)))
    if not rows:
        raise DatasetError(f"There is nothing at {address}.")
    return title, top, rows


# -- a folder of class folders


def _of_folders(title: str, root: str, rows: Rows, size: int, layout: str) -> Listed:
    sample = [_joined(folder, name) for folder, inside in rows.items() for name in _few(inside)]
    found = find_layout(Listing(names=tuple(sample), folders=tuple(filter(None, rows))), layout=layout)
    placed: dict[str, set[tuple[str, str | None]]] = {}
    for one in found.placed:
        placed.setdefault(one.name.rpartition("/")[0], set()).add((one.class_name, one.split))
    mixed = [folder for folder, classes in placed.items() if len(classes) > 1]
    if mixed:
        raise DatasetError(f"{mixed[0] or title} holds pictures of several classes: give each class a folder.")
    streams = {folder: list(filter(lambda row: _is_picture(row[0]), rows[folder])) for folder in sorted(placed)}
    places = {folder: next(iter(classes)) for folder, classes in placed.items()}
    used = sum(map(len, streams.values()))
    return Listed(
        title=title,
        pieces=_dealt(root, streams, places, size),
        count=-(-used // size),
        read_as=found.read_as,
        ignored=sum(map(len, rows.values())) - used,
        notices=found.notices,
    )


def _few(inside: Sequence[Row]) -> Iterator[str]:
    return islice((name for name, _, _ in inside if _is_picture(name)), SAMPLE)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _dealt(
    root: str, streams: Mapping[str, Sequence[Row]], places: Mapping[str, tuple[str, str | None]], size: int
) -> Iterator[Piece]:
    """Pieces with so many files of all folders, in proportion to what each holds."""

    def spread(folder: str) -> Iterator[tuple[float, File]]:
        (class_name, given), rows = places[folder], streams[folder]
        for number, (name, bytes_, stamp) in enumerate(rows):
            file = File(name=_joined(folder, name), class_name=class_name, given=given, size=bytes_, stamp=stamp)
            yield (number + 0.5) / len(rows), file

    dealt = heapq.merge(*map(spread, streams), key=lambda row: (row[0], row[1].name))
    while files := tuple(file for _, file in islice(dealt, size)):
        yield Piece(root=root, files=files)


# -- a folder of tars


def _of_tars(title: str, root: str, tars: Sequence[tuple[str, Row]], size: int, work: Executor, others: int) -> Listed:
    whole = [
        Piece(root=root, tar=File(name=_joined(folder, row[0]), class_name="", given=_part_in(folder, row[0]),
                                  size=row[1], stamp=row[2]))
        for folder, row in tars
    ]  # fmt: skip
    pieces = [piece for found in work.map(_cut_tar, ((piece, size) for piece in whole)) for piece in found]
    return Listed(
        title=title,
        pieces=pieces,
        count=len(pieces),
        read_as=f"{len(tars):,} tar{'s' * (len(tars) != 1)} with a class beside each picture",
        ignored=others,
        notices=(),
    )


def _part_in(folder: str, name: str) -> str | None:
    """The part that a tar's name or folder says: `train/0001.tar`, `birds-val-0001.tar`."""
    for word in (*PurePosixPath(folder).parts, *name.removesuffix(TAR).replace("_", "-").split("-")):
        if part := part_of(word):
            return part
    return None


def _cut_tar(item: tuple[Piece, int]) -> list[Piece]:
    """A tar in pieces; to cut one that lies elsewhere is to read it, which is done for none of ordinary size."""
    (piece, size), elsewhere = item, "://" in item[0].root
    assert piece.tar is not None
    if elsewhere and piece.tar.size <= WHOLE_UP_TO:
        return [piece]
    with answering(), _opened(piece.root, piece.tar.name) as file:
        return [replace(piece, start=start, end=end) for start, end, _ in cut(file, size, piece.tar.size)]


def _opened(root: str, name: str) -> BinaryIO:
    if "://" not in root:
        return Path(root, name).open("rb")
    files, folder = files_at(root)
    return cast(BinaryIO, files.open(f"{folder}/{name}", "rb"))


@contextmanager
def answering() -> Iterator[None]:
    """What goes wrong between here and the source is not a picture's fault.

    Raises:
        StorageError: it does not answer.
    """
    try:
        yield
    except Exception as error:
        if not may_pass(error) and not lacks_a_key(error):  # this machine's disk is full, say
            raise
        raise StorageError(f"The source does not answer ({type(error).__name__}); try again.") from error


Progress = Callable[[int, int], None]
"""(done, of so many)."""
