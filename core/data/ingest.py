"""Taking pictures in: find the layout, hash, decode each picture once, write pixels and manifest, all or nothing."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from core.data.dataset import (
    MANIFEST,
    Dataset,
    Picture,
    Skipped,
    dataset_folder,
    load_stored,
    manifest_of,
    stored_datasets,
)
from core.data.decode import decode_picture
from core.data.layout import Placed, find_layout
from core.data.pixels import PixelWriter
from core.data.sources import BUILTIN, Source, open_source
from core.errors import DatasetError, ImageError
from core.home import folder_in_the_making, write_atomically

STORE_VERSION = 1  # part of every fingerprint: with another decoder policy the same files are other pixels
ID_LENGTH = 16
KEEP_BYTES = 128 * 1024**2  # files held from hashing to decoding, so that small sets are read once
_BATCH = 64  # pictures decoded before they are written: bounds what is held in memory


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestProgress:
    """How far taking in has come; `stage` is `drawing`, `reading` or `decoding`."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Ingested:
    """A data set and what bringing it here cost this time."""

    dataset: Dataset
    decode_s: float
    """Seconds spent reading and decoding just now; 0 when the data set was here already."""


OnProgress = Callable[[IngestProgress], None]


def ingest(where: str | Path, on_progress: OnProgress | None = None, title: str | None = None) -> Ingested:
    """Bring a data set into the store, or find it there: the same content is never decoded twice.

    Args:
        where: `builtin`, the id of a stored data set, or the path of a zip or a folder.
        on_progress: called from this thread, often.
        title: what to call it, where the file's own name says nothing.

    Raises:
        DatasetError: nothing usable was found; nothing was stored.
    """
    report = on_progress or (lambda progress: None)
    here = _find_stored(str(where))
    if here is not None:
        return Ingested(dataset=here, decode_s=0.0)
    if str(where) == BUILTIN:
        report(IngestProgress(stage="drawing", done=0, total=1))
    start = time.perf_counter()
    source = open_source(where)
    with closing(source):
        return _ingest_source(replace(source, title=title or source.title), start, report)


def _find_stored(where: str) -> Dataset | None:
    if where == BUILTIN:
        drawn = (d for d in stored_datasets() if d.kind == BUILTIN)
        return next(drawn, None)
    if len(where) == ID_LENGTH and (dataset_folder(where) / MANIFEST).is_file():
        return load_stored(where)
    return None


def _ingest_source(source: Source, start: float, report: OnProgress) -> Ingested:
    layout = find_layout(source.names)
    unreadable: list[Skipped] = []
    contents: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    kept_bytes = 0
    for done, placed in enumerate(layout.placed):
        report(IngestProgress(stage="reading", done=done, total=len(layout.placed)))
        try:
            data = source.read(placed.name)
            contents[placed.name] = hashlib.sha256(data).hexdigest()
            kept_bytes += len(data)
            if kept_bytes <= KEEP_BYTES:
                kept[placed.name] = data
        except ImageError as error:
            unreadable.append(Skipped(file=placed.name, reason=str(error)))
    readable = [placed for placed in layout.placed if placed.name in contents]
    fingerprint = _fingerprint(readable, contents)
    folder = dataset_folder(fingerprint[:ID_LENGTH])
    if (folder / MANIFEST).is_file():
        return Ingested(dataset=load_stored(folder.name), decode_s=0.0)

    ignored = tuple(Skipped(file=name, reason=reason) for name, reason in layout.ignored)
    with folder_in_the_making(folder) as staging:
        pictures, broken = _decode_all(source, readable, contents, kept, staging, report)
        classes = tuple(sorted({name for name, _ in pictures}))
        if len(classes) < 2:
            example = f" The first: {broken[0].file} {broken[0].reason}." if broken else ""
            raise DatasetError(f"Fewer than 2 classes have readable pictures.{example} Nothing was stored.")
        dataset = Dataset(
            id=folder.name,
            title=source.title,
            kind=source.kind,
            fingerprint=fingerprint,
            class_names=classes,
            pictures=tuple(replace(picture, target=classes.index(name)) for name, picture in pictures),
            skipped=tuple(sorted(unreadable + broken, key=lambda row: row.file)),
            ignored=ignored,
            decode_s=time.perf_counter() - start,
            added=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        dataset.split(0)  # refuse now what could not be divided later
        write_atomically(staging / MANIFEST, manifest_of(dataset))
    return Ingested(dataset=load_stored(folder.name), decode_s=time.perf_counter() - start)


def _fingerprint(pictures: list[Placed], contents: dict[str, str]) -> str:
    """SHA-256 over (given split, class, content) of every picture: file names and their order do not matter."""
    rows = sorted(f"{picture.split}\0{picture.class_name}\0{contents[picture.name]}" for picture in pictures)
    text = f"thaw-dataset-{STORE_VERSION}\n" + "\n".join(rows)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _decode_all(
    source: Source,
    placed: list[Placed],
    contents: dict[str, str],
    kept: dict[str, bytes],
    folder: Path,
    report: OnProgress,
) -> tuple[list[tuple[str, Picture]], list[Skipped]]:
    """Decode on all cores (Pillow lets go of the interpreter lock), write in order: (class name, picture), skipped."""
    pictures: list[tuple[str, Picture]] = []
    broken: list[Skipped] = []
    with closing(PixelWriter(folder)) as writer, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for first, batch in _batches(placed):
            report(IngestProgress(stage="decoding", done=first, total=len(placed)))
            files = [
                kept.get(row.name) or _try_read(source, row.name) for row in batch
            ]  # here: a zip is not to be shared between threads
            for row, outcome in zip(batch, pool.map(_try_decode, files), strict=True):
                if isinstance(outcome, str):
                    broken.append(Skipped(file=row.name, reason=outcome))
                    continue
                pixels, group = outcome
                height, width = pixels.shape[:2]
                picture = Picture(
                    name=row.name,
                    target=-1,
                    given=row.split,
                    content=contents[row.name],
                    group=group,
                    place=(writer.append(pixels), height, width),
                )
                pictures.append((row.class_name, picture))
    return pictures, broken


def _batches(placed: list[Placed]) -> Iterator[tuple[int, list[Placed]]]:
    for first in range(0, len(placed), _BATCH):
        yield first, placed[first : first + _BATCH]


def _try_read(source: Source, name: str) -> bytes | str:
    """A file's bytes, or the reason why there are none: it was there when it was hashed and may have gone since."""
    try:
        return source.read(name)
    except ImageError as error:
        return str(error)


def _try_decode(data: bytes | str) -> tuple[np.ndarray, str] | str:
    """Pixels and their hash, or the reason why there are none."""
    if isinstance(data, str):
        return data
    try:
        pixels = decode_picture(data)
    except ImageError as error:
        return str(error)
    height, width = pixels.shape[:2]
    return pixels, hashlib.sha256(f"{height}x{width}".encode() + pixels.tobytes()).hexdigest()
