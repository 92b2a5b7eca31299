"""Which files may be pictures: by the name they have, and where that says nothing by their first bytes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from core.data.reading.kinds import Kind, kind_of
from core.data.reading.labels import is_table
from core.data.reading.picture import ENDINGS
from core.errors import ImageError

PICTURE_ENDINGS: Final = frozenset(f".{ending}" for endings in ENDINGS.values() for ending in endings)
"""What files are taken for pictures by their name; all others are looked at."""
_ARCHIVE_ENDINGS: Final = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"})
_SYSTEM_NAMES: Final = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__pycache__", "@eadir", "#recycle"}
    | {"$recycle.bin", "system volume information", "lost+found"}
)
SYSTEM_FILE: Final = "system file"
INNER_ARCHIVE: Final = "archive inside an archive is not opened"

Head = Callable[[str], bytes]
"""The first bytes of a file; raises ImageError for one that cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SortedFiles:
    """Files by what they are."""

    pictures: tuple[str, ...]
    unread: Mapping[str, str]
    """Those of them that are of a kind that is not read -> why."""
    ignored: tuple[tuple[str, str], ...]
    """All other files, with the reason."""
    tables: tuple[str, ...]
    """Those of the others that may hold labels."""
    masks: tuple[str, ...] = ()
    """Pictures that were put aside, since they are masks or annotations of others."""


def sort_files(names: Iterable[str], head: Head | None) -> SortedFiles:
    """Pictures, tables, and the rest with the reason why it is neither; system files are nobody's.

    Args:
        head: for files whose names do not say that they are pictures; without it names alone decide.
    """
    pictures: list[str] = []
    ignored: list[tuple[str, str]] = []
    unread: dict[str, str] = {}
    tables: list[str] = []
    for name in sorted(names):
        if is_system(name):
            ignored.append((name, SYSTEM_FILE))
            continue
        kind, reason = _judged(name, head)
        if not reason:
            pictures.append(name)
            if kind is not None and not kind.is_read:
                unread[name] = kind.reason
        elif is_table(name):
            tables.append(name)
        else:
            ignored.append((name, reason))
    ignored += [(name, "not a picture") for name in tables]
    return SortedFiles(pictures=tuple(pictures), unread=unread, ignored=tuple(ignored), tables=tuple(tables))


def looks_like_picture(name: str, head: Head) -> bool:
    """Whether a file is to be taken for a picture, by its name or its first bytes."""
    return not is_system(name) and not _judged(name, head)[1]


def is_system(name: str) -> bool:
    return any(part.startswith(".") or part.lower() in _SYSTEM_NAMES for part in PurePosixPath(name).parts)


def _judged(name: str, head: Head | None) -> tuple[Kind | None, str]:
    """What a file is, where that had to be looked at, and why it is no picture; names of pictures are believed."""
    ending = PurePosixPath(name.rstrip(". ")).suffix.lower()
    if ending in PICTURE_ENDINGS:
        return None, ""
    if ending in _ARCHIVE_ENDINGS:
        return None, INNER_ARCHIVE
    if head is None or is_table(name):
        return None, "not a picture"
    try:
        kind = kind_of(head(name), name)
    except ImageError as error:
        return None, str(error)
    return kind, "" if kind is not None and kind.is_picture else "not a picture"
