"""From a listing of files to classes and parts: the ways people lay out pictures, decided by how folders are built.

What was understood is always said, what was left out is named, and where two readings are possible a person is asked.
`core.data.structure` reads folders, `core.data.labels` tables and file names.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from core.data.candidates import SYSTEM_FILE, Head, SortedFiles, is_system, sort_files
from core.data.class_names import EXAMPLE, check_classes
from core.data.folder_names import listed
from core.data.labels import LABEL_NAMES, Labelling, labellings, labels_in_names
from core.data.limits import MIN_CLASSES
from core.data.structure import (
    A_MASK,
    FOLDERS,
    LABELLED,
    SUBFOLDERS,
    Reading,
    flattened,
    masks_in,
    read_as,
    readings_of,
)
from core.data.tree import Folder, tree_of
from core.errors import DatasetError, LayoutQuestion

AUTO: Final = "auto"
FILE_NAMES: Final = "file-names"
TABLE: Final = "table"
LAYOUTS: Final = (AUTO, FOLDERS, SUBFOLDERS, LABELLED, FILE_NAMES, TABLE)
"""What can be asked for; a table's column may follow: `table:breed`."""
LAYOUT_HELP: Final = (
    "how folders are read: folders (each is a class), subfolders (those in them are), labelled (test or val folders "
    "without classes are left out), file-names (cat.0.jpg), table (a CSV; table:COLUMN); auto decides or asks"
)

_ORDER: Final = ("train", "val", "test")
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
    found = _found(files, tree_of(files.pictures, _visible(listing)), read, layout)
    check_classes(found.class_names)
    found = replace(
        found,
        ignored=tuple(sorted((dict(files.ignored) | dict(found.ignored)).items())),
        unread={p.name: files.unread[p.name] for p in found.placed if p.name in files.unread},
    )
    return replace(found, class_folders=_with_links(found.class_folders, listing.links))


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
    return f"No pictures found among {len(ignored)} files. {EXAMPLE}"


# -- ways of reading


def _found(files: SortedFiles, root: Folder, read: Head | None, layout: str) -> Layout:
    """The layout that was asked for, or the one there is; else a question."""
    way, _, column = layout.partition(":")
    if way in (FOLDERS, SUBFOLDERS, LABELLED):
        reading = read_as(root, way)
        return _by_reading(files, reading) if reading else _refuse(files, root, [])
    if way == FILE_NAMES:
        return _by_file_names(files)
    tables = _tables(files, read)
    if way == TABLE:
        return _by_table(files, _table_asked_for(tables, column, files))
    readings = [reading for reading in readings_of(root) if len(reading.class_names) >= MIN_CLASSES]
    if not readings:
        return _without_class_folders(files, root, tables)
    told_otherwise = [table for table in tables if _contradicts(table, readings[0])]
    if len(readings) > 1 or told_otherwise:
        raise _question("These pictures can be read in more than one way", readings, told_otherwise)
    unused = ", ".join(dict.fromkeys(table.table for table in tables))
    found = _by_reading(files, readings[0])
    said = f"The table {unused} was not needed: the folders name the classes."
    return replace(found, notices=(*found.notices, said)) if unused else found


def _without_class_folders(files: SortedFiles, root: Folder, tables: list[Labelling]) -> Layout:
    if len(tables) == 1:
        return _by_table(files, tables[0])
    if tables:
        raise _question(f"{tables[0].table} has more than one column that could name the classes", [], tables)
    return _refuse(files, root, readings_of(root))


def _refuse(files: SortedFiles, root: Folder, readings: Sequence[Reading]) -> Layout:
    """Why there are no classes, with the ways that are left to read it."""
    if readings:
        (only,) = readings[0].class_names
        reason = f"At least {MIN_CLASSES} classes are needed; found 1: {only}."
    else:
        holders = sorted({name.rpartition("/")[0] for name in files.pictures})
        where = f" in {listed(holders)}" if any(holders) else ""
        reason = f"No class folders found: {_counted(len(files.pictures))} lie side by side{where}."
    if files.tables:
        reason += f" A table is there ({listed(files.tables)}), but no column of it labels these pictures."
    offers = []
    if labels := Counter(labels_in_names(files.pictures).values()):
        counts = listed(f"{label} {count}" for label, count in sorted(labels.items()))
        reason += f" The file names seem to hold the labels ({counts})."
        offers.append((FILE_NAMES, f"classes from the names of the files: {counts}"))
    folders = read_as(root, FOLDERS)
    if folders and len(folders.class_names) >= MIN_CLASSES:
        offers.append((FOLDERS, _said(folders)))
    if offers:
        raise LayoutQuestion(reason if labels else f"{reason} {EXAMPLE}", offers)
    raise DatasetError(f"{reason} {EXAMPLE}")


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


def _with_links(rows: tuple[tuple[str, str, str], ...], links: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    """And the links beside class folders: somebody meant them as one."""
    homes = {path.rpartition("/")[0] for path, _, _ in rows}
    linked = [link for link in links if link.rpartition("/")[0] in homes and not is_system(link)]
    return (*rows, *((link, link.rpartition("/")[2], "is a link, which is not followed") for link in linked))


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
    masks = {mask.name: mask for found in reading.classes for mask in masks_in(found.folder)}
    if masks:
        count = sum(mask.pictures for found in reading.classes for mask in masks_in(found.folder))
        notices.append(f"Left out, {A_MASK}: {listed(sorted(masks))} ({_counted(count)}).")
    return notices


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
    parts = f"parts {listed(part for part in _ORDER if part in table.parts.values())}, " if table.parts else ""
    said = f"{parts}classes {listed(table.class_names)}, from the column {table.column} of {table.table}"
    found = _labelled(files, table.labels, table.parts, f"not in {table.table}", said)
    read = tuple((name, "read for its labels") for name in files.tables if name in table.table.split(", "))
    found = replace(found, ignored=(*found.ignored, *read))
    if table.unmatched:
        notice = f"{table.unmatched:,} rows of {table.table} do not label exactly one picture; they were skipped."
        found = replace(found, notices=(*found.notices, notice))
    return found


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
    if table.column.casefold() not in LABEL_NAMES or len(both) < 0.9 * len(folders):
        return False
    pairs = {(folders[name].casefold(), table.labels[name].casefold()) for name in both}
    return len(pairs) > max(len({a for a, _ in pairs}), len({b for _, b in pairs}))


def _counted(pictures: int) -> str:
    return f"{pictures:,} picture{'s' * (pictures != 1)}"
