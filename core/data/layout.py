"""From file names to classes and splits: the common ways people lay out a folder of pictures.

Works on names alone. Class folders; `train/` with `val/`, `valid/` or `validation/` and perhaps `test/`; one or more
wrapper folders around it; stray files are told apart from pictures and counted.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from core.data.limits import MAX_CLASS_NAME, MAX_CLASSES, MIN_CLASSES
from core.errors import DatasetError

PICTURE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
    | {".webp", ".avif", ".mpo", ".heic", ".heif", ".hif", ".svg"}
)
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_ARCHIVE_ENDINGS = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"})
_SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini", "__pycache__"})
_EXAMPLE = "Expected one folder per class, like cats/1.jpg and dogs/1.jpg, or train/cats/1.jpg and val/cats/1.jpg."


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A file that lies where a picture of a class is expected."""

    name: str
    class_name: str
    split: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What a listing of names turned out to be."""

    placed: tuple[Placed, ...]
    ignored: tuple[tuple[str, str], ...]
    """Files that were never meant as pictures of a class: (name, reason)."""

    notices: tuple[str, ...] = ()
    """What is odd about the classes and was put up with."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted({picture.class_name for picture in self.placed}))


def find_layout(names: Iterable[str], given: Sequence[Placed] | None = None) -> Layout:
    """Which of the files are pictures, of which class, in which given split.

    Args:
        names: paths with forward slashes, relative to the archive or folder.
        given: where classes do not have to be found in the names.

    Raises:
        DatasetError: there is no picture, no class folder, or only one class.
    """
    if given is not None:
        _check_classes(given)
        return Layout(placed=tuple(given), ignored=(), notices=_odd_classes(given))
    ignored: list[tuple[str, str]] = []
    pictures: list[tuple[str, tuple[str, ...]]] = []
    for name in sorted(names):
        reason = _why_not_a_picture(name)
        if reason:
            ignored.append((name, reason))
        else:
            pictures.append((name, PurePosixPath(name).parts))
    if not pictures:
        if ignored and all(reason == "system file" for _, reason in ignored):
            raise DatasetError(f"It contains only system files. {_EXAMPLE}")
        raise DatasetError(f"No pictures found among {len(ignored)} files. {_EXAMPLE}")
    placed = _place(_unwrap(pictures, ignored), ignored)
    placed = _without_placeholders(placed, ignored)
    _check_classes(placed)
    return Layout(placed=tuple(placed), ignored=tuple(ignored), notices=_odd_classes(placed))


def _why_not_a_picture(name: str) -> str:
    parts = PurePosixPath(name).parts
    if any(part.lower() in _SYSTEM_NAMES or part.startswith(".") for part in parts):
        return "system file"
    ending = PurePosixPath(name.rstrip(". ")).suffix.lower()
    if ending in _ARCHIVE_ENDINGS:
        return "archive inside an archive is not opened"
    return "" if ending in PICTURE_ENDINGS else "not a picture"


def _unwrap(
    pictures: list[tuple[str, tuple[str, ...]]], ignored: list[tuple[str, str]]
) -> list[tuple[str, tuple[str, ...]]]:
    """Strip folders that lie around everything, but never a split folder and never the only class folder.

    A picture beside such a folder, a logo say, is no reason to keep it.
    """
    while True:
        inside = [(name, parts) for name, parts in pictures if len(parts) > 1]
        firsts = {parts[0] for _, parts in inside}
        strip = len(firsts) == 1 and any(len(parts) > 2 for _, parts in inside)
        if not strip or next(iter(firsts)).lower() in SPLIT_FOLDERS:
            return pictures
        ignored += [(name, "not in a class folder") for name, parts in pictures if len(parts) == 1]
        pictures = [(name, parts[1:]) for name, parts in inside]


def _place(pictures: list[tuple[str, tuple[str, ...]]], ignored: list[tuple[str, str]]) -> list[Placed]:
    # a folder called train that holds class folders is a split; one that holds pictures is a class of railway trains
    splits = any(SPLIT_FOLDERS.get(parts[0].lower()) == "train" and len(parts) > 2 for _, parts in pictures)
    placed = []
    for name, parts in pictures:
        split = SPLIT_FOLDERS.get(parts[0].lower()) if splits else None
        if splits and split is None:
            ignored.append((name, "outside train, val and test"))
            continue
        below = parts[1:] if splits else parts
        if len(below) < 2:
            ignored.append((name, "not in a class folder"))
        else:
            placed.append(Placed(name=name, class_name=below[0], split=split))
    if not placed:
        raise DatasetError(f"No class folders found: {len(pictures)} pictures lie side by side. {_EXAMPLE}")
    return placed


def _without_placeholders(placed: list[Placed], ignored: list[tuple[str, str]]) -> list[Placed]:
    """Drop GIFs from a class of photos: downloads leave "image not found" GIFs where a picture is gone."""
    others = Counter(p.class_name for p in placed if not p.name.lower().endswith(".gif"))
    kept = []
    for picture in placed:
        if picture.name.lower().endswith(".gif") and others[picture.class_name]:
            ignored.append((picture.name, "GIF among photos, taken for a placeholder"))
        else:
            kept.append(picture)
    return kept


def _check_classes(placed: Sequence[Placed]) -> None:
    classes = sorted({picture.class_name for picture in placed})
    if len(classes) < MIN_CLASSES:
        found = f"1: {classes[0]}" if classes else "none"
        raise DatasetError(f"At least {MIN_CLASSES} classes are needed; found {found}. {_EXAMPLE}")
    if len(classes) > MAX_CLASSES:
        raise DatasetError(f"There are {len(classes):,} classes; the limit is {MAX_CLASSES:,}.")
    for name in classes:
        check_class_name(name)


def check_class_name(name: str) -> None:
    """Raise DatasetError unless a class has a name that can be seen and is not too long."""
    if not any(unicodedata.category(sign)[0] not in "CZ" for sign in name):
        raise DatasetError("A class needs a visible name; one is empty or made of spaces. Rename its folder.")
    if len(name) > MAX_CLASS_NAME:
        length = f"{len(name):,} characters; the limit is {MAX_CLASS_NAME}"
        raise DatasetError(f"The class {name[:20]}... has a name of {length}.")


def _odd_classes(placed: Sequence[Placed]) -> tuple[str, ...]:
    """Classes whose names are one to a person: told, since they may be meant as one."""
    alike: dict[str, set[str]] = {}
    for name in {picture.class_name for picture in placed}:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), set()).add(name)
    return tuple(
        f"The classes {' and '.join(map(repr, sorted(names)))} differ only in letter case, width or spaces; they were "
        "kept apart. If they are one, merge them."
        for names in alike.values()
        if len(names) > 1
    )
