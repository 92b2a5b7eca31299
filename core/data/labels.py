"""Labels that stand in a table beside the pictures, or in the names of their files.

A table is CSV with a column of files (with or without folder and ending) and one of labels, as on Kaggle and in
`metadata.csv` of Hugging Face; a column for each class with a 1 in it will do, too. Nothing in it is ever used as a
path: values are looked up among the names that are there.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from core.data.folder_names import PART_WORDS, Part, part_of, says_nothing
from core.data.limits import MAX_CLASSES
from core.errors import DatasetError, ImageError

TABLE_ENDINGS: Final = (".csv", ".tsv")
MAX_TABLE_BYTES: Final = 20 * 1024**2
MAX_TABLES: Final = 20
FEW_ROWS: Final = 2_000
"""Rows from which the column of files is told."""
LABEL_NAMES: Final = [
    "label",
    "labels",
    "class",
    "classes",
    "class_name",
    "classname",
    "category",
    "target",
    "breed",
    "species",
    "diagnosis",
    "dx",
    "disease",
    "variety",
    "family",
    "type",
    "tag",
    "y",
]
_PART_NAMES: Final = ("split", "set", "subset", "data set", "dataset", "partition", "usage", "fold")
_DELIMITERS: Final = ",;\t|"


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelling:
    """What a table says about pictures."""

    table: str
    column: str
    labels: Mapping[str, str]
    """Picture -> label."""
    parts: Mapping[str, Part]
    """Picture -> part, where train and another are told apart; else empty."""
    unmatched: int
    """Rows that give no picture its label: it is not here, named twice, or given two."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.labels.values())))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    files: int
    """Which column names files."""
    found: tuple[str | None, ...]
    """The picture that each row is about."""


class _Index:
    """Pictures by the ways a table may name them."""

    def __init__(self, pictures: Sequence[str]) -> None:
        self._all = frozenset(pictures)
        self._by: dict[str, list[str]] = {}
        for picture in pictures:
            path = PurePosixPath(picture)
            for key in {path.name, path.stem}:
                self._by.setdefault(key, []).append(picture)

    def find(self, value: str, table: str) -> str | None:
        """The picture a value names, if it is one.

        Raises:
            DatasetError: the value leads out of the folder.
        """
        value = value.strip().replace("\\", "/").removeprefix("./")
        if not value or len(value) > 1_000:
            return None
        parts = PurePosixPath(value).parts
        if ".." in parts or value.startswith(("/", "file:")):
            if parts and parts[-1] in self._by:
                raise DatasetError(f"{table}: the name of a file tries to leave the folder; nothing was read.")
            return None
        home = str(PurePosixPath(table).parent)
        beside = value if home == "." else f"{home}/{value}"
        if beside in self._all:
            return beside
        named = self._by.get(parts[-1], []) if parts else []
        for fits in (_ends_with, _near):  # only where a file's own name stands for several
            named = [p for p in named if fits(p, value if fits is _ends_with else table)] if len(named) > 1 else named
        return named[0] if len(named) == 1 else None


def _ends_with(picture: str, value: str) -> bool:
    """Whether a picture's path, with or without its ending, ends with what a table says."""
    return any(f"/{path}".endswith(f"/{value}") for path in (picture, PurePosixPath(picture).with_suffix("")))


def _near(picture: str, table: str) -> bool:
    """Whether a picture lies below a table's folder, or in the folder that the table is named after."""
    path, home, stem = PurePosixPath(picture), PurePosixPath(table).parent, PurePosixPath(table).stem
    named_after = stem in path.parts[:-1] or (part_of(stem) and part_of(stem) in map(part_of, path.parts[:-1]))
    return bool(named_after) or (str(home) != "." and path.is_relative_to(home))


def is_table(name: str) -> bool:
    """Whether a file may be a table of labels; one to be handed in at a contest has made-up ones."""
    path = PurePosixPath(name)
    return path.suffix.lower() in TABLE_ENDINGS and "submission" not in path.stem.lower()


def labellings(tables: Sequence[str], read: Callable[[str], bytes], pictures: Sequence[str]) -> list[Labelling]:
    """What tables say about pictures; one for each column that could be the labels, the likeliest first.

    Raises:
        DatasetError: a table names a file outside the folder.
    """
    index = _Index(pictures)
    found: list[_Table] = []
    for name in sorted(tables, key=lambda name: (name.count("/"), name))[:MAX_TABLES]:
        table = _read(name, read, index)
        if table is not None:
            found.append(table)
    if not found:
        return []
    # tables with one header belong together: train.csv and val.csv, a metadata.csv in each part
    first = found[0]
    together = [table for table in found if table.header == first.header and table.files == first.files]
    return [_labelling(together, column, labels) for column, labels in _columns(together)]


def _read(name: str, read: Callable[[str], bytes], index: _Index) -> _Table | None:
    """A table that names pictures, or None."""
    try:
        data = read(name)
    except ImageError:
        return None
    if len(data) > MAX_TABLE_BYTES:
        return None
    rows = _rows(data)
    if len(rows) < 2:
        return None
    width = len(rows[0])
    rows = [row for row in rows if len(row) == width]
    sample = rows[:FEW_ROWS]
    hits = [sum(index.find(row[column], name) is not None for row in sample) for column in range(width)]
    files = max(range(width), key=hits.__getitem__)
    if hits[files] < 2 or hits[files] < 0.5 * min(len(sample), len(index._all)) or width < 2:
        return None
    headed = index.find(rows[0][files], name) is None
    header = rows[0] if headed else tuple(f"column {place}" for place in range(1, width + 1))
    body = rows[1:] if headed else rows
    found = tuple(index.find(row[files], name) for row in body)
    return _Table(name=name, header=tuple(header), rows=tuple(body), files=files, found=found)


def _rows(data: bytes) -> list[tuple[str, ...]]:
    for encoding in ("utf-8-sig", "latin-1"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        return [
            tuple(cell.strip() for cell in row) for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row
        ]
    except csv.Error:
        return []


def _columns(tables: Sequence[_Table]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Columns that could be the labels, each with its (picture, label) rows."""
    header, files = tables[0].header, tables[0].files
    lower = [name.casefold() for name in header]
    candidates = {}
    for place, name in enumerate(header):
        rows = [(picture, row[place]) for picture, row in _found(tables) if row[place]]
        if place != files and _could_be_labels([label for _, label in rows], lower[place] in LABEL_NAMES):
            candidates[name] = rows
    known = {name: rows for name, rows in candidates.items() if name.casefold() in LABEL_NAMES}
    if known:
        return _told_apart(known)
    one_hot = _one_hot(tables)
    return (
        [("its columns", one_hot)]
        if one_hot
        else [(name, rows) for name, rows in candidates.items() if name.casefold() not in _PART_NAMES]
    )


def _found(tables: Sequence[_Table]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for table in tables:
        for picture, row in zip(table.found, table.rows, strict=True):
            if picture is not None:
                yield picture, row


def _could_be_labels(values: Sequence[str], is_named_so: bool) -> bool:
    distinct = len(set(values))
    return 2 <= distinct <= (MAX_CLASSES if is_named_so else min(MAX_CLASSES, len(values) / 2))


def _told_apart(known: Mapping[str, list[tuple[str, str]]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Of columns that say the same in words and in numbers the words; of others all, the usual names first."""
    kept: dict[frozenset[frozenset[str]], tuple[str, list[tuple[str, str]]]] = {}
    in_words = sorted(known, key=lambda name: (_in_numbers(known[name]), LABEL_NAMES.index(name.casefold())))
    for name in in_words:
        groups: dict[str, set[str]] = {}
        for picture, label in known[name]:
            groups.setdefault(label, set()).add(picture)
        kept.setdefault(frozenset(map(frozenset, groups.values())), (name, known[name]))
    return list(kept.values())


def _in_numbers(rows: Sequence[tuple[str, str]]) -> bool:
    return all(label.replace(".", "", 1).lstrip("-").isdigit() for _, label in rows)


def _one_hot(tables: Sequence[_Table]) -> list[tuple[str, str]]:
    """(picture, class) where each row has a 1 in the column of its class and 0 in the others; else nothing."""
    header, rows = tables[0].header, list(_found(tables))
    marks = {"0": False, "0.0": False, "1": True, "1.0": True}
    places = [place for place in range(len(header)) if all(row[place] in marks for _, row in rows)]
    labels = []
    for picture, row in rows:
        marked = [header[place] for place in places if marks[row[place]]]
        if len(marked) != 1:
            return []
        labels.append((picture, marked[0]))
    return labels if len({label for _, label in labels}) > 1 else []


def _labelling(tables: Sequence[_Table], column: str, labels: Sequence[tuple[str, str]]) -> Labelling:
    said: dict[str, set[str]] = {}
    for picture, label in labels:
        said.setdefault(picture, set()).add(label)
    sure = {picture: min(of) for picture, of in said.items() if len(of) == 1}
    return Labelling(
        table=", ".join(table.name for table in tables),
        column=column,
        labels=sure,
        parts=_parts(tables, sure),
        unmatched=sum(len(table.rows) for table in tables) - len(sure),
    )


def _parts(tables: Sequence[_Table], labels: Mapping[str, str]) -> dict[str, Part]:
    """By a column of the table, or the folder a picture lies in, or the table that names it."""
    ways = (_part_column(tables), _folder_parts(labels), _table_parts(tables))
    for parts in ways:
        mine = {picture: part for picture, part in parts.items() if picture in labels}
        if len(mine) == len(labels) and "train" in mine.values() and len(set(mine.values())) > 1:
            return mine
    return {}


def _part_column(tables: Sequence[_Table]) -> dict[str, Part]:
    for place, name in enumerate(tables[0].header):
        if name.casefold() in _PART_NAMES:
            parts = {picture: part_of(row[place]) for picture, row in _found(tables)}
            return {picture: part for picture, part in parts.items() if part}
    return {}


def _folder_parts(pictures: Mapping[str, str]) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for picture in pictures:
        parts = [part for folder in PurePosixPath(picture).parts[:-1] if (part := part_of(folder))]
        if parts:
            found[picture] = parts[0]
    return found


def _table_parts(tables: Sequence[_Table]) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for table in tables:
        part = part_of(PurePosixPath(table.name).stem)
        if part:
            found |= {picture: part for picture in table.found if picture}
    return found


_LEADING: Final = re.compile(r"^[\d\W_]+")
_UP_TO_A_DIGIT: Final = re.compile(r"^[^\d]*")
_NOT_LABELS: Final = frozenset(["dsc", "dscn", "frame", "hash", "img", "imgp", "pic", "pxl", "screenshot", "vid", "wp"])
LABELLED: Final = 0.5
"""Share of pictures that a label must be found for."""
EACH: Final = 3
"""Pictures a label must have on average: below that names are just names."""


def labels_in_names(pictures: Sequence[str]) -> dict[str, str]:
    """Labels that seem to stand in the names of files (cat.0.jpg, dog_12.jpg), by picture; empty where none do."""
    labels = {picture: _label_in(PurePosixPath(picture).stem) for picture in pictures}
    counts = Counter(label for label in labels.values() if label)
    labels = {picture: label for picture, label in labels.items() if label and counts[label] > 1}
    distinct = len(set(labels.values()))
    enough = len(labels) >= max(LABELLED * len(pictures), EACH * distinct)
    return labels if 2 <= distinct <= MAX_CLASSES and enough else {}


def _label_in(stem: str) -> str:
    found = _UP_TO_A_DIGIT.match(_LEADING.sub("", stem))
    label = found.group().strip(" ()[]_.-") if found else ""
    lower = label.casefold()
    return "" if lower in _NOT_LABELS or lower in PART_WORDS or says_nothing(label) else label
