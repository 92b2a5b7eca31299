"""Why a data set cannot be divided, in sentences."""

from collections.abc import Sequence
from typing import Final

from core.data.draw import ALL_PARTS, sides_by_class
from core.data.pictures import Picture
from core.data.reading.folder_names import listed
from core.errors import DatasetError

SHOWN: Final = 3  # classes that a sentence names; of more, it says how many
_MEANINGS: Final = {"train": "training", "val": "validation", "test": "test"}


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
    class_names: Sequence[str], pool: Sequence[Picture], needed: int, left_out: int, grouped: bool
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
    class_names: Sequence[str], pictures: Sequence[Picture], folds: int, rests: Sequence[Sequence[Picture]]
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


def _held(name: str, pictures: Sequence[Picture], sides: int) -> str:
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
