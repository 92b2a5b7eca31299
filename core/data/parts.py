"""What is wrong with parts, in sentences: which classes one lacks, what cannot be trained on.

The same sentence stands on the Data page, beside an accuracy and in a verdict.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.data.dataset import Dataset, Split
from core.data.reading.folder_names import listed
from core.data.undivided import SHOWN
from core.errors import DatasetError

Counts = Mapping[str, Sequence[int]]
"""Part -> number of pictures of each class, in the order of the class names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """A part without a picture of some classes."""

    part: str
    classes: tuple[int, ...]
    sentence: str


def find_lacks(class_names: Sequence[str], counts: Counts) -> tuple[Lack, ...]:
    """The classes that each part lacks, and what follows from it. Parts that are not counted are not judged."""
    found = []
    for part in counts:
        classes = tuple(place for place, number in enumerate(counts[part]) if not number)
        if classes:
            names = [class_names[place] for place in classes]
            tested = sum(counts["test"][place] for place in classes) if "test" in counts else 0
            found.append(Lack(part=part, classes=classes, sentence=_lack_sentence(part, names, tested)))
    return tuple(found)


def _lack_sentence(part: str, names: Sequence[str], tested: int) -> str:
    one = len(names) == 1
    subject = f"The class {names[0]} has" if one else f"The classes {listed(names, SHOWN)} have"
    it, its, are = ("it", "its", "is") if one else ("they", "their", "are")
    match part:
        case "train":
            wrong = f"{its} one test picture counts" if tested == 1 else f"all of {its} {tested:,} test pictures count"
            follows = f"{it} can never be named" + (f", and {wrong} as wrong" if tested else "")
        case "val":
            them = "it" if one else "them"
            follows = f"what is chosen there, like the best epoch and the temperature, is chosen without {them}"
        case _:
            follows = f"nothing is known about how well {it} {are} recognised"
    return f"{subject} no picture in {part}: {follows}."


def class_counts(dataset: Dataset, split: Split) -> dict[str, list[int]]:
    """Part -> number of pictures of each class."""
    return {part: list(row.values()) for part, row in dataset.counts(split).items()}


def check_trainable(dataset: Dataset, split: Split) -> None:
    """Raise DatasetError where a network could learn one class only."""
    learnt = {dataset.pictures[index].target for index in split.train}
    if len(learnt) < 2:
        name = dataset.class_names[min(learnt)]
        raise DatasetError(
            f"Only the class {name} has pictures in train, so a network would learn to call everything {name}. "
            "Bring training pictures of another class, or draw the parts again on the Data page."
        )


def steps_per_epoch(pictures: int, batch_size: int) -> int:
    """Batches that so many pictures are learnt from in; a last one of a single picture joins its neighbour."""
    full, rest = divmod(pictures, batch_size)
    return max(1, full + (rest > 1))


def alike_classes(class_names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Classes whose names are one to a person: they differ only in letter case, width or spaces."""
    alike: dict[str, list[str]] = {}
    for name in class_names:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    return tuple(tuple(sorted(names)) for names in alike.values() if len(names) > 1)
