"""From a listing of files to classes and parts: the ways people lay out pictures, decided by how folders are built.

What was understood is always said, what was left out is named, and where two readings are possible a person is asked.
`core.data.reading.structure` reads folders, `core.data.reading.labels` tables and file names.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final

from core.data.reading.candidates import INNER_ARCHIVE, SYSTEM_FILE, Head, SortedFiles, is_system, sort_files
from core.data.reading.class_names import EXAMPLE, check_classes
from core.data.reading.folder_names import listed, part_of
from core.data.reading.labels import LABEL_NAMES, MAX_TABLES, Labelling, labellings, labels_in_names, why_no_labels
from core.data.reading.limits import MIN_CLASSES
from core.data.reading.structure import (
    A_MASK,
    FOLDERS,
    LABELLED,
    SUBFOLDERS,
    Reading,
    flattened,
    masks_beside,
    masks_in,
    read_as,
    readings_of,
)
from core.data.reading.tree import Folder, tree_of
from core.errors import DatasetError, LayoutQuestion

AUTO: Final = "auto"
FILE_NAMES: Final = "file-names"
TABLE: Final = "table"
LAYOUTS: Final = (AUTO, FOLDERS, SUBFOLDERS, LABELLED, FILE_NAMES, TABLE)
"""What can be asked for; a table's column may follow: `table:breed`."""
LAYOUT_HELP: Final = (
    "how folders are read: folders (each is a class), subfolders (those in them are), labelled (each is but test, val, "
    "masks and samples beside them), file-names (cat.0.jpg), table (a CSV; table:COLUMN); auto decides or asks"
)

_ORDER: Final = ("train", "val", "test")
SAID_OF: Final = 3
"""Tables of which it is said what is wrong with them."""
_OTHER_TABLES: Final = frozenset({".json", ".ods", ".parquet", ".xls", ".xlsx", ".xml"})
NO_FOLDER: Final = "not in a class folder"


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A file that lies where a picture of a class is expected."""

    name: str
    class_name: str
    split: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The names of what was brought, with forward slashes, relative to the archive or folder."""

    names: tuple[str, ...]
    folders: tuple[str, ...] = ()
    """All folders, also those with nothing in them."""
    links: tuple[str, ...] = ()
    """Links to folders, which are never followed."""
    closed: tuple[str, ...] = ()
    """Folders that may not be looked into."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What a listing of names turned out to be."""

    placed: tuple[Placed, ...]
    ignored: tuple[tuple[str, str], ...]
    """Files that were never meant as pictures of a class: (name, reason)."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Placed files that are pictures of a kind that is not read -> why."""
    read_as: str = ""
    """What was understood, for a person: "parts train and test, classes cats and dogs"."""
    class_folders: tuple[tuple[str, str, str], ...] = ()
    """(path, class, why it cannot hold pictures or empty) of every class folder, those without pictures included."""
    notices: tuple[str, ...] = ()
    """What is odd about the classes and was put up with, and what was left out."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted({picture.class_name for picture in self.placed}))


def find_layout(
    listing: Listing | Iterable[str],
    given: Sequence[Placed] | None = None,
    *,
    head: Head | None = None,
    read: Head | None = None,
    layout: str = AUTO,
) -> Layout:
    """Which of the files are pictures, of which class, in which given split.

    Args:
        given: where classes do not have to be found in the names.
        head: for files whose names do not say that they are pictures; without it names alone decide.
        read: gives a table's bytes; without it tables are not read.
        layout: one of `LAYOUTS`, or `table:COLUMN`.

    Raises:
        LayoutQuestion: it can be read in more than one way, or in one way that nobody should guess.
        DatasetError: there is no picture, no class folder, or only one class.
    """
    check_layout(layout)
    if given is not None:
        check_classes({picture.class_name for picture in given})
        return Layout(placed=tuple(given), ignored=())
    listing = listing if isinstance(listing, Listing) else Listing(names=tuple(listing))
    files = sort_files(listing.names, head)
    if not files.pictures:
        raise DatasetError(_no_pictures(files.ignored))
    root = tree_of(files.pictures, _visible(listing))
    masks = masks_beside(root) if layout != FOLDERS else []
    if masks:
        files = _put_aside(files, masks)
        root = tree_of(files.pictures, _visible(listing))
    found = _found(files, root, read, layout)
    check_classes(found.class_names)
    found = replace(
        found,
        notices=(*found.notices, *_about_masks(masks)),
        ignored=tuple(sorted((dict(files.ignored) | dict(found.ignored)).items())),
        unread={p.name: files.unread[p.name] for p in found.placed if p.name in files.unread},
    )
    return replace(found, class_folders=_with_unseen(found.class_folders, listing))


def _put_aside(files: SortedFiles, masks: Sequence[Folder]) -> SortedFiles:
    """Without the pictures that belong to others and are none of a class themselves."""
    names = {name for mask in masks for name in mask.all_files()}
    return replace(
        files,
        pictures=tuple(name for name in files.pictures if name not in names),
        masks=tuple(sorted(names)),
        ignored=(*files.ignored, *((name, A_MASK) for name in sorted(names))),
    )


def _about_masks(masks: Sequence[Folder]) -> list[str]:
    count = sum(mask.pictures for mask in masks)
    names = listed(sorted({mask.name for mask in masks}))
    return [f"Left out, {A_MASK}: {names} ({_counted(count)})."] if masks else []


def check_layout(layout: str) -> None:
    """Raise DatasetError for a way of reading that there is not."""
    if layout.partition(":")[0] not in LAYOUTS or (":" in layout and not layout.startswith(f"{TABLE}:")):
        raise DatasetError(f"There is no layout {layout[:40]!r}; choose from: {', '.join(LAYOUTS)}, table:COLUMN.")


def _visible(listing: Listing) -> list[str]:
    """All folders but the system's: those that were listed, and those that files lie in."""
    folders = {*listing.folders, *(name.rpartition("/")[0] for name in listing.names)}
    return sorted(folder for folder in folders if folder and not is_system(folder))


def _no_pictures(ignored: Sequence[tuple[str, str]]) -> str:
    if ignored and all(reason == SYSTEM_FILE for _, reason in ignored):
        return f"It contains only system files. {EXAMPLE}"
    return f"No pictures found among {len(ignored)} files.{_about_archives(ignored)} {EXAMPLE}"


def _about_archives(ignored: Sequence[tuple[str, str]]) -> str:
    """Where pictures may be that are missed."""
    packed = [name for name, reason in ignored if reason == INNER_ARCHIVE]
    return f" Archives inside it are not opened ({listed(packed)}): unpack them first." if packed else ""


# -- ways of reading


def _found(files: SortedFiles, root: Folder, read: Head | None, layout: str) -> Layout:
    """The layout that was asked for, or the one there is; else a question."""
    way, _, column = layout.partition(":")
    if way in (FOLDERS, SUBFOLDERS, LABELLED):
        reading = read_as(root, way)
        return _by_reading(files, reading) if reading else _refuse(files, root, [], read)
    if way == FILE_NAMES:
        return _by_file_names(files)
    tables = _tables(files, read)
    if way == TABLE:
        return _by_table(files, _table_asked_for(tables, column, files))
    readings = [reading for reading in readings_of(root) if len(reading.class_names) >= MIN_CLASSES]
    if not readings:
        return _without_class_folders(files, root, tables, read)
    told_otherwise = [table for table in tables if _contradicts(table, readings[0])]
    if len(readings) > 1 or told_otherwise:
        raise _question("These pictures can be read in more than one way", readings, told_otherwise)
    unused = ", ".join(dict.fromkeys(table.table for table in tables))
    found = _by_reading(files, readings[0])
    said = f"The table {unused} was not needed: the folders name the classes."
    return replace(found, notices=(*found.notices, said)) if unused else found


def _without_class_folders(files: SortedFiles, root: Folder, tables: list[Labelling], read: Head | None) -> Layout:
    if len(tables) == 1:
        return _by_table(files, tables[0])
    if tables:
        raise _question(f"{tables[0].table} has more than one column that could name the classes", [], tables)
    return _refuse(files, root, readings_of(root), read)


def _refuse(files: SortedFiles, root: Folder, readings: Sequence[Reading], read: Head | None) -> Layout:
    """Why there are no classes, with the ways that are left to read it."""
    if readings and readings[0].class_names:
        reason = f"At least {MIN_CLASSES} classes are needed; found 1: {readings[0].class_names[0]}."
    else:
        holders = sorted({name.rpartition("/")[0] for name in files.pictures})
        where = f" in {listed(holders)}" if any(holders) else ""
        reason = f"No class folders found: {_counted(len(files.pictures))} lie side by side{where}."
    reason += _about_tables(files, read) + _about_archives(files.ignored)
    offers = []
    if labels := Counter(labels_in_names(files.pictures).values()):
        counts = listed(f"{label} {count}" for label, count in sorted(labels.items()))
        reason += f" The file names seem to hold the labels ({counts})."
        offers.append((FILE_NAMES, "classes from the names of the files"))
    if files.masks:
        reason += f" {_counted(len(files.masks))} in folders of masks or annotations do not count."
    folders = read_as(tree_of((*files.pictures, *files.masks)), FOLDERS)
    if folders and len(folders.class_names) >= MIN_CLASSES and not all(map(part_of, folders.class_names)):
        offers.append((FOLDERS, _said(folders)))
    if offers:
        raise LayoutQuestion(reason, offers)
    raise DatasetError(f"{reason} {EXAMPLE}")


def _about_tables(files: SortedFiles, read: Head | None) -> str:
    """Why nothing that may hold labels was of use."""
    said = ""
    if files.tables:
        wrong = [why_no_labels(name, read, files.pictures) for name in files.tables[:SAID_OF]] if read else []
        more = f"; only {MAX_TABLES} tables are looked at" if len(files.tables) > MAX_TABLES else ""
        said = f" No label was found in a table: {'; '.join(wrong) or listed(files.tables)}{more}."
    others = [name for name, _ in files.ignored if PurePosixPath(name).suffix.lower() in _OTHER_TABLES]
    if others and not files.tables:
        said += f" Labels in {listed(others)} are not read: save them as CSV, a column of files and one of labels."
    return said


def _question(reason: str, readings: Sequence[Reading], tables: Sequence[Labelling]) -> LayoutQuestion:
    offers = [(reading.layout, _said(reading)) for reading in readings]
    several = len(tables) > 1
    for table in tables:
        layout = f"{TABLE}:{table.column}" if several else TABLE
        offers.append((layout, f"classes {listed(table.class_names)}, from the column {table.column} of {table.table}"))
    return LayoutQuestion(f"{reason}.", offers)


def _by_reading(files: SortedFiles, reading: Reading) -> Layout:
    masks = [(mask, A_MASK) for found in reading.classes for mask in masks_in(found.folder)]
    reasons = {name: why for folder, why in (*reading.left_out, *masks) for name in folder.all_files()}
    placed = [
        Placed(name=name, class_name=found.name, split=found.part)
        for found in reading.classes
        for name in found.folder.all_files()
        if name not in reasons
    ]
    used = {picture.name for picture in placed}
    return Layout(
        placed=tuple(sorted(placed, key=lambda picture: picture.name)),
        ignored=tuple((name, reasons.get(name, NO_FOLDER)) for name in files.pictures if name not in used),
        read_as=_said(reading),
        class_folders=_class_folders(reading),
        notices=(*reading.notices, *_left_out(reading), *_taken_together(reading)),
    )


def _class_folders(reading: Reading) -> tuple[tuple[str, str, str], ...]:
    """Those with pictures, and their neighbours without."""
    rows = [(found.folder.path, found.name, "") for found in reading.classes]
    known = {path for path, _, _ in rows} | {folder.path for folder, _ in reading.left_out}
    beside = [kid for folder in reading.within for kid in folder.inner.values() if kid.path not in known]
    return (*rows, *((kid.path, kid.name, "") for kid in beside))


def _with_unseen(rows: tuple[tuple[str, str, str], ...], listing: Listing) -> tuple[tuple[str, str, str], ...]:
    """And what nobody looked into beside class folders, links and closed folders: somebody meant them as one."""
    homes = {path.rpartition("/")[0] for path, _, _ in rows}
    unseen = dict.fromkeys(listing.links, "is a link, which is not followed")
    unseen |= dict.fromkeys(listing.closed, "cannot be opened")
    known = tuple((path, name, why or unseen.pop(path, "")) for path, name, why in rows)
    more = sorted((path, why) for path, why in unseen.items() if path.rpartition("/")[0] in homes)
    return (*known, *((path, path.rpartition("/")[2], why) for path, why in more if not is_system(path)))


def _said(reading: Reading) -> str:
    """What was understood: "parts train and test (training_set, test_set), classes cats and dogs"."""
    classes = f"classes {listed(reading.class_names)}"
    if reading.parts:
        parts = sorted(reading.parts, key=lambda row: _ORDER.index(row[0]))
        names = list(dict.fromkeys(part for part, _ in parts))
        others = [folder for part, folder in parts if folder.casefold() != part]
        from_ = f" ({listed(others)})" if others else ""
        classes = f"part{'s' * (len(names) > 1)} {listed(names)}{from_}, {classes}"
    return f"{classes}, from the folders {listed(reading.sources)}" if reading.sources else classes


def _left_out(reading: Reading) -> list[str]:
    """What stands in folders that are of no class."""
    by_reason: dict[str, list[Folder]] = {}
    for folder, reason in reading.left_out:
        by_reason.setdefault(reason, []).append(folder)
    return [
        f"Left out, {reason}: {listed([f'{folder.path} ({_counted(folder.pictures)})' for folder in folders])}."
        for reason, folders in by_reason.items()
    ]


def _taken_together(reading: Reading) -> list[str]:
    notices = []
    inner = flattened(reading)
    if inner:
        notices.append(f"Folders within class folders were taken for part of their class: {listed(inner)}.")
    return [*notices, *_about_masks([mask for found in reading.classes for mask in masks_in(found.folder)])]


def _by_file_names(files: SortedFiles) -> Layout:
    labels = labels_in_names(files.pictures)
    if not labels:
        raise DatasetError(f"No labels were found in the names of {_counted(len(files.pictures))}. {EXAMPLE}")
    said = f"classes {listed(sorted(set(labels.values())))}, from the names of the files"
    return _labelled(files, labels, {}, "no label in its name", said)


def _tables(files: SortedFiles, read: Head | None) -> list[Labelling]:
    return labellings(files.tables, read, files.pictures) if read is not None and files.tables else []


def _table_asked_for(tables: Sequence[Labelling], column: str, files: SortedFiles) -> Labelling:
    mine = [table for table in tables if column in ("", table.column)]
    if len(mine) == 1 or (mine and column):
        return mine[0]
    if mine:
        raise _question("More than one column could be the labels", [], mine)
    seen = f"; there is {listed([table.column for table in tables])}" if tables else ""
    there = listed(files.tables) or "no CSV"
    raise DatasetError(f"No table labels these pictures{f' by {column!r}' if column else ''} ({there}{seen}).")


def _by_table(files: SortedFiles, table: Labelling) -> Layout:
    if not table.labels:
        raise DatasetError(f"{table.table}: the column {table.column} gives every picture two labels. Keep one table.")
    parts = f"parts {listed(part for part in _ORDER if part in table.parts.values())}, " if table.parts else ""
    said = f"{parts}classes {listed(table.class_names)}, from the column {table.column} of {table.table}"
    found = _labelled(files, table.labels, table.parts, f"not in {table.table}", said)
    read = tuple((name, "read for its labels") for name in files.tables if name in table.table.split(", "))
    notices = [*found.notices, *table.notices]
    if table.unmatched:
        rows, do = ("row", "does") if table.unmatched == 1 else ("rows", "do")
        notices.append(f"{table.unmatched:,} {rows} of {table.table} {do} not label exactly one picture; skipped.")
    return replace(found, ignored=(*found.ignored, *read), notices=tuple(notices))


def _labelled(
    files: SortedFiles, labels: Mapping[str, str], parts: Mapping[str, str], otherwise: str, said: str
) -> Layout:
    placed = [Placed(name=n, class_name=labels[n], split=parts.get(n)) for n in files.pictures if n in labels]
    left = tuple((name, otherwise) for name in files.pictures if name not in labels)
    notices = (f"{_counted(len(left))} {otherwise}: left out.",) if left else ()
    return Layout(placed=tuple(placed), ignored=left, read_as=said, notices=notices)


def _contradicts(table: Labelling, reading: Reading) -> bool:
    """Whether a table labels nearly all pictures in classes, and others than their folders."""
    folders = {name: found.name for found in reading.classes for name in found.folder.all_files()}
    both = [name for name in folders if name in table.labels]
    if table.column.casefold() not in LABEL_NAMES or len(both) < 0.5 * len(folders):
        return False
    pairs = {(folders[name].casefold(), table.labels[name].casefold()) for name in both}
    return len(pairs) > max(len({a for a, _ in pairs}), len({b for _, b in pairs}))


def _counted(pictures: int) -> str:
    return f"{pictures:,} picture{'s' * (pictures != 1)}"
