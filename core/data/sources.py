"""Where pictures come from: the built-in drawings, a zip, or a folder. All look the same: names, and bytes by name."""

import json
import os
import re
import stat
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from core.data.digits import DIGITS, DIGITS_TITLE, digit_files
from core.data.reading.archive import Archive
from core.data.reading.candidates import looks_like_picture
from core.data.reading.kinds import HEAD_BYTES
from core.data.reading.layout import Placed
from core.data.reading.limits import MAX_FILES_IN_FOLDER, MAX_MEMBER_BYTES
from core.errors import DatasetError, ImageError
from core.machine.facts import usable_cores

BUILTIN = "builtin"
LISTING = "listing.json"
FETCHED = "fetched.json"
BUILTIN_TITLE = "Drawn ants and bees"
"""Of the built-in set as it is drawn today. Earlier ones, which some homes still have, were called otherwise: so this
must change whenever other pictures are drawn."""
SHOWN = 80  # characters of a name in a sentence
_CHOICES = "`builtin`, `digits`, a zip, a folder or s3://bucket/prefix"
OnDrawn = Callable[[int, int], None]
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A listing of files and a way to read one; `read` raises ImageError for a file that cannot be read."""

    title: str
    """What a person calls it: a file's or folder's own name, never its path."""
    kind: str
    names: tuple[str, ...]
    folders: tuple[str, ...] = ()
    """All folders, empty ones included."""
    links: tuple[str, ...] = ()
    """Links to folders, which are not followed."""
    closed: tuple[str, ...] = ()
    """Folders that may not be looked into."""
    placed: tuple[Placed, ...] | None = None
    """Where classes are given and not to be found in the names."""
    refused: tuple[tuple[str, str], ...] = ()
    """Entries that are no files, with the reason."""
    notices: tuple[str, ...] = ()
    """What is odd about the whole and was put up with."""
    read: Callable[[str], bytes]
    head: Callable[[str], bytes]
    """The first `HEAD_BYTES` of a file, and perhaps more; raises as `read` does."""
    close: Callable[[], None]


def open_source(where: str | Path, on_drawn: OnDrawn = lambda done, total: None) -> Source:
    """The source behind `builtin` or `digits`, the path of a zip, or the path of a folder.

    Args:
        on_drawn: told (done, total) while built-in pictures are drawn.

    Raises:
        DatasetError: there is no such file or folder, or it cannot be used.
    """
    if str(where) == BUILTIN:
        return _drawings(on_drawn)
    if str(where) == DIGITS:
        return _scans()
    path = Path(where)
    if path.name == LISTING and path.is_file():
        return _files(path)
    if path.name == FETCHED and path.is_file():
        return _fetched(path)
    if not str(where).strip():
        raise DatasetError(
            "No data set was named. Give `builtin`, `digits`, a zip, a folder, or the id of a stored data set."
        )
    if _ADDRESS.match(str(where)):
        raise DatasetError(f"{str(where)[:80]!r} is an address; pictures are not fetched from there. Download the zip, "
                           "then give the file.")  # fmt: skip
    with suppress(OSError, RuntimeError, ValueError):  # too long a name, a closed folder, an unknown ~user, a NUL
        path = path.expanduser()
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return _zip(path)
        if path.exists():
            raise DatasetError(
                f"{_short(path.name)!r} is a pipe or device. Give `builtin`, `digits`, a zip or a folder."
            )
    name = _short(path.name or str(where))
    raise DatasetError(f"There is no file or folder called {name!r}. Give {_CHOICES}.")


def _short(name: str) -> str:
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}..."


def _drawings(on_drawn: OnDrawn) -> Source:
    from core.data.drawn.drawings import CLASS_NAMES, COUNTS, pictures

    total, drawn = len(CLASS_NAMES) * sum(COUNTS.values()), dict[str, bytes]()
    for name, content in pictures(usable_cores()):
        drawn[name] = content
        on_drawn(len(drawn), total)
    return Source(
        title=BUILTIN_TITLE,
        kind=BUILTIN,
        names=tuple(drawn),
        read=drawn.__getitem__,
        head=drawn.__getitem__,
        close=lambda: drawn.clear(),
    )


def _scans() -> Source:
    files = digit_files()
    content = {name: data for (_, name), data in files.items()}
    return Source(
        title=DIGITS_TITLE,
        kind=DIGITS,
        names=tuple(content),
        placed=tuple(Placed(name=name, class_name=digit, split=None) for digit, name in files),
        read=content.__getitem__,
        head=content.__getitem__,
        close=content.clear,
    )


def _files(listing: Path) -> Source:
    """Files that lie beside a listing of (class, name as it came, name on disk): what is shown is never a path."""
    content = json.loads(listing.read_bytes().decode("utf-8", "surrogatepass"))
    paths: dict[str, Path] = {}
    placed = []
    for class_name, name, stored in content["files"]:
        class_name = unicodedata.normalize("NFC", class_name)
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
        head=lambda name: _read_path(paths[name], HEAD_BYTES),
        close=lambda: None,
    )


def _fetched(listing: Path) -> Source:
    """Files that were brought from elsewhere and lie beside a listing of their names, by number."""
    content = json.loads(listing.read_bytes())
    paths = {name: listing.parent / f"{number}" for number, name in enumerate(content["names"])}
    folders = {"/".join(parts[:end]) for parts in (name.split("/") for name in paths) for end in range(1, len(parts))}
    return Source(
        title=content["title"],
        kind="bucket",
        names=tuple(paths),
        folders=tuple(sorted(folders)),
        refused=tuple((name, reason) for name, reason in content["refused"]),
        read=lambda name: _read_path(paths[name]),
        head=lambda name: _read_path(paths[name], HEAD_BYTES),
        close=lambda: None,
    )


def _zip(path: Path) -> Source:
    archive = Archive(path)
    empty = archive.empty_folders()
    return Source(
        title=_shown(path.stem),
        kind="zip",
        names=tuple(archive.names()),
        folders=tuple(archive.folders()),
        links=tuple(archive.links),
        refused=tuple(archive.refused),
        notices=(*archive.notices, *([f"Empty folders were ignored: {empty:,}."] if empty else [])),
        read=archive.read,
        head=archive.head,
        close=archive.close,
    )


def _folder(path: Path) -> Source:
    root = path.resolve()
    walked = _Walk()
    for folder, subfolders, files in os.walk(root, onerror=lambda error: walked.add_closed(root, error)):
        subfolders.sort()
        here = Path(folder).relative_to(root)
        for name in subfolders:
            linked = Path(folder, name).is_symlink()
            (walked.links if linked else walked.folders).append(_as_named(here / name))
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_symlink() and not path.suffix and not os.path.exists(path):  # once a link to a folder
                walked.links.append(_as_named(here / name))
            else:
                walked.add(here / name)
        if len(walked.files) > MAX_FILES_IN_FOLDER:
            raise DatasetError(f"{root.name or root} holds more than {MAX_FILES_IN_FOLDER:,} files (limit).")
    return Source(
        title=_shown(root.name),
        kind="folder",
        names=tuple(walked.files),
        folders=tuple(walked.folders),
        links=tuple(walked.links),
        closed=tuple(walked.closed),
        notices=tuple(walked.notices),
        read=lambda name: read_file(root, walked.files[name]),
        head=lambda name: read_file(root, walked.files[name], HEAD_BYTES),
        close=lambda: None,
    )


@dataclass
class _Walk:
    """What a walk through a folder has found."""

    files: dict[str, Path] = field(default_factory=dict)
    """Name -> path below the root."""
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add_closed(self, root: Path, error: OSError) -> None:
        """A folder that the system does not let us look into."""
        name = _as_named(Path(error.filename).relative_to(root))
        self.closed.append(name)
        self.notices.append(f"The folder {name} cannot be opened ({error.strerror}): what is in it is missing here.")

    def add(self, path: Path) -> None:
        """A file under its name; two whose names are one to a person are both kept."""
        name = _as_named(path)
        if name in self.files:
            self.notices.append(f"{name} stands for two different files; both were kept.")
            name = f"{name.removesuffix(path.suffix)} ({len(self.files)}){path.suffix}"
        self.files[name] = path


def _as_named(path: Path) -> str:
    """A name as zips have it: forward slashes, and one way to write a letter with its accent (NFC)."""
    return unicodedata.normalize("NFC", path.as_posix())


def pictures_in(folder: Path) -> list[Path]:
    """All picture files in a folder and the folders in it, as far as their names and first bytes tell.

    Raises:
        DatasetError: it holds too many files.
    """
    source = _folder(folder)
    return [folder / name for name in source.names if looks_like_picture(name, source.head)]


def _shown(name: str) -> str:
    """A name without the stand-ins for bytes that are no UTF-8, which no database takes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_file(root: Path, name: Path, first: int = -1) -> bytes:
    """A file that was found on a walk that enters no linked folders: so only the file itself can be a link."""
    path = root / name
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            raise ImageError("is a link that leads out of the folder", "FILE_LINK")
    except (OSError, RuntimeError) as error:  # nothing is there, or the link itself
        raise ImageError("is a link that leads nowhere", "FILE_LINK") from error
    return _read_path(path, first)


def _read_path(path: Path, first: int = -1) -> bytes:
    """An ordinary file's bytes, or so many of the first: from a pipe or a device they might never come."""
    try:
        known = path.stat()
        if not stat.S_ISREG(known.st_mode):
            raise ImageError("is not an ordinary file but a pipe, socket or device", "FILE_SPECIAL")
        if first < 0 and known.st_size > MAX_MEMBER_BYTES:
            raise ImageError(f"is larger than {MAX_MEMBER_BYTES // 1024**2} MB (limit)", "IMG_TOO_LARGE")
        with path.open("rb", buffering=0) as file:
            return file.read(first)
    except PermissionError as error:
        raise ImageError("may not be read (permission denied)", "FILE_CLOSED") from error
    except OSError as error:
        raise ImageError("is no longer readable", "FILE_GONE") from error
