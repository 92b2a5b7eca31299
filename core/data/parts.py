"""What is wrong with parts, in sentences: why one would be empty, which classes one lacks, what cannot be trained on.

The same sentence stands on the Data page, beside an accuracy and in a verdict.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.data.draw import ALL_PARTS, sides_by_class
from core.data.reading.folder_names import listed
from core.errors import DatasetError

if TYPE_CHECKING:
    from core.data.dataset import Dataset, Picture, Split

Counts = Mapping[str, Sequence[int]]
"""Part -> number of pictures of each class, in the order of the class names."""

SHOWN: Final = 3
"""Classes that a sentence names; of more, it says how many."""
_MEANINGS: Final = {"train": "training", "val": "validation", "test": "test"}


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


def class_counts(dataset: "Dataset", split: "Split") -> dict[str, list[int]]:
    """Part -> number of pictures of each class."""
    return {part: list(row.values()) for part, row in dataset.counts(split).items()}


def check_trainable(dataset: "Dataset", split: "Split") -> None:
    """Raise DatasetError where a network could learn one class only."""
    learnt = {dataset.pictures[index].target for index in split.train}
    if len(learnt) < 2:
        name = dataset.class_names[min(learnt)]
        raise DatasetError(
            f"Only the class {name} has pictures in train, so a network would learn to call everything {name}. "
            "Bring training pictures of another class, or draw the parts again on the Data page."
        )


def alike_classes(class_names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Classes whose names are one to a person: they differ only in letter case, width or spaces."""
    alike: dict[str, list[str]] = {}
    for name in class_names:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    return tuple(tuple(sorted(names)) for names in alike.values() if len(names) > 1)


def check_some_left(part: str, brought: int, left: int, copied: Sequence[str], grouped: bool) -> None:
    """Raise DatasetError where nothing is left of a part that was brought.

    Args:
        brought: the number of its pictures.
        left: how many of them are not copies of pictures in the parts `copied`.
        grouped: pictures of one group stand together as copies do.
    """
    if left:
        return
    what, purpose = _MEANINGS[part], "to train on" if part == "train" else "to choose on"
    if not brought:
        raise DatasetError(f"There is no {what} picture, so there is nothing {purpose}. Bring some in {part}.")
    of = " or ".join(_MEANINGS[name] for name in copied)
    all_are = f"All {brought:,} {what} pictures are copies" if brought > 1 else f"The only {what} picture is a copy"
    groups = ", or of their groups" if grouped else ""
    raise DatasetError(
        f"{all_are} of {of} pictures{groups}, so nothing is left {purpose}. Bring other {what} pictures."
    )


def check_enough(
    class_names: Sequence[str], pool: Sequence["Picture"], needed: int, left_out: int, grouped: bool
) -> None:
    """Raise DatasetError where no class of a pool has enough different pictures for all parts that are drawn from it.

    Args:
        needed: one for each of these parts.
        left_out: pictures that are not in the pool, since they are copies of test pictures or of their groups.
        grouped: pictures of one group stand together as copies do.
    """
    sides = sides_by_class(pool)
    if any(len(counts) >= needed for counts in sides.values()):
        return
    copied = any(counts.total() > len(counts) for counts in sides.values())
    if not copied and not left_out:
        raise DatasetError(f"The val part is empty: bring at least {needed} pictures per class (better 20).")
    held = listed(
        [_held(class_names[c], [p for p in pool if p.target == c], len(sides[c])) for c in sorted(sides)], SHOWN
    )
    of = "of the groups of test pictures" if grouped else "copies of test pictures"
    before = f"{left_out:,} training pictures are {of} and were left out. Of the others, "
    why = f"{'Groups' if grouped else 'Copies'} stay in one part, so these" if copied else "These"
    parts = "train, val and test" if needed == ALL_PARTS else "train and val"
    different = "groups" if grouped else "different pictures"
    raise DatasetError(
        f"{before if left_out else ''}{held if left_out else held[0].upper() + held[1:]}. {why} are too few for "
        f"{parts}: bring at least {needed} {different} per class (better 20)."
    )


def check_folds(
    class_names: Sequence[str], pictures: Sequence["Picture"], folds: int, rests: Sequence[Sequence["Picture"]]
) -> None:
    """Raise DatasetError where pictures cannot be divided into so many folds, whichever of them is asked for.

    Args:
        rests: of each fold, the pictures of all others, which train and val are drawn from.
    """
    sides = sides_by_class(pictures)
    most = max(map(len, sides.values()))
    grouped = any(picture.subject for picture in pictures)
    enough = all(0 < len(rest) < len(pictures) for rest in rests) and all(
        any(len(held) > 1 for held in sides_by_class(rest).values()) for rest in rests
    )
    if most < folds or not enough:
        largest = class_names[max(sides, key=lambda target: len(sides[target]))]
        what = "groups" if grouped else "different pictures"
        raise DatasetError(
            f"The class {largest}, the largest, has {most} {what}: too few for {folds} folds, each of which "
            "needs some, beside those for train and val. Ask for fewer folds, or bring more pictures."
        )


def _held(name: str, pictures: Sequence["Picture"], sides: int) -> str:
    """How many pictures a class has, and of how many they are copies, or of how many groups."""
    if sides == len(pictures):
        return f"the class {name} has {sides} picture{'s' * (sides > 1)}"
    if any(picture.subject for picture in pictures):
        groups = "all of one group" if sides == 1 else f"of {sides} groups"
        return f"the {len(pictures):,} pictures of {name} are {groups}"
    exact = len({picture.group for picture in pictures}) == sides
    what = "copies" if exact else "copies, near copies or a burst"
    return (
        f"the {len(pictures):,} pictures of {name} are {f'all {what} of one' if sides == 1 else f'{what} of {sides}'}"
    )
