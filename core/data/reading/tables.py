"""Tables beside the pictures, as text: which of their columns names files, and which picture each row is about.

What a column of labels means is decided in `core.data.reading.labels`. Nothing in a table is ever used as a path:
values are looked up among the names that are there.
"""

import codecs
import csv
import io
import json
import posixpath
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from core.data.reading.folder_names import part_and_rest, words_of
from core.data.reading.picture import ENDINGS
from core.errors import DatasetError, ImageError

TABLE_ENDINGS: Final = (".csv", ".tsv", ".jsonl")
MAX_TABLE_BYTES: Final = 20 * 1024**2
ENOUGH: Final = 0.5
"""Share of the rows, or of the pictures where they are fewer, that a column of files must name."""
_DELIMITERS: Final = ",;\t|"
_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')
_BEFORE: Final = re.compile(r"(?:(?:#|sep=)[^\r\n]*+[\r\n]++|[\r\n]++)*+")
_ENCODINGS: Final = ("utf-8-sig", "cp1252", "latin-1")
_PICTURE_ENDINGS: Final = frozenset(f".{ending}" for endings in ENDINGS.values() for ending in endings)
_NAMES_FILES: Final = frozenset({"file", "filename", "filenames", "filepath", "filepaths", "files", "image", "images",
    "imagename", "img", "name", "path", "photo", "picture"})  # fmt: skip

csv.field_size_limit(MAX_TABLE_BYTES)  # some tables keep outlines of things beside the labels


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table that names pictures."""

    name: str
    header: tuple[str, ...]
    """Names of the columns, each of them once."""
    rows: tuple[tuple[str, ...], ...]
    """As wide as the header; a row that is wider says nothing, since nobody knows which cell is which."""
    files: int
    """Which column names files."""
    found: tuple[str | None, ...]
    """The picture that each row is about."""


class Index:
    """Pictures by the ways a table may name them: letter case and the ending do not count where the rest is enough."""

    def __init__(self, pictures: Sequence[str]) -> None:
        self._all = frozenset(pictures)
        self._by: dict[str, list[str]] = {}
        for picture in pictures:
            name = picture.rpartition("/")[2]
            for key in {name, PurePosixPath(name).stem}:
                self._by.setdefault(key.casefold(), []).append(picture)

    def __len__(self) -> int:
        return len(self._all)

    def count(self, values: Sequence[str]) -> int:
        """How many names of pictures stand in a column; quick, and a little generous."""
        return len({value for value in values if any(key in self._by for key in _keys(value))})

    def find(self, value: str, table: str) -> str | None:
        """The picture a value names, if it is one.

        Raises:
            DatasetError: the value leads out of the folder.
        """
        value = value.replace("\\", "/").removeprefix("./")
        if not value or len(value) > 1_000:
            return None
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(table), value))
        keys = _keys(value)
        if beside.startswith("../") or value.startswith("file:"):
            if any(key in self._by for key in keys):
                raise DatasetError(f"{table}: the name of a file tries to leave the folder; nothing was read.")
            return None
        if beside in self._all:
            return beside
        named = next((self._by[key] for key in keys if key in self._by), [])
        for fits in (_ends_with, _near):  # only where a file's own name stands for several
            text = posixpath.normpath(value) if fits is _ends_with else table
            named = [picture for picture in named if fits(picture, text)] if len(named) > 1 else named
        return named[0] if len(named) == 1 else None


def _keys(value: str) -> tuple[str, ...]:
    """What a value may be found under: its file's name, and that without a picture's ending."""
    name = value.replace("\\", "/").rpartition("/")[2].casefold()
    stem, dot, ending = name.rpartition(".")
    return (name, stem) if dot and f".{ending}" in _PICTURE_ENDINGS else (name,)


def _ends_with(picture: str, value: str) -> bool:
    """Whether a picture's path, with or without its ending, ends with what a table says, or the other way round."""
    path, value = PurePosixPath(picture.casefold()), f"/{value.casefold().lstrip('/')}"
    return any(f"/{path}".endswith(value) or value.endswith(f"/{path}") for path in (path, path.with_suffix("")))


def _near(picture: str, table: str) -> bool:
    """Whether a picture lies below a table's folder, or in the folder that the table is named after."""
    path, home, stem = PurePosixPath(picture), PurePosixPath(table).parent, PurePosixPath(table).stem
    part = part_and_rest(stem)[0]
    named_after = stem in path.parts[:-1] or (part and any(part == part_and_rest(f)[0] for f in path.parts[:-1]))
    return bool(named_after) or (str(home) != "." and path.is_relative_to(home))


def read_table(name: str, read: Callable[[str], bytes], index: Index) -> Table | None:
    """A table that names pictures, or None.

    Raises:
        DatasetError: it names a file outside the folder.
    """
    try:
        data = read(name)
    except ImageError:
        return None
    if len(data) > MAX_TABLE_BYTES:
        return None
    rows = _from_json(data) if name.lower().endswith(".jsonl") else _rows(data)
    if len(rows) < 2 or len(rows[0]) < 2 or len(rows) * len(rows[0]) > MAX_TABLE_BYTES:  # more cells than bytes
        return None
    rows = _as_wide(rows)
    files = _column_of_files(rows, index)
    if files is None:
        return None
    headed = index.find(rows[0][files], name) is None
    header = rows[0] if headed else tuple(f"column {place}" for place in range(1, len(rows[0]) + 1))
    body = rows[1:] if headed else rows
    found = tuple(index.find(row[files], name) for row in body)
    return Table(name=name, header=_numbered(header), rows=tuple(body), files=files, found=found)


def _column_of_files(rows: Sequence[tuple[str, ...]], index: Index) -> int | None:
    """The column that names most pictures; of several that name nearly as many, the one that is called so.

    Numbers can name pictures by chance: a column that counts the rows, or one of labels.
    """
    columns = list(zip(*rows, strict=True))
    hits = [index.count(column) for column in columns]
    best = max(hits)
    if best < 2 or best < ENOUGH * min(len(rows) - 1, len(index)):
        return None
    likely = [place for place in range(len(columns)) if hits[place] >= 0.9 * best]
    return max(likely, key=lambda place: (_names_files(columns[place]), hits[place], -place))


def _names_files(column: Sequence[str]) -> int:
    """How much a column looks as if it named files: by the endings in it, then by its own name."""
    written = sum(len(_keys(value)) > 1 for value in column)
    called = _NAMES_FILES & set(words_of(column[0]))
    return 3 if written > len(column) / 2 else 2 if called else 1 if column[0] else 0


def _text(data: bytes) -> str:
    """A table's text in the one way to write letters that names of files are in (NFC)."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or data[1:2] == b"\0"
    for encoding in ("utf-16" if data[:1] in (b"\xff", b"\xfe") else "utf-16-le",) if utf16 else _ENCODINGS:
        try:
            return unicodedata.normalize("NFC", data.decode(encoding).removeprefix("\ufeff").replace("\0", ""))
        except UnicodeDecodeError:
            continue
    return ""


def _rows(data: bytes) -> list[tuple[str, ...]]:
    """The rows of a CSV, without what may stand before its header: remarks, and what Excel is told of its signs."""
    lines = _BEFORE.sub("", _text(data), count=1)
    first = _QUOTED.sub("", io.StringIO(lines, newline=None).readline())
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        reader = csv.reader(io.StringIO(lines, newline=None), delimiter=delimiter, skipinitialspace=True)
        return [tuple(cell.strip() for cell in row) for row in reader if row]
    except csv.Error:
        return []


def _from_json(data: bytes) -> list[tuple[str, ...]]:
    """The rows of JSON lines, each a flat object: the keys of all are the header."""
    try:
        objects = [json.loads(line) for line in _text(data).splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return []
    if not all(isinstance(row, dict) for row in objects):
        return []
    header = tuple(dict.fromkeys(str(key) for row in objects for key in row))
    if len(header) * len(objects) > MAX_TABLE_BYTES:  # more cells than bytes
        return []
    return [header, *(tuple(_cell(row.get(key)) for key in header) for row in objects)]


def _cell(value: object) -> str:
    return "" if value is None else str(value).strip()


def _as_wide(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows as wide as the first: shorter ones are filled up, empty cells at the end are cut off."""
    width = len(rows[0])
    empty = ("",) * width
    return [empty if any(row[width:]) else (row + empty)[:width] for row in rows]


def _numbered(header: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, a second one of a name with its place."""
    first = {name: place for place, name in reversed(list(enumerate(header)))}
    return tuple(name if first[name] == place else f"{name} ({place + 1})" for place, name in enumerate(header))
