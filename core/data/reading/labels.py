"""Labels that stand in a table beside the pictures, or in the names of their files.

A table is CSV with a column of files (with or without folder and ending) and one of labels, as on Kaggle and in
`metadata.csv` of Hugging Face; a column for each class with a 1 in it will do, too. They are read by
`core.data.reading.tables`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from core.data.reading.folder_names import PART_WORDS, Part, part_of, says_nothing
from core.data.reading.limits import MAX_CLASSES
from core.data.reading.tables import MAX_TABLE_BYTES, TABLE_ENDINGS, Index, Table, read_table
from core.errors import ImageError

MAX_TABLES: Final = 20
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
_NO_LABEL: Final = frozenset({"", "nan", "<na>", "n/a", "null"})
_FRACTION: Final = re.compile(r"[-+]?\d*\.\d*[1-9]\d*(?:[eE][-+]?\d+)?|0(?:\.0*)?")
_PART_NAMES: Final = ("split", "set", "subset", "data set", "dataset", "partition", "usage", "fold")


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
    notices: tuple[str, ...] = ()
    """What else stands in tables and was not used."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.labels.values())))


def is_table(name: str) -> bool:
    """Whether a file may be a table of labels; one to be handed in at a contest has made-up ones."""
    path = PurePosixPath(name)
    return path.suffix.lower() in TABLE_ENDINGS and "submission" not in path.stem.lower()


def labellings(tables: Sequence[str], read: Callable[[str], bytes], pictures: Sequence[str]) -> list[Labelling]:
    """What tables say about pictures; one for each column that could be the labels, the likeliest first.

    Raises:
        DatasetError: a table names a file outside the folder.
    """
    index = Index(pictures)
    found: list[Table] = []
    for name in sorted(tables, key=lambda name: (name.count("/"), name))[:MAX_TABLES]:
        table = read_table(name, read, index)
        if table is not None:
            found.append(table)
    if not found:
        return []
    # tables with one header belong together: train.csv and val.csv, a metadata.csv in each part
    able = next((table for table in found if _columns([table])), found[0])
    together = [table for table in found if table.header == able.header and table.files == able.files]
    others = [table.name for table in found if table not in together and _columns([table])]
    return [_labelling(together, others, column, labels) for column, labels in _columns(together)]


def why_no_labels(name: str, read: Callable[[str], bytes], pictures: Sequence[str]) -> str:
    """What is wrong with a table of which no column labels the pictures: "labels.csv names none of these pictures"."""
    try:
        size = len(read(name))
    except ImageError as error:
        return f"{name} {error}"
    if size > MAX_TABLE_BYTES:
        return f"{name} is larger than {MAX_TABLE_BYTES // 1024**2} MB (limit)"
    if read_table(name, read, Index(pictures)) is None:
        return f"{name} names hardly any of these pictures, or some by names that several have"
    return f"no column of {name} labels these pictures"


def _columns(tables: Sequence[Table]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Columns that could be the labels, each with its (picture, label) rows."""
    header, files = tables[0].header, tables[0].files
    lower = [name.casefold() for name in header]
    candidates = {}
    for place, name in enumerate(header):
        rows = [(picture, row[place]) for picture, row in _found(tables) if row[place].casefold() not in _NO_LABEL]
        if place != files and _could_be_labels([label for _, label in rows], lower[place] in LABEL_NAMES):
            candidates[name] = rows
    known = {name: rows for name, rows in candidates.items() if name.casefold() in LABEL_NAMES}
    if any(len({label for _, label in rows}) > 1 for rows in known.values()):
        return _separable(known)
    one_hot = _one_hot(tables)
    return (
        [("its columns", one_hot)]
        if one_hot
        else [(name, rows) for name, rows in candidates.items() if name.casefold() not in _PART_NAMES]
    )


def _found(tables: Sequence[Table]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for table in tables:
        for picture, row in zip(table.found, table.rows, strict=True):
            if picture is not None:
                yield picture, row


def _could_be_labels(values: Sequence[str], is_named_so: bool) -> bool:
    """Whether few enough values are there, and no measurements."""
    distinct = set(values)
    enough = 1 if is_named_so else 2  # that a table knows one class only is for a person to hear
    most = MAX_CLASSES if is_named_so else min(MAX_CLASSES, len(values) / 2)
    return enough <= len(distinct) <= most and not all(_FRACTION.fullmatch(value) for value in distinct)


def _separable(known: Mapping[str, list[tuple[str, str]]]) -> list[tuple[str, list[tuple[str, str]]]]:
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


def _one_hot(tables: Sequence[Table]) -> list[tuple[str, str]]:
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


def _labelling(
    tables: Sequence[Table], others: Sequence[str], column: str, labels: Sequence[tuple[str, str]]
) -> Labelling:
    said: dict[str, set[str]] = {}
    for picture, label in labels:
        said.setdefault(picture, set()).add(label)
    sure = {picture: min(of) for picture, of in said.items() if len(of) == 1}
    parts = _parts(tables, sure)
    unused = [f"The table {name} was not used: {tables[0].name} gives the labels." for name in others]
    return Labelling(
        table=", ".join(table.name for table in tables),
        column=column,
        labels=sure,
        parts=parts,
        notices=(*unused, *_unused_parts(tables, sure, parts)),
        unmatched=sum(len(table.rows) for table in tables) - len(sure),
    )


def _parts(tables: Sequence[Table], labels: Mapping[str, str]) -> dict[str, Part]:
    """By a column of the table, or the folder a picture lies in, or the table that names it."""
    ways = (_part_column(tables), _folder_parts(labels), _table_parts(tables))
    for parts in ways:
        mine = {picture: part for picture, part in parts.items() if picture in labels}
        if len(mine) == len(labels) and "train" in mine.values() and len(set(mine.values())) > 1:
            return mine
    return {}


def _part_column(tables: Sequence[Table]) -> dict[str, Part]:
    for place, name in enumerate(tables[0].header):
        if name.casefold() in _PART_NAMES:
            parts = {picture: part_of(row[place]) for picture, row in _found(tables)}
            return {picture: part for picture, part in parts.items() if part}
    return {}


def _unused_parts(tables: Sequence[Table], labels: Mapping[str, str], used: Mapping[str, Part]) -> list[str]:
    """That a column names parts, where it does not do so for every picture, or not train and another."""
    named = _part_column(tables)
    without = sum(picture not in named for picture in labels)
    if used or not named:
        return []
    why = f"it names no part for {without:,} pictures" if without else "train and another part are needed"
    return [f"The parts in {tables[0].name} were not used, for {why}: Thaw divides all pictures."]


def _folder_parts(pictures: Mapping[str, str]) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for picture in pictures:
        parts = [part for folder in PurePosixPath(picture).parts[:-1] if (part := part_of(folder))]
        if parts:
            found[picture] = parts[0]
    return found


def _table_parts(tables: Sequence[Table]) -> dict[str, Part]:
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
