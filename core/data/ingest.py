"""Taking pictures in: a source goes in, a data set in the store comes out, all or nothing."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.data.child import take_in_contained
from core.data.copies import burst_pairs, name_families, near_pairs, read_squares
from core.data.dataset import (
    MANIFEST,
    Dataset,
    Picture,
    Skipped,
    dataset_folder,
    delete_stored,
    is_readable,
    load_stored,
    manifest_of,
    stored_datasets,
    stored_ids,
)
from core.data.intake import ROWS, SQUARES, Emit, Request, read_rows, take_in
from core.data.layout import check_class_name
from core.data.sources import BUILTIN, LISTING
from core.errors import DatasetError
from core.home import folder_in_the_making, temporary_folder, write_atomically
from core.machine import usable_cores

ID_LENGTH = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestProgress:
    """How far taking in has come; `stage` is `drawing`, `reading`, `decoding` or `comparing`."""

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
    drawn = str(where) == BUILTIN
    if drawn:
        report(IngestProgress(stage="drawing", done=0, total=1))
    start = time.perf_counter()
    listed: dict[str, Any] = {}

    def emit(message: dict[str, Any]) -> None:
        if "stage" in message:
            report(IngestProgress(**message))
        listed.update(message.get("listed", {}))

    with temporary_folder("intake") as folder:
        stored = tuple(filter(is_readable, stored_ids()))
        request = Request(where=str(where), folder=str(folder), threads=usable_cores(), stored=stored)
        work: Callable[[Request, Emit], None] = take_in if drawn else take_in_contained  # our own drawings are harmless
        work(request, emit)
        dataset_id = listed["fingerprint"][:ID_LENGTH]
        if dataset_id in stored:
            return Ingested(dataset=load_stored(dataset_id), decode_s=0.0)
        final = dataset_folder(dataset_id)
        if not is_readable(dataset_id):
            delete_stored(dataset_id)  # damaged: this takes its place
        with folder_in_the_making(final, folder) as staging:
            dataset = _assemble(staging, {**listed, "title": title or listed["title"]}, start, report)
            for scaffold in (ROWS, SQUARES):
                (staging / scaffold).unlink()
            write_atomically(staging / MANIFEST, manifest_of(dataset))
    return Ingested(dataset=load_stored(dataset_id), decode_s=time.perf_counter() - start)


def ingest_files(
    files: Mapping[str, Sequence[tuple[str, bytes | Path]]], title: str, on_progress: OnProgress | None = None
) -> Ingested:
    """Bring a data set into the store whose files come class by class.

    Args:
        files: class name -> (name as it came, content or where it lies) of each file. Names are only shown.

    Raises:
        DatasetError: nothing usable was found; nothing was stored.
    """
    with temporary_folder("files") as folder:
        rows: list[tuple[str, str, str]] = []
        for class_name, members in files.items():
            check_class_name(class_name)
            for name, content in members:
                stored = f"{len(rows)}"
                if isinstance(content, Path):
                    (folder / stored).symlink_to(content.resolve())
                else:
                    (folder / stored).write_bytes(content)
                rows.append((class_name, name, stored))
        listing = {"title": title, "files": rows}
        (folder / LISTING).write_bytes(json.dumps(listing, ensure_ascii=True).encode())
        return ingest(folder / LISTING, on_progress, title)


def _find_stored(where: str) -> Dataset | None:
    if where == BUILTIN:
        drawn = (d for d in stored_datasets() if d.kind == BUILTIN)
        return next(drawn, None)
    if len(where) == ID_LENGTH and dataset_folder(where).is_dir():
        return load_stored(where)
    return None


def _assemble(folder: Path, listed: Mapping[str, Any], start: float, report: OnProgress) -> Dataset:
    """A data set of what lies in the folder, checked."""
    rows = list(read_rows(folder))
    good = [row for row in rows if "place" in row]
    broken = [Skipped(file=row["name"], reason=row["reason"], code=row["code"]) for row in rows if "reason" in row]
    broken += [Skipped(file=name, reason=reason, code=code) for name, reason, code in listed["unreadable"]]
    classes = tuple(sorted({row["class"] for row in good}))
    if len(classes) < 2:
        example = f" The first: {broken[0].file} {broken[0].reason}." if broken else ""
        raise DatasetError(f"Fewer than 2 classes have readable pictures.{example} Nothing was stored.")
    pictures = [_picture(row, classes) for row in good]
    dataset = Dataset(
        id=listed["fingerprint"][:ID_LENGTH],
        title=listed["title"],
        kind=listed["kind"],
        fingerprint=listed["fingerprint"],
        class_names=classes,
        pictures=_with_families(pictures, folder / SQUARES, report),
        skipped=tuple(sorted(broken, key=lambda row: row.file)),
        ignored=tuple(Skipped(file=name, reason=reason) for name, reason in listed["ignored"]),
        notices=tuple(listed["notices"]),
        decode_s=time.perf_counter() - start,
        added=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    dataset.split(0)  # refuse now what could not be divided later
    return dataset


def _picture(row: Mapping[str, Any], classes: Sequence[str]) -> Picture:
    return Picture(
        name=row["name"],
        target=classes.index(row["class"]),
        given=row["given"],
        content=row["content"],
        group=row["group"],
        place=(row["place"][0], row["place"][1], row["place"][2]),
        size=(row["size"][0], row["size"][1]),
        file_bytes=row["file_bytes"],
        taken=row["taken"],
        notes=tuple(row["notes"]),
    )


def _with_families(pictures: Sequence[Picture], squares: Path, report: OnProgress) -> tuple[Picture, ...]:
    """The pictures, each with its family: near copies by their pixels, bursts by their time."""
    report(IngestProgress(stage="comparing", done=0, total=len(pictures)))
    pairs = [*near_pairs(read_squares(squares)), *burst_pairs([picture.taken for picture in pictures])]
    families = name_families(pictures, pairs)
    return tuple(replace(picture, family=family) for picture, family in zip(pictures, families, strict=True))
