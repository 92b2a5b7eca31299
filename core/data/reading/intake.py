"""The hands that touch strangers' bytes: a listing is laid out, every file hashed, every picture decoded once.

Run as a process of its own (`python -m core.data.reading.intake`, see `core.data.reading.child`), so that a decoder
that crashes, hangs or eats memory takes nothing else with it. What is done is on disk batch by batch, so that another
process can go on.
Imports neither torch nor numpy nor anything that draws pages: whoever brings pictures waits for it to start.
"""

import errno
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

from core.data.fingerprint import fingerprint_of
from core.data.pieces import open_piece
from core.data.pixels import PixelWriter
from core.data.reading import limits
from core.data.reading.decode import read_picture
from core.data.reading.gifs import is_animated_gif, is_gif
from core.data.reading.layout import AUTO, Layout, Listing, Placed, find_layout
from core.data.sources import Source, open_source
from core.data.squares import SQUARE_BYTES, square_of
from core.errors import DatasetError, ImageError, LayoutQuestion
from core.machine.process import die_with_parent
from core.machine.streams import in_streams

ROWS: Final = "rows.jsonl"
SQUARES: Final = "squares.u8"  # of the pictures in `ROWS` that could be read, one after the other
KEEP_BYTES: Final = 256 * 1024**2  # files held from hashing to decoding, so that small sets are read once
KEEP_EACH_BYTES: Final = 1024**2  # larger ones are read again: decoding them takes much longer than that
HANDFUL: Final = 16  # files that a thread reads and hashes at a time
BATCH: Final = 64  # pictures that are decoded or waiting to be written at once: bounds what is held in memory

FEW_GIFS: Final = 0.05  # share of a class's pictures up to which GIFs among others are no pictures
PLACEHOLDER: Final = "GIF among photos, taken for a placeholder"

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is to be taken in, and how."""

    where: str
    folder: str
    """Where pixels and rows go; what an earlier process left there is built upon."""
    threads: int
    stored: tuple[str, ...]
    """Beginnings of the fingerprints that are here already: nothing is decoded for them."""
    culprits: tuple[tuple[str, str], ...] = ()
    """Files that ended an earlier process, with the reason: left out."""
    layout: str = AUTO
    """How the listing is to be read, see `core.data.reading.layout`."""
    piece: bool = False
    """`where` describes a piece of a large source, see `core.data.pieces`: it may be of a single class, or of none."""
    one_by_one: bool = False
    """Say which picture comes next before decoding it, and decode one at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What a source turned out to hold, before any picture is decoded."""

    title: str
    kind: str
    fingerprint: str
    ignored: tuple[tuple[str, str], ...]
    unreadable: tuple[tuple[str, str, str], ...]
    """Name, reason, code."""
    notices: tuple[str, ...]
    read_as: str
    """What the listing was understood to be."""
    class_folders: tuple[tuple[str, str, str], ...]
    """See `core.data.reading.layout.Layout`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What is kept of a picture that could be read."""

    pixels: bytes
    """(H, W, 3) uint8."""
    square: bytes
    """(S, S, 3) uint8, see `core.data.squares`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hashed:
    """A file that could be read, by its bytes."""

    placed: Placed
    content: str
    """SHA-256 of its bytes."""
    is_gif: bool
    is_animated: bool


TakenIn = tuple[dict[str, Any], Kept | None]
"""What is to be written about a file, and its pixels if it has any."""


def take_in(request: Request, emit: Emit) -> None:
    """Do the work; `emit` is told of progress and, at the end, what was `listed`.

    Raises:
        DatasetError: the whole cannot be used.
    """
    with closing(_open(request, emit)) as source:
        placed, listed, kept = _list(source, request, emit)
        try:
            if listed.fingerprint.startswith(request.stored):
                _write_known(Path(request.folder), placed)
            else:
                _decode_all(source, placed, request, kept, emit)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise DatasetError(
                "The storage is full; nothing was stored. Delete data sets or runs and try again."
            ) from error
    emit({"listed": asdict(listed)})


def _open(request: Request, emit: Emit) -> Source:
    if request.piece:
        return open_piece(Path(request.where))
    return open_source(request.where, lambda done, total: emit({"stage": "drawing", "done": done, "total": total}))


def _layout_of(source: Source, request: Request) -> Layout:
    if request.piece:
        return Layout(placed=source.placed or (), ignored=())
    listing = Listing(names=source.names, folders=source.folders, links=source.links, closed=source.closed)
    return find_layout(listing, source.placed, head=source.head, read=source.read, layout=request.layout)


def _list(source: Source, request: Request, emit: Emit) -> tuple[list[tuple[Placed, str]], Listed, dict[str, bytes]]:
    """Readable pictures with the hash of their bytes, what is known of the whole, and the first files' bytes."""
    layout = _layout_of(source, request)
    unreadable = [(name, reason, "IMG_FORMAT") for name, reason in layout.unread.items()]
    wanted = [placed for placed in layout.placed if placed.name not in layout.unread]
    found: list[Hashed] = []
    kept: dict[str, bytes] = {}
    room = KEEP_BYTES
    handfuls = [wanted[start : start + HANDFUL] for start in range(0, len(wanted), HANDFUL)]
    read = in_streams(partial(_read_handful, source), handfuls, request.threads)
    for done, (hashed, data) in enumerate(chain.from_iterable(read)):
        if done % BATCH == 0:
            emit({"stage": "reading", "done": done, "total": len(wanted)})
        if isinstance(hashed, ImageError):
            unreadable.append((wanted[done].name, str(hashed), hashed.code))
            continue
        found.append(hashed)
        room -= len(data)
        if data and room > 0:
            kept[hashed.placed.name] = data
    stand_ins = dict.fromkeys([] if source.placed is not None else placeholders(found))
    readable = [(row.placed, row.content) for row in found if row.placed.name not in stand_ins]
    listed = Listed(
        title=source.title,
        kind=source.kind,
        fingerprint=fingerprint_of((placed.split, placed.class_name, content) for placed, content in readable),
        ignored=(*source.refused, *layout.ignored, *((name, PLACEHOLDER) for name in stand_ins)),
        unreadable=tuple(unreadable),
        notices=(*source.notices, *layout.notices),
        read_as=layout.read_as,
        class_folders=layout.class_folders,
    )
    return readable, listed, kept


def placeholders(found: Sequence[Hashed]) -> list[str]:
    """GIFs among other pictures of a class that stand for ones that are gone: downloads leave "image not found" there.

    They are the same file again and again, or few; and a class is never emptied of its pictures by this. None of them
    moves: an animation was made of something.
    """
    gifs = [row for row in found if row.is_gif]
    recurring = {content for content, count in Counter(row.content for row in gifs).items() if count > 1}
    in_all = Counter(row.placed.class_name for row in found)
    in_gifs = Counter(row.placed.class_name for row in gifs)
    few = {name for name, count in in_gifs.items() if count <= max(1, FEW_GIFS * in_all[name])}
    others = {(row.placed.split, row.placed.class_name) for row in found if not row.is_gif}
    return [
        row.placed.name
        for row in gifs
        if not row.is_animated
        and (row.placed.split, row.placed.class_name) in others
        and (row.content in recurring or row.placed.class_name in few)
    ]


def _read_handful(source: Source, handful: Sequence[Placed]) -> list[tuple[Hashed | ImageError, bytes]]:
    """Some files with the hash of their bytes, or why there is none, and the bytes if they are few. In any thread."""
    rows: list[tuple[Hashed | ImageError, bytes]] = []
    for placed in handful:
        data = _try_read(source, placed.name)
        if isinstance(data, ImageError):
            rows.append((data, b""))
        else:
            content, animated = hashlib.sha256(data).hexdigest(), is_animated_gif(data)
            hashed = Hashed(placed=placed, content=content, is_gif=is_gif(data), is_animated=animated)
            rows.append((hashed, data if len(data) <= KEEP_EACH_BYTES else b""))
    return rows


def _try_read(source: Source, name: str) -> bytes | ImageError:
    try:
        return source.read(name)
    except ImageError as error:
        return error


def _decode_all(
    source: Source, placed: list[tuple[Placed, str]], request: Request, kept: dict[str, bytes], emit: Emit
) -> None:
    """Decode on all cores (Pillow lets go of the interpreter lock), write in order what no earlier process has done."""
    folder, culprits = Path(request.folder), dict(request.culprits)
    done, readable, end = _done_before(folder)
    left = [row for row in placed if row[0].name not in done]
    before = len(placed) - len(left)

    def files() -> Iterator[tuple[Placed, str]]:
        for number, (row, content) in enumerate(left):
            if request.one_by_one:
                emit({"next": row.name})
            if request.one_by_one or number % BATCH == 0:
                emit({"stage": "decoding", "done": before + number, "total": len(placed)})
            yield row, content

    def taken_in(row: tuple[Placed, str]) -> TakenIn:
        """Called in any thread; the file may have gone since it was hashed."""
        name = row[0].name
        if name in culprits:
            return _taken_in(*row, ImageError(culprits[name], "IMG_CONTAINED"))
        return _taken_in(*row, kept.pop(name, b"") or _try_read(source, name))

    waiting = 0 if request.one_by_one else BATCH
    with (
        closing(PixelWriter(folder, end)) as pixels,
        (folder / SQUARES).open("ab", buffering=0) as squares,
        (folder / ROWS).open("ab") as rows,
    ):
        squares.truncate(readable * SQUARE_BYTES)
        for number, (row, read) in enumerate(in_streams(taken_in, files(), request.threads, waiting), start=1):
            if read is not None:
                row["place"][0] = pixels.append(read.pixels)
                squares.write(read.square)
            rows.write(json.dumps(row).encode() + b"\n")
            if request.one_by_one or number % BATCH == 0:
                pixels.flush()
                rows.flush()


def _write_known(folder: Path, placed: list[tuple[Placed, str]]) -> None:
    """Of pictures that are here already what they are called this time."""
    with (folder / ROWS).open("ab") as rows:
        for row, content in placed:
            known = {"name": row.name, "class": row.class_name, "given": row.split, "content": content}
            rows.write(json.dumps(known).encode() + b"\n")


def _done_before(folder: Path) -> tuple[set[str], int, int]:
    """Names that an earlier process has dealt with, how many of them it could read, and where its pixels end."""
    done, readable, end = set(), 0, 0
    path = folder / ROWS
    if path.exists():
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.rfind(b"\n") + 1])  # a row that was cut off is done again
        for row in map(json.loads, path.read_text(encoding="utf-8", errors="surrogatepass").splitlines()):
            done.add(row["name"])
            if "place" in row:
                offset, height, width = row["place"]
                readable, end = readable + 1, offset + height * width * 3
    return done, readable, end


def _taken_in(placed: Placed, content: str, file: bytes | ImageError) -> TakenIn:
    try:
        if isinstance(file, ImageError):
            raise file
        picture = read_picture(file, placed.name)
    except ImageError as error:
        known = {"name": placed.name, "content": content}
        return {**known, "reason": str(error), "code": error.code}, None
    pixels, (width, height) = picture.image.tobytes(), picture.image.size
    group = hashlib.sha256(f"{height}x{width}".encode())
    group.update(pixels)
    row: dict[str, Any] = {"name": placed.name, "class": placed.class_name, "given": placed.split, "content": content}
    row |= {"group": group.hexdigest(), "place": [0, height, width], "size": picture.size, "taken": picture.taken}
    row |= {"file_bytes": len(file), "notes": picture.notes}
    return row, Kept(pixels=pixels, square=square_of(picture.image).tobytes())


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """What was written about each file, in order."""
    path = folder / ROWS
    if path.exists():
        with path.open("rb") as file:
            yield from map(json.loads, file)


def _lower_limits(entries: int) -> None:
    """Take from this process what it does not need, where the system has limits for processes.

    Its turn at the processor is left to it: whoever brings pictures waits for them, as others wait for a page.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    cpu = int(limits.CPU_S + limits.CPU_EACH_S * entries)
    for kind, most in (
        (resource.RLIMIT_AS, limits.MEMORY_BYTES),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, limits.MAX_PIXEL_FILE_BYTES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _request(values: dict[str, Any]) -> Request:
    culprits = tuple((name, reason) for name, reason in values["culprits"])
    return Request(**{**values, "culprits": culprits, "stored": tuple(values["stored"])})


def main() -> None:
    """Read a request from standard input, tell on standard output, one JSON object a line."""
    request = json.loads(sys.stdin.readline())
    die_with_parent()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is not part of what is told

    def emit(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=out, flush=True)

    _lower_limits(limits.MAX_FILES_IN_FOLDER)
    try:
        take_in(_request(request), emit)
    except LayoutQuestion as question:
        emit({"question": question.reason, "offers": question.offers})
    except DatasetError as error:
        emit({"refused": str(error)})


if __name__ == "__main__":
    main()
