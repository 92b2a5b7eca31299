"""From file names to classes and splits: the common ways people lay out a folder of pictures.

Works on names alone. Class folders; `train/` with `val/`, `valid/` or `validation/` and perhaps `test/`; one or more
wrapper folders around it; stray files are told apart from pictures and counted.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from core.errors import DatasetError

PICTURE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".mpo", ".heic"}
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

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted({picture.class_name for picture in self.placed}))


def find_layout(names: Iterable[str]) -> Layout:
    """Which of the files are pictures, of which class, in which given split.

    Args:
        names: paths with forward slashes, relative to the archive or folder.

    Raises:
        DatasetError: there is no picture, no class folder, or only one class.
    """
    ignored: list[tuple[str, str]] = []
    pictures: list[tuple[str, tuple[str, ...]]] = []
    for name in sorted(names):
        reason = _why_not_a_picture(name)
        if reason:
            ignored.append((name, reason))
        else:
            pictures.append((name, PurePosixPath(name).parts))
    if not pictures:
        raise DatasetError(f"No pictures found among {len(ignored)} files. {_EXAMPLE}")
    placed = _place(_unwrap(pictures, ignored), ignored)
    placed = _without_placeholders(placed, ignored)
    _check_classes(placed)
    return Layout(placed=tuple(placed), ignored=tuple(ignored))


def _why_not_a_picture(name: str) -> str:
    parts = PurePosixPath(name).parts
    if any(part.lower() in _SYSTEM_NAMES or part.startswith(".") for part in parts):
        return "system file"
    return "" if PurePosixPath(name).suffix.lower() in PICTURE_ENDINGS else "not a picture"


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


def _check_classes(placed: list[Placed]) -> None:
    classes = sorted({picture.class_name for picture in placed})
    if len(classes) < 2:
        raise DatasetError(f"At least 2 classes are needed; found 1: {classes[0]}. {_EXAMPLE}")
