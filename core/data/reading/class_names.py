"""What a class may be called, and how many there may be."""

import unicodedata
from collections.abc import Collection
from typing import Final

from core.data.reading.limits import MAX_CLASS_NAME, MAX_CLASSES, MIN_CLASSES
from core.errors import DatasetError

EXAMPLE: Final = (
    "Expected one folder per class, like cats/1.jpg and dogs/1.jpg, or train/cats/1.jpg and val/cats/1.jpg."
)


def check_classes(names: Collection[str]) -> None:
    """Raise DatasetError unless there are enough classes, not too many, and each can be called by its name."""
    classes = sorted(names)
    if len(classes) < MIN_CLASSES:
        found = f"1: {classes[0]}" if classes else "none"
        raise DatasetError(f"At least {MIN_CLASSES} classes are needed; found {found}. {EXAMPLE}")
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
