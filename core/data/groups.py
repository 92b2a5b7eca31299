"""Groups: pictures of one subject, patient, place or source. A split never parts them, see `core.data.edit.set_groups`.

They are read from the sub-folder below the class, from the file's name by a pattern, or from a table of file and group.
Groups of one name are one group, in whatever classes and parts they stand, and whatever the case of their letters.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from core.data.dataset import Dataset
from core.data.pictures import Picture
from core.data.reading.candidates import PICTURE_ENDINGS
from core.data.reading.tables import MAX_TABLE_BYTES, Index, Table, read_table
from core.errors import DatasetError
from core.home import ordinary

FOLDER: Final = "folder"
NAME: Final = "name:"
TABLE: Final = "table:"
GROUPS_HELP: Final = (
    "pictures of one subject stay in one part: folder (the sub-folder below the class), name:PATTERN (as in "
    "'name:(patient#)_*': * is anything, # a number, ? one character, brackets are around the group), or "
    "table:FILE.csv (file and group; table:FILE.csv:COLUMN)"
)
MAX_PATTERN: Final = 100
MAX_LABEL: Final = 200
"""Characters of a group's name."""
MOST_STAND_TOGETHER: Final = 0.8
"""Share of the pictures in groups of two or more from which names are said to look like groups."""
LEAST_GROUPS: Final = 4
LIKELY: Final = ("(*#)_*", "(*#)-*", "(*#) *", "(*#).*", "(*)_#", "(*)-#", "(*#)?")
"""Patterns that names are tried with, those that make larger groups first; every group must hold a number."""
SHOWN: Final = 5
NO_GROUP: Final = frozenset({"nan", "<na>", "none", "null"})
"""What programs write into a table's empty cells."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """A group for each picture of a data set."""

    said: str
    """Where they come from, for a person: "the pattern (patient#)_*"."""
    groups: tuple[str, ...]
    """The group's name by picture; empty for one that stands alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupCounts:
    """What groups there are."""

    groups: int
    grouped: int
    """Pictures that have a group."""
    alone: int
    """Pictures that have none."""
    largest: tuple[tuple[str, int], ...]
    """(name, pictures) of the largest groups, the largest first."""
    examples: tuple[tuple[str, str], ...]
    """(name of a file, its group) here and there."""


def find_groups(dataset: Dataset, how: str) -> Grouping:
    """Groups as the command line asks for them: `folder`, `name:PATTERN`, `table:FILE` or `table:FILE:COLUMN`.

    Raises:
        DatasetError: it asks for something else, or no picture would have a group.
    """
    if how == FOLDER:
        return by_folder(dataset)
    if how.startswith(NAME):
        return by_name(dataset, how.removeprefix(NAME))
    if how.startswith(TABLE):
        path, column = _path_and_column(how.removeprefix(TABLE))
        return by_table(dataset, path.name, _read(path), column)
    raise DatasetError(f"groups are {how[:MAX_PATTERN]!r}; say {FOLDER}, {NAME}PATTERN or {TABLE}FILE.csv.")


def _path_and_column(text: str) -> tuple[Path, str]:
    """`groups.csv:patient` is a file and one of its columns, unless a file is called like that."""
    path, colon, column = text.rpartition(":")
    return (Path(path), column) if colon and path and not Path(text).is_file() else (Path(text), "")


def _read(path: Path) -> bytes:
    try:
        if ordinary(path).stat().st_size > MAX_TABLE_BYTES:
            raise _too_large(path.name)
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a name with a NUL in it is no OSError
        raise DatasetError(f"The table {path.name!r} cannot be read.") from error


def _too_large(name: str) -> DatasetError:
    return DatasetError(f"{name} is larger than {MAX_TABLE_BYTES // 1024**2} MB (limit of a table).")


def by_folder(dataset: Dataset) -> Grouping:
    """Pictures that lie in one sub-folder of their class's folder.

    Raises:
        DatasetError: no picture lies in one.
    """
    homes = {row.path for row in dataset.class_folders}
    found = [_sub_folder(picture, dataset.class_names[picture.target], homes) for picture in dataset.pictures]
    if not any(found):
        raise DatasetError("No picture lies in a folder below its class's folder, so there are no groups by folder.")
    return _grouping("the sub-folder below the class", found)


def _sub_folder(picture: Picture, class_name: str, homes: set[str]) -> str:
    """The folder below the class's, on the way to a picture; empty where it lies in the class's own."""
    folders = picture.name.split("/")[:-1]
    for depth in range(len(folders), 0, -1):
        if "/".join(folders[:depth]) in homes:
            return "".join(folders[depth : depth + 1])
    if class_name in folders:  # stored by a version that did not keep where class folders were
        return "".join(folders[folders.index(class_name) + 1 :][:1])
    return ""


def by_name(dataset: Dataset, pattern: str) -> Grouping:
    """Pictures whose names say the same where the pattern has its brackets.

    The pattern is about the file's own name without its ending, or about the whole path where it has a slash.

    Raises:
        DatasetError: the pattern is none, fits no name, or leaves every group without one.
    """
    compiled = compile_pattern(pattern)
    found = [_named(compiled, picture.name, "/" in pattern) for picture in dataset.pictures]
    if "" in found and not any(found):
        raise DatasetError(
            f"The pattern {pattern!r} leaves nothing between its brackets, since a star takes as little as it can. Say "
            "what stands behind the group, as in (*)_*."
        )
    if not any(found):
        example = f" A name here is {PurePosixPath(dataset.pictures[0].name).name!r}." if dataset.pictures else ""
        raise DatasetError(f"The pattern {pattern!r} fits no file name.{example}")
    return _grouping(f"the pattern {pattern}", [name or "" for name in found])


def _named(compiled: re.Pattern[str], name: str, whole: bool) -> str | None:
    """What stands between the brackets; None where the pattern does not fit."""
    found = compiled.fullmatch(_stem(name if whole else name.rpartition("/")[2]))
    return found.string[found.start(1) : found.start(2)] if found else None


def _stem(name: str) -> str:
    """A name without a picture's ending."""
    path = PurePosixPath(name)
    return name[: -len(path.suffix)] if path.suffix.lower() in PICTURE_ENDINGS else name


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression whose two empty groups mark where the brackets were.

    `*` stands for any characters, as few as fit, also none; `?` for one; `#` for a whole number; everything else for
    itself, in capital letters or not. A star is settled with the first place where what follows it fits (an atomic
    group, as in Python's own `fnmatch`), and `#` takes all digits: so a pattern never takes longer than its length
    times the square of the name's, whatever it is.

    Raises:
        DatasetError: the brackets are not there once, around something, or it is too long.
    """
    if len(pattern) > MAX_PATTERN:
        raise DatasetError(f"The pattern has {len(pattern):,} characters; {MAX_PATTERN} are the most.")
    pattern = _stem(pattern.strip())
    opened, closed = pattern.find("("), pattern.find(")")
    if pattern.count("(") != 1 or pattern.count(")") != 1 or closed <= opened + 1:
        raise DatasetError("A pattern needs one pair of round brackets around what names the group: (patient#)_*.")
    signs = {"?": ".", "#": "[0-9]++", "(": "()", ")": "()"}
    first, *rest = ("".join(signs.get(sign) or re.escape(sign) for sign in piece) for piece in pattern.split("*"))
    pieces = [first, *(f"(?>.*?{piece})" for piece in rest[:-1]), *(f".*?{piece}" for piece in rest[-1:])]
    return re.compile("".join(pieces), re.DOTALL | re.IGNORECASE)


def by_table(dataset: Dataset, name: str, data: bytes, column: str = "") -> Grouping:
    """Groups from a table of file and group: CSV, TSV or JSON lines, with a header or without.

    Args:
        name: of the table's file, for what is said about it.
        column: which one says the group; empty where only one can.

    Raises:
        DatasetError: it names no pictures, or not which column says the group, or no group or two of one picture.
    """
    if len(data) > MAX_TABLE_BYTES:
        raise _too_large(name)
    places: dict[str, list[int]] = {}
    for index, picture in enumerate(dataset.pictures):
        places.setdefault(picture.name, []).append(index)
    table = read_table(name, lambda _: data, Index(list(places)))
    if table is None or not any(table.found):
        raise DatasetError(f"{name} has no column that names the pictures here, beside one that says their group.")
    which = _group_column(table, column)
    said = _said_by(table, which)
    found = [""] * len(dataset.pictures)
    for picture_name, group in said.items():
        for index in places[picture_name]:
            found[index] = group
    return _grouping(f"the column {table.header[which]} of {name}", found)


def _said_by(table: Table, which: int) -> dict[str, str]:
    """Name of a picture -> its group, where a table says one."""
    said: dict[str, str] = {}
    for picture_name, row in zip(table.found, table.rows, strict=True):
        group = "" if row[which].casefold() in NO_GROUP else row[which]
        if picture_name and group and _plain(said.setdefault(picture_name, group)) != _plain(group):
            both = f"{said[picture_name]} and {group}"
            raise DatasetError(f"{table.name} gives {picture_name} two groups, {both}. A picture has one.")
    if not said:
        raise DatasetError(f"The column {table.header[which]} of {table.name} says no picture's group.")
    return said


def _group_column(table: Table, column: str) -> int:
    others = [place for place in range(len(table.header)) if place != table.files]
    named = [place for place in others if table.header[place].casefold() == column.casefold()]
    chosen = named if column else others
    if len(chosen) != 1:
        columns = ", ".join(table.header[place] for place in others[:20])
        asked = f"{table.name} has no column {column!r}." if column else f"{table.name} has several columns."
        raise DatasetError(f"{asked} Say which one holds the group: {columns}.")
    return chosen[0]


def _grouping(said: str, found: Sequence[str]) -> Grouping:
    groups = tuple(_plain(name) for name in found)
    longest = max(groups, key=len, default="")
    if len(longest) > MAX_LABEL:
        raise DatasetError(f"The group {longest[:40]!r}... has a name of more than {MAX_LABEL} characters.")
    return Grouping(said=said, groups=groups)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def count_groups(names: Sequence[str], groups: Sequence[str]) -> GroupCounts:
    """What groups there are, of files with these names."""
    sizes = Counter(filter(None, groups))
    first: dict[str, tuple[str, str]] = {}
    for name, group in zip(names, groups, strict=True):
        if group:
            first.setdefault(group, (name.rpartition("/")[2], group))
    examples = list(first.values())
    return GroupCounts(
        groups=len(sizes),
        grouped=sizes.total(),
        alone=len(groups) - sizes.total(),
        largest=tuple(sorted(sizes.items(), key=lambda row: (-row[1], row[0]))[:SHOWN]),
        examples=tuple(examples[:: max(1, len(examples) // SHOWN)][:SHOWN]),
    )


def groups_sentence(counts: GroupCounts) -> str:
    """ "48 groups of 300 pictures, the largest patient12 with 12; 3 pictures stand alone"."""
    name, size = counts.largest[0] if counts.largest else ("", 0)
    number = f"{counts.groups:,} group{'s' * (counts.groups != 1)} of {counts.grouped:,} pictures"
    largest = f", the largest {name} with {size:,}" if counts.groups else ""
    alone = f"; {counts.alone:,} picture{'s stand' if counts.alone != 1 else ' stands'} alone" if counts.alone else ""
    return f"{number}{largest}{alone}"


def looks_grouped(dataset: Dataset) -> tuple[str, Grouping] | None:
    """How file names or folders seem to group the pictures: what `find_groups` would be asked, and what it gives.

    None where they do not: where most pictures would stand alone, or there would be hardly more groups than classes.
    """
    for how, grouping in _candidates(dataset):
        rows = zip(grouping.groups, dataset.pictures, strict=True)
        sizes = Counter((group, picture.target) for group, picture in rows if group)
        together = sum(size for size in sizes.values() if size > 1)  # in one class: each may count its pictures from 1
        enough = len(set(filter(None, grouping.groups))) >= max(LEAST_GROUPS, 2 * len(dataset.class_names))
        if enough and together >= MOST_STAND_TOGETHER * len(dataset.pictures):
            return how, grouping
    return None


def _candidates(dataset: Dataset) -> Iterator[tuple[str, Grouping]]:
    for how in (FOLDER, *(f"{NAME}{pattern}" for pattern in LIKELY)):
        try:
            grouping = find_groups(dataset, how)
        except DatasetError:
            continue
        if how == FOLDER or all(any(sign.isdigit() for sign in group) for group in grouping.groups if group):
            yield how, grouping
