"""Where pictures come from: the built-in drawings, a zip, or a folder. All look the same: names, and bytes by name."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.data.archive import Archive
from core.data.layout import Placed
from core.data.limits import MAX_FILES_IN_FOLDER, MAX_MEMBER_BYTES
from core.errors import DatasetError, ImageError
from core.machine import usable_cores

BUILTIN = "builtin"
LISTING = "listing.json"
BUILTIN_TITLE = "Ants and bees, drawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A listing of files and a way to read one; `read` raises ImageError for a file that cannot be read."""

    title: str
    """What a person calls it: a file's or folder's own name, never its path."""
    kind: str
    names: tuple[str, ...]
    placed: tuple[Placed, ...] | None = None
    """Where classes are given and not to be found in the names."""
    refused: tuple[tuple[str, str], ...] = ()
    """Entries that are no files, with the reason."""
    notices: tuple[str, ...] = ()
    """What is odd about the whole and was put up with."""
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
    if path.name == LISTING and path.is_file():
        return _files(path)
    with suppress(OSError, RuntimeError):  # a name that is too long, a folder that is closed to us, an unknown ~user
        path = path.expanduser()
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return _zip(path)
    raise DatasetError(f"There is no file or folder called {path.name!r}. Give `builtin`, a zip or a folder.")


def _drawings() -> Source:
    from core.data.drawings import pictures

    drawn = dict(pictures(usable_cores()))
    return Source(
        title=BUILTIN_TITLE, kind=BUILTIN, names=tuple(drawn), read=drawn.__getitem__, close=lambda: drawn.clear()
    )


def _files(listing: Path) -> Source:
    """Files that lie beside a listing of (class, name as it came, name on disk): what is shown is never a path."""
    content = json.loads(listing.read_bytes().decode("utf-8", "surrogatepass"))
    paths: dict[str, Path] = {}
    placed = []
    for class_name, name, stored in content["files"]:
        shown = f"{class_name}/{name}"
        while shown in paths:
            shown += " (again)"
        paths[shown] = listing.parent / Path(stored).name
        placed.append(Placed(name=shown, class_name=class_name, split=None))
    return Source(
        title=content["title"],
        kind="files",
        names=tuple(paths),
        placed=tuple(placed),
        read=lambda name: _read_path(paths[name]),
        close=lambda: None,
    )


def _zip(path: Path) -> Source:
    archive = Archive(path)
    empty = archive.empty_folders()
    return Source(
        title=_shown(path.stem),
        kind="zip",
        names=tuple(archive.names()),
        refused=tuple(archive.refused),
        notices=(*archive.notices, *([f"{empty:,} empty folders were ignored."] if empty else [])),
        read=archive.read,
        close=archive.close,
    )


def _folder(path: Path) -> Source:
    root = path.resolve()
    names: list[str] = []
    for folder, subfolders, files in os.walk(root):
        subfolders.sort()
        names += [(Path(folder) / file).relative_to(root).as_posix() for file in sorted(files)]
        if len(names) > MAX_FILES_IN_FOLDER:
            raise DatasetError(f"{root.name} holds more than {MAX_FILES_IN_FOLDER:,} files (limit).")
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
    """A file that was found on a walk that enters no linked folders: so only the file itself can be a link."""
    path = root / name
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise ImageError("is a link that leads out of the folder", "FILE_LINK")
    except OSError as error:
        raise ImageError("is no longer readable", "FILE_GONE") from error
    return _read_path(path)


def _read_path(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_MEMBER_BYTES:
            raise ImageError(f"is larger than {MAX_MEMBER_BYTES // 1024**2} MB (limit)", "IMG_TOO_LARGE")
        return path.read_bytes()
    except OSError as error:
        raise ImageError("is no longer readable", "FILE_GONE") from error
