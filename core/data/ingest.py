"""Taking pictures in: a source goes in, a data set in the store comes out, all or nothing."""

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.data.bucket import fetch_bucket, is_bucket
from core.data.copies import burst_pairs, name_families, near_pairs, read_squares
from core.data.dataset import (
    MANIFEST,
    ClassFolder,
    Dataset,
    Skipped,
    dataset_folder,
    delete_stored,
    is_readable,
    load_stored,
    manifest_of,
    stored_datasets,
    stored_ids,
)
from core.data.digits import DIGITS
from core.data.pictures import Picture
from core.data.pixels import FILE_NAME as PIXELS
from core.data.pixels import share_pixels
from core.data.reading.child import take_in_contained
from core.data.reading.class_names import check_class_name
from core.data.reading.intake import ROWS, SQUARES, Emit, Request, read_rows, take_in
from core.data.reading.layout import AUTO, check_layout
from core.data.reading.limits import MIN_CLASSES
from core.data.sources import BUILTIN, BUILTIN_TITLE, LISTING
from core.errors import DatasetError
from core.home import (
    INTAKE,
    folder_in_the_making,
    megabytes_here,
    temporary_folder,
    within,
    workspace,
    write_atomically,
)
from core.machine.facts import usable_cores
from core.objects.cache import here, share
from core.visitors.fair_use import admit

ID_LENGTH = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestProgress:
    """How far taking in has come; `stage` is `drawing`, `fetching`, `reading`, `decoding` or `comparing`."""

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


def ingest(
    where: str | Path, on_progress: OnProgress | None = None, title: str | None = None, layout: str = AUTO
) -> Ingested:
    """Bring a data set into the store, or find it there: the same content is never decoded twice.

    What is said about it, its title and what became of every file, is always of what was brought last.

    Args:
        where: `builtin`, `digits`, the id of a stored data set, the path of a zip or a folder, or `s3://bucket/prefix`.
        on_progress: called from this thread, often.
        title: what to call it, where the file's own name says nothing.
        layout: how folders are to be read, see `core.data.reading.layout.LAYOUTS`.

    Raises:
        LayoutQuestion: it can be read in more than one way; nothing was stored.
        DatasetError: nothing usable was found; nothing was stored.
    """
    check_layout(layout)
    report = on_progress or (lambda progress: None)
    if is_bucket(str(where)):
        return _fetched(str(where), report, title, layout)
    here = _find_stored(str(where))
    if here is not None:
        return Ingested(dataset=here, decode_s=0.0)
    if str(where) == BUILTIN:
        if workspace():
            return _lent_by_server(on_progress)
        report(IngestProgress(stage="drawing", done=0, total=1))
    return _taken_in(str(where), report, title, layout)


def _taken_in(where: str, report: OnProgress, title: str | None, layout: str) -> Ingested:
    """What is read and decoded, stored unless the same content is here already."""
    start = time.perf_counter()
    listed: dict[str, Any] = {}

    def emit(message: dict[str, Any]) -> None:
        if "stage" in message:
            report(IngestProgress(**message))
        listed.update(message.get("listed", {}))

    ours = where in (BUILTIN, DIGITS)
    with temporary_folder(INTAKE) as folder:
        stored = tuple(filter(is_readable, stored_ids()))
        request = Request(where=where, folder=str(folder), threads=usable_cores(), stored=stored, layout=layout)
        work: Callable[[Request, Emit], None] = take_in if ours else take_in_contained  # our own pictures are harmless
        work(request, emit)
        dataset_id, listed["title"] = listed["fingerprint"][:ID_LENGTH], title or listed["title"]
        if dataset_id in stored:
            return Ingested(dataset=_retold(load_stored(dataset_id), folder, listed), decode_s=0.0)
        _store(folder, dataset_id, listed, start, report)
    return Ingested(dataset=load_stored(dataset_id), decode_s=time.perf_counter() - start)


def _fetched(where: str, report: OnProgress, title: str | None, layout: str) -> Ingested:
    """What lies in a bucket, by way of a folder that is gone afterwards."""
    start = time.perf_counter()
    with temporary_folder("bucket") as folder:
        path = fetch_bucket(
            where, folder, lambda done, total: report(IngestProgress(stage="fetching", done=done, total=total))
        )
        brought = time.perf_counter() - start
        ingested = ingest(path, report, title, layout)
    return replace(ingested, decode_s=ingested.decode_s + brought) if ingested.decode_s else ingested


def _lent_by_server(on_progress: OnProgress | None) -> Ingested:
    """The built-in set, drawn once for all visitors."""
    own = workspace()
    with within(""):
        shared = ingest(BUILTIN, on_progress)
    return Ingested(dataset=lend(shared.dataset.id, "", own), decode_s=0.0)


def lend(dataset_id: str, lender: str, borrower: str) -> Dataset:
    """Give one workspace a data set of another: both have it, and what either does to its own the other never sees.

    The pixels are one file under two names, where the system can do that; nothing is ever written to a stored file.

    Raises:
        DatasetError: the lender has it no more.
        WorkspaceError: it would be more than the borrower's share.
    """
    with within(lender):
        dataset = load_stored(dataset_id)
        source = here(dataset_folder(dataset_id), PIXELS).parent
    with within(borrower):
        if not is_readable(dataset_id):
            if dataset.kind != BUILTIN:
                _admit(dataset)
            delete_stored(dataset_id)
            with folder_in_the_making(dataset_folder(dataset_id)) as staging:
                share_pixels(source, staging)
                write_atomically(staging / MANIFEST, manifest_of(dataset))
            share(dataset_folder(dataset_id))
        return load_stored(dataset_id)


def _admit(dataset: Dataset) -> None:
    """Whether a visitor of a shared server may keep so much more.

    Raises:
        WorkspaceError: it would be more than the visitor's share.
    """
    admit("pictures", pictures_here, len(dataset.pictures))
    admit("megabytes", megabytes_here, 0)  # what is in the making lies there already


def pictures_here() -> int:
    """How many pictures were brought, in all data sets."""
    return sum(len(dataset.pictures) for dataset in stored_datasets() if dataset.kind != BUILTIN)


def _store(folder: Path, dataset_id: str, listed: Mapping[str, Any], start: float, report: OnProgress) -> None:
    """Make of a folder that was taken in a data set that can be found."""
    if not is_readable(dataset_id):
        delete_stored(dataset_id)  # damaged: this takes its place
    with folder_in_the_making(dataset_folder(dataset_id), folder) as staging:
        dataset = _assemble(staging, listed, start, report)
        if dataset.kind != BUILTIN:
            _admit(dataset)
        for scaffold in (ROWS, SQUARES):
            (staging / scaffold).unlink()
        write_atomically(staging / MANIFEST, manifest_of(dataset))
    share(dataset_folder(dataset_id))


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
        drawn = (d for d in stored_datasets() if d.kind == BUILTIN and d.title == BUILTIN_TITLE)
        return next(drawn, None)  # not one that an earlier Thaw drew: that one's runs keep it
    if where == DIGITS:
        return next((d for d in stored_datasets() if d.kind == DIGITS), None)
    return load_stored(where) if len(where) == ID_LENGTH and where in stored_ids() else None


def _retold(stored: Dataset, folder: Path, listed: Mapping[str, Any]) -> Dataset:
    """A data set that was here already, with what there is to say about the files that were brought now."""
    if stored.kind == BUILTIN:
        return stored
    names: dict[tuple[str, str | None, str], list[str]] = {}
    for row in read_rows(folder):
        names.setdefault((row["class"], row["given"], row["content"]), []).append(row["name"])
    reasons = {row.content: row for row in stored.skipped if row.content}
    pictures = []
    for picture in stored.pictures:
        called = names.get((stored.class_names[picture.target], picture.given, picture.content))
        pictures.append(replace(picture, name=called.pop(0)) if called else picture)
    unknown = Skipped(file="", reason="could not be read")
    skipped = [
        replace(reasons.get(content, unknown), file=name, content=content)
        for (_, _, content), left in names.items()
        for name in left
    ]
    told = replace(stored, pictures=tuple(pictures), kind=listed["kind"], **_said(listed, pictures, skipped))
    if told != stored:
        write_atomically(told.folder / MANIFEST, manifest_of(told))
        share(told.folder, MANIFEST)
    return load_stored(stored.id)


def _said(listed: Mapping[str, Any], pictures: Sequence[Picture], skipped: Sequence[Skipped]) -> dict[str, Any]:
    """The fields of a data set that are about the files as they were brought."""
    broken = [Skipped(file=name, reason=reason, code=code) for name, reason, code in listed["unreadable"]]
    left_out = tuple(sorted((*skipped, *broken), key=lambda row: row.file))
    ignored = tuple(Skipped(file=name, reason=reason) for name, reason in listed["ignored"])
    folders = account_of(listed["class_folders"], [picture.name for picture in pictures], (*left_out, *ignored))
    gone = [
        f"The class folder {row.path} has no usable picture ({row.reason}): it was left out."
        for row in folders
        if not row.used
    ]
    return {
        "title": listed["title"],
        "skipped": left_out,
        "ignored": ignored,
        "notices": (*listed["notices"], *gone),
        "read_as": listed["read_as"],
        "class_folders": folders,
    }


def account_of(
    rows: Sequence[tuple[str, str, str]], used: Sequence[str], left_out: Sequence[Skipped]
) -> tuple[ClassFolder, ...]:
    """What became of the files of every class folder.

    Args:
        rows: path, class, and why it can hold no pictures or empty, of each class folder.
        used: names of the pictures that are used.
        left_out: all other files.
    """
    paths = {path for path, _, _ in rows}
    taken = Counter(home for name in used if (home := _home_of(name, paths)))
    reasons: dict[str, Counter[str]] = {path: Counter() for path in paths}
    for file in left_out:
        if home := _home_of(file.file, paths):
            reasons[home][file.reason] += 1
    return tuple(
        ClassFolder(
            path=path,
            name=name,
            files=taken[path] + reasons[path].total(),
            used=taken[path],
            reason="" if taken[path] else why or _summed(reasons[path]),
        )
        for path, name, why in sorted(map(tuple, rows))
    )


def _home_of(name: str, folders: Collection[str]) -> str:
    """The class folder that a file lies in, or nothing."""
    here = name.rpartition("/")[0]
    while here and here not in folders:
        here = here.rpartition("/")[0]
    return here


def _summed(reasons: Counter[str]) -> str:
    """ "12 files: not a picture"; an empty folder is empty."""
    files = reasons.total()
    told = ", ".join(reason if count == files else f"{count} {reason}" for reason, count in reasons.most_common(3))
    return f"{files} file{'s' * (files != 1)}: {told}" if files else "it is empty"


def _assemble(folder: Path, listed: Mapping[str, Any], start: float, report: OnProgress) -> Dataset:
    """A data set of what lies in the folder, checked."""
    rows = list(read_rows(folder))
    good = [row for row in rows if "place" in row]
    broken = [
        Skipped(file=row["name"], reason=row["reason"], code=row["code"], content=row["content"])
        for row in rows
        if "reason" in row
    ]
    classes = tuple(sorted({row["class"] for row in good}))
    pictures = tuple(_picture(row, classes) for row in good)
    said = _said(listed, pictures, broken)
    if len(classes) < MIN_CLASSES:
        example = "".join(f" The first: {row.file} {row.reason}." for row in said["skipped"][:1])
        raise DatasetError(f"Fewer than {MIN_CLASSES} classes have readable pictures.{example} Nothing was stored.")
    dataset = Dataset(
        id=listed["fingerprint"][:ID_LENGTH],
        kind=listed["kind"],
        fingerprint=listed["fingerprint"],
        class_names=classes,
        # scans of digits look alike, and each was written by hand: none is a near copy of another
        pictures=pictures if listed["kind"] == DIGITS else _with_families(pictures, folder / SQUARES, report),
        decode_s=time.perf_counter() - start,
        added=datetime.now(UTC).isoformat(timespec="seconds"),
        **said,
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
