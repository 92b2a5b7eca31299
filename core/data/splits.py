"""Dividing pictures into train, val and test. Epochs are chosen on val and results reported on test: all must exist.

Given parts are respected. With `train` and `val` only, the given val becomes test, since it must not be used for
choosing, and a val part is drawn from train. With class folders only, val and test are drawn. Drawing orders the
pictures of a class by a hash of (seed, pixels or family), and those that were added later are drawn on their own: so
adding pictures never moves an old one to another part. Whether it can be done does not depend on the seed.

There is one test part for all seeds: it is always drawn with `TEST_SEED`. Rule 1 of the settings, by which runs of
earlier versions were made, drew one for each seed; both divide alike for `TEST_SEED`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from core.data.draw import ALL_PARTS, draw_folds, draw_sides, hash_of
from core.data.pictures import Picture
from core.data.undivided import check_enough, check_folds, check_some_left
from core.settings.schema import DataSettings

TEST_SEED: Final = 0
"""Orders what a test part is drawn from; a constant, so that the part depends on content alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Indices into the pictures."""

    train: list[int]
    val: list[int]
    test: list[int]
    notices: tuple[str, ...]


def divide(
    pictures: Sequence[Picture], class_names: Sequence[str], grouped: bool, seed: int, settings: DataSettings
) -> Parts:
    """The parts of these pictures, with no more of each class in train than the settings let in.

    Args:
        grouped: pictures of one group stand together as copies do.

    Raises:
        DatasetError: a part would be empty; it says why.
    """
    parts = _divided(pictures, class_names, grouped, seed, settings)
    if settings.train_per_class is None:
        return parts
    return replace(parts, train=_some_of_each(pictures, parts.train, seed, settings.train_per_class))


def _some_of_each(pictures: Sequence[Picture], train: Sequence[int], seed: int, most: int) -> list[int]:
    """At most so many of each class, by a hash of seed and content: who is among few is among more, too."""
    taken: Counter[int] = Counter()
    chosen = []
    for index in sorted(train, key=lambda index: hash_of(f"few:{seed}:{pictures[index].content}")):
        taken[pictures[index].target] += 1
        if taken[pictures[index].target] <= most:
            chosen.append(index)
    return sorted(chosen)


def _divided(
    pictures: Sequence[Picture], class_names: Sequence[str], grouped: bool, seed: int, settings: DataSettings
) -> Parts:
    """The same, whole."""
    if settings.folds is not None:
        return _one_fold(pictures, class_names, seed, settings.folds, settings.fold or 1, settings.val_fraction)
    given = {picture.given for picture in pictures}
    test_name = "test" if "test" in given else "val" if "val" in given else None
    test = [i for i, picture in enumerate(pictures) if test_name and picture.given == test_name]
    rest = [i for i, picture in enumerate(pictures) if not (test_name and picture.given == test_name)]
    kept = _apart_from(pictures, rest, test)
    if test_name == "test" and "val" in given:
        train, val = _given_parts(pictures, rest, kept, grouped)
    else:
        check_some_left("train", len(rest), len(kept), ["test"], grouped)
        needed, left_out = 2 if test_name else ALL_PARTS, len(rest) - len(kept)
        check_enough(class_names, [pictures[i] for i in kept], needed, left_out, grouped)
        if test_name is None:
            test_seed = seed if settings.split_rule == 1 else TEST_SEED
            test, kept = _draw(pictures, kept, test_seed, settings.test_fraction, "test")
        val, train = _draw(pictures, kept, seed, settings.val_fraction, "val")
    notices = _notices(*left_out_of(pictures, rest, test)) if test_name else ()
    return Parts(train=train, val=val, test=test, notices=notices)


def _notices(copies: Sequence[int], grouped: Sequence[int]) -> tuple[str, ...]:
    found = []
    if copies:
        found.append(f"{len(copies)} training pictures are copies of test pictures and were left out.")
    if grouped:
        found.append(f"{len(grouped)} training pictures are of groups that stand in test, too, and were left out.")
    return tuple(found)


def _one_fold(
    pictures: Sequence[Picture], class_names: Sequence[str], seed: int, folds: int, fold: int, val_fraction: float
) -> Parts:
    """One fold of all pictures is test, whatever parts they came in; val is drawn from the others."""
    everything = list(range(len(pictures)))
    fold_of = draw_folds(pictures, folds)
    rests = [[i for i in everything if fold_of[pictures[i].side] != number] for number in range(folds)]
    check_folds(class_names, pictures, folds, [[pictures[i] for i in rest] for rest in rests])
    rest = rests[fold - 1]
    test = sorted(set(everything) - set(rest))
    val, train = _draw(pictures, rest, seed, val_fraction, "val")
    notices = [f"Fold {fold} of {folds}: over all folds, every picture is tested once."]
    if any(picture.given for picture in pictures):
        notices.append("The parts that the pictures came in are not used: folds are of all of them.")
    return Parts(train=train, val=val, test=test, notices=tuple(notices))


def left_out_of(pictures: Sequence[Picture], pool: Sequence[int], test: Sequence[int]) -> tuple[list[int], list[int]]:
    """Pictures of a pool that must not stand beside these test pictures: copies of them, and others of their groups."""
    sides, kin = {pictures[index].side for index in test}, {pictures[index].kin for index in test}
    out = [index for index in pool if pictures[index].side in sides]
    copies = [index for index in out if pictures[index].kin in kin]
    return copies, sorted(set(out) - set(copies))


def _given_parts(
    pictures: Sequence[Picture], rest: list[int], kept: list[int], grouped: bool
) -> tuple[list[int], list[int]]:
    """Train and val as they were brought, of what is kept: what stands with val pictures is not trained on, either."""
    brought = sum(pictures[index].given == "val" for index in rest)
    val = [index for index in kept if pictures[index].given == "val"]
    unseen = [index for index in kept if pictures[index].given != "val"]
    train = _apart_from(pictures, unseen, val)
    copied = ["test"] * (len(unseen) < len(rest) - brought) + ["val"] * (len(train) < len(unseen))
    check_some_left("train", len(rest) - brought, len(train), copied, grouped)
    check_some_left("val", brought, len(val), ["test"], grouped)
    return train, val


def _apart_from(pictures: Sequence[Picture], indices: list[int], of: list[int]) -> list[int]:
    sides = {pictures[index].side for index in of}
    return [index for index in indices if pictures[index].side not in sides]


def _draw(
    pictures: Sequence[Picture], pool: list[int], seed: int, fraction: float, purpose: str
) -> tuple[list[int], list[int]]:
    """Take about `fraction` of each class, and leave something for train, and for val where that is drawn next.

    Returns:
        Those taken and those left, both in picture order.
    """
    keep = ALL_PARTS - 1 if purpose == "test" else 1
    taken = draw_sides([pictures[index] for index in pool], purpose, seed, fraction, keep)
    # a copy in another class goes along, so that no picture stands on both sides
    first = [index for index in pool if pictures[index].side in taken]
    return first, [index for index in pool if pictures[index].side not in taken]
