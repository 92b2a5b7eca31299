"""Where pictures come from: the built-in drawings, a zip, or a folder. All look the same: names, and bytes by name."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.data.archive import MAX_ENTRIES, MAX_MEMBER_BYTES, Archive
from core.errors import DatasetError, ImageError

BUILTIN = "builtin"
BUILTIN_TITLE = "Ants and bees, drawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A listing of files and a way to read one; `read` raises ImageError for a file that cannot be read."""

    title: str
    """What a person calls it: a file's or folder's own name, never its path."""
    kind: str
    names: tuple[str, ...]
    read: Callable[[str], bytes]
    close: Callable[[], None]


def open_source(where: str | Path) -> Source:
    """The source behind `builtin`, the path of a zip, or the path of a folder.

    Raises:
        DatasetError: there is no such file or folder, or it cannot be used.
    """
    if str(where) == BUILTIN:
        return _drawings()
    path = Path(where)
    with suppress(OSError, RuntimeError):  # a name that is too long, a folder that is closed to us, an unknown ~user
        path = path.expanduser()
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return _zip(path)
    raise DatasetError(f"There is no file or folder called {path.name!r}. Give `builtin`, a zip or a folder.")


def _drawings() -> Source:
    from core.data.drawings import pictures

    drawn = dict(pictures())
    return Source(
        title=BUILTIN_TITLE, kind=BUILTIN, names=tuple(drawn), read=drawn.__getitem__, close=lambda: drawn.clear()
    )


def _zip(path: Path) -> Source:
    archive = Archive(path)
    return Source(
        title=_shown(path.stem), kind="zip", names=tuple(archive.names()), read=archive.read, close=archive.close
    )


def _folder(path: Path) -> Source:
    root = path.resolve()
    names: list[str] = []
    for folder, subfolders, files in os.walk(root):
        subfolders.sort()
        names += [(Path(folder) / file).relative_to(root).as_posix() for file in sorted(files)]
        if len(names) > 5 * MAX_ENTRIES:
            raise DatasetError(f"{root.name} holds more than {5 * MAX_ENTRIES:,} files (limit).")
    return Source(
        title=_shown(root.name),
        kind="folder",
        names=tuple(names),
        read=lambda name: _read_file(root, name),
        close=lambda: None,
    )


def _shown(name: str) -> str:
    """A name without the stand-ins for bytes that are no UTF-8, which no database takes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _read_file(root: Path, name: str) -> bytes:
    path = root / name
    try:
        if not path.resolve().is_relative_to(root):
            raise ImageError("is a link that leads out of the folder")
        if path.stat().st_size > MAX_MEMBER_BYTES:
            raise ImageError(f"is larger than {MAX_MEMBER_BYTES // 1024**2} MB (limit)")
        return path.read_bytes()
    except OSError as error:
        raise ImageError("is no longer readable") from error
