"""What may be wrong with a data set, found before anything is trained; each finding names its pictures and a fix.

A network learns whatever tells the classes apart. If that is the size of the file, it has learnt nothing of the thing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from core.data.copies import Squares, small_squares
from core.data.dataset import SPLITS, Dataset, Split
from core.data.draw import sides_by_class
from core.data.edit import with_all_drawn, with_val_drawn
from core.data.groups import count_groups, looks_grouped
from core.data.parts import Lack, alike_classes, class_counts, find_lacks
from core.data.reading.folder_names import listed
from core.data.reading.limits import MIN_CLASSES
from core.data.splits import left_out_of
from core.data.undivided import SHOWN
from core.errors import DatasetError

Kind = Literal[
    "lacks-class",
    "alike-classes",
    "two-classes",
    "exact-copies",
    "near-copies",
    "across-splits",
    "groups-across",
    "one-group",
    "looks-grouped",
    "small-class",
    "imbalance",
    "blank",
    "tiny",
    "shape",
    "told-by",
]
Fix = Literal["drop", "drop-others", "move", "keep", "merge", "leave-out", "draw-val", "draw-all", "group"]

FEW: Final = 10
"""Pictures of a class below which a result says next to nothing about it."""
UNEVEN: Final = 5.0
"""The largest class this many times the smallest."""
TINY: Final = 48  # pixels on the short side; the network sees 224
LONG: Final = 4.0
BLANK: Final = 3.0  # standard deviation of grey levels, of 255
TELLING: Final = 0.8
"""Balanced accuracy of one number alone, on pictures it was not fitted on, from which it is a warning."""
MOST_LOOKED_AT: Final = 5_000
"""Pictures whose pixels are looked at; of more, a regular sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing to know about a data set."""

    kind: Kind
    serious: bool
    """It can make a result wrong, not only weak."""
    sentence: str
    pictures: tuple[int, ...] = ()
    """Indices of the pictures it is about."""
    fixes: tuple[Fix, ...] = ()
    """What can be done: drop these pictures, drop all but the first of each group, move them to another class; merge
    classes of one name, leave the classes out, draw val, or all parts, instead of taking them as they came; group them.
    """
    classes: tuple[str, ...] = ()
    """Whole classes that it is about."""
    groups: str = ""
    """How to group them, as `core.data.groups.find_groups` reads it."""


def find_problems(dataset: Dataset, split: Split) -> tuple[Finding, ...]:
    """All findings, serious ones first."""
    looked = _sample(dataset)
    squares = small_squares(dataset.pixels[i] for i in looked)
    found = [*_lacks(dataset, split), *_copies(dataset, split), *_groups(dataset, split), *_counts(dataset)]
    found += [*_looks(dataset, looked, squares), *_told_by(dataset, looked, squares)]
    return tuple(sorted(found, key=lambda finding: not finding.serious))


def _lacks(dataset: Dataset, split: Split) -> Iterator[Finding]:
    """Classes that a part lacks, after classes that may be one."""
    lacks = find_lacks(dataset.class_names, class_counts(dataset, split))
    alike = alike_classes(dataset.class_names)
    twins = {name for names in alike for name in names}
    lacking = {dataset.class_names[place] for lack in lacks for place in lack.classes}
    if alike:
        groups = [" and ".join(map(repr, names)) for names in alike[:SHOWN]]
        groups += [f"and {len(alike) - SHOWN} more"] if len(alike) > SHOWN else []
        yield Finding(
            kind="alike-classes",
            serious=bool(twins & lacking),
            sentence=f"Classes differ only in letter case, width or spaces: {'; '.join(groups)}. If they are one, "
            "merge them.",
            pictures=_pictures_of(dataset, twins),
            fixes=("merge", "keep"),
            classes=tuple(name for names in alike for name in names),
        )
    for lack in lacks:
        names = tuple(dataset.class_names[place] for place in lack.classes)
        fixes: Iterable[Fix] = ("merge",) if twins.issuperset(names) else _fixes_of(dataset, lack)
        yield Finding(
            kind="lacks-class",
            serious=True,
            sentence=lack.sentence,
            pictures=_pictures_of(dataset, names),
            fixes=(*fixes, "keep"),
            classes=names,
        )


def _pictures_of(dataset: Dataset, names: Collection[str]) -> tuple[int, ...]:
    return tuple(i for i, picture in enumerate(dataset.pictures) if dataset.class_names[picture.target] in names)


def _fixes_of(dataset: Dataset, lack: Lack) -> Iterator[Fix]:
    """What makes every part whole that lacks a class now."""
    given = {picture.given for picture in dataset.pictures}
    if lack.part == "val" and {"val", "test"} <= given and _is_whole(with_val_drawn(dataset)):
        yield "draw-val"
    if given != {None} and _is_whole(with_all_drawn(dataset)):
        yield "draw-all"
    if len(dataset.class_names) - len(lack.classes) >= MIN_CLASSES:
        yield "leave-out"


def _is_whole(dataset: Dataset) -> bool:
    """Whether every part has pictures of every class. That does not depend on the seed."""
    try:
        return not find_lacks(dataset.class_names, class_counts(dataset, dataset.split(0)))
    except DatasetError:
        return False


def _copies(dataset: Dataset, split: Split) -> Iterator[Finding]:
    pictures = dataset.pictures
    groups, families = _by(dataset, "group"), _by(dataset, "family")
    torn = [index for group in groups.values() if len({pictures[i].target for i in group}) > 1 for index in group]
    if torn:
        yield Finding(
            kind="two-classes",
            serious=True,
            sentence=f"{len(torn)} pictures stand in two classes at once: one of the two labels is wrong.",
            pictures=tuple(torn),
            fixes=("drop", "move", "keep"),
        )
    twice = set(torn)
    same = [index for group in groups.values() if len(group) > 1 for index in group if index not in twice]
    if same:
        extra = len(same) - len({pictures[index].group for index in same})
        yield Finding(
            kind="exact-copies",
            serious=False,
            sentence=f"{_copies_of(extra)}. Copies stay on one side of every split.",
            pictures=tuple(same),
            fixes=("drop-others", "keep"),
        )
    near = [index for family in families.values() if len(family) > 1 for index in family]
    near = [index for index in near if len(groups[pictures[index].group]) == 1]
    if near:
        yield Finding(
            kind="near-copies",
            serious=False,
            sentence=f"{len(near)} pictures are near copies of each other, or of one burst. They stay on one side.",
            pictures=tuple(near),
            fixes=("drop-others", "keep"),
        )
    copied, _ = _left_out(dataset, split)
    if copied:
        yield Finding(
            kind="across-splits",
            serious=True,
            sentence="1 picture was brought for training and is a copy of a test picture; left out."
            if len(copied) == 1
            else f"{len(copied)} pictures were brought for training and are copies of test pictures; left out.",
            pictures=tuple(copied),
            fixes=("drop", "keep"),
        )


def _by(dataset: Dataset, mark: Literal["group", "family"]) -> dict[str, list[int]]:
    """Mark -> indices of the pictures that share it; those that have none are left out."""
    found: dict[str, list[int]] = {}
    for index, picture in enumerate(dataset.pictures):
        if getattr(picture, mark):
            found.setdefault(getattr(picture, mark), []).append(index)
    return found


def _left_out(dataset: Dataset, split: Split) -> tuple[list[int], list[int]]:
    """Pictures that stand in no part: copies of those that are tested or chosen on, and others of their groups."""
    used = {index for part in SPLITS for index in split.part(part)}
    unused = [index for index in range(len(dataset.pictures)) if index not in used]
    return left_out_of(dataset.pictures, unused, (*split.test, *split.val))


def _groups(dataset: Dataset, split: Split) -> Iterator[Finding]:
    """Groups that names speak of and nobody has set; of those that were set, what cannot be divided."""
    likely = None if dataset.grouped_by else looks_grouped(dataset)
    if likely:
        how, grouping = likely
        counts = count_groups([picture.name for picture in dataset.pictures], grouping.groups)
        (file, group), (largest, size) = counts.examples[0], counts.largest[0]
        yield Finding(
            kind="looks-grouped",
            serious=True,
            sentence=f"Pictures look grouped by {grouping.said}: {file} would be of {group}. There are "
            f"{counts.groups:,} groups, the largest {largest} with {size:,} pictures. If a group is one patient or "
            "place, set the groups: else a network is tested on what it has seen in training.",
            fixes=("group", "keep"),
            groups=how,
        )
    yield from _groups_across(dataset, split)
    for target, sides in sides_by_class(dataset.pictures).items():
        pictures = [index for index, picture in enumerate(dataset.pictures) if picture.target == target]
        if len(sides) == 1 < len(pictures) and any(dataset.pictures[index].subject for index in pictures):
            yield Finding(
                kind="one-group",
                serious=True,
                sentence=f"All {len(pictures):,} pictures of {dataset.class_names[target]} are of one group, which is "
                "never divided. Bring pictures of other groups: with three, they can stand in train, val and test.",
                pictures=tuple(pictures),
                fixes=("keep",),
            )


def _groups_across(dataset: Dataset, split: Split) -> Iterator[Finding]:
    """Groups that were brought in several parts, and what was done."""
    _, parted = _left_out(dataset, split)
    if not parted:
        return
    names = sorted({dataset.pictures[index].subject for index in parted} - {""})
    groups = f"{len(names)} groups were" if len(names) != 1 else "1 group was"
    drawn = _is_whole(with_all_drawn(dataset))
    fixes: tuple[Fix, ...] = ("drop", "draw-all", "keep") if drawn else ("drop", "keep")
    yield Finding(
        kind="groups-across",
        serious=True,
        sentence=f"{groups} brought in more than one part ({listed(names, SHOWN)}): test keeps its pictures, and "
        f"{len(parted):,} others of these groups are left out of training."
        + (" Drawn again, all pictures are used." if drawn else ""),
        pictures=tuple(parted),
        fixes=fixes,
    )


def _copies_of(pictures: int) -> str:
    return "1 picture is an exact copy of another" if pictures == 1 else f"{pictures:,} are exact copies of others"


def _pictures(count: int) -> str:
    return f"{count} picture{'s' * (count != 1)}"


def _counts(dataset: Dataset) -> Iterator[Finding]:
    counts = Counter(picture.target for picture in dataset.pictures)
    small = {target: name for target, name in enumerate(dataset.class_names) if counts[target] < FEW}
    if small:
        if len(small) == 1:
            ((target, name),) = small.items()
            said = f"The class {name} has {_pictures(counts[target])}: too few to measure anything about it."
        else:
            told = listed([f"{name} {counts[target]}" for target, name in small.items()], SHOWN)
            said = (
                f"{len(small)} classes have fewer than {FEW} pictures, too few to measure anything about them: {told}."
            )
        yield Finding(
            kind="small-class",
            serious=False,
            sentence=said,
            pictures=tuple(i for i, picture in enumerate(dataset.pictures) if picture.target in small),
            fixes=("drop", "keep") if len(dataset.class_names) - len(small) >= MIN_CLASSES else ("keep",),
        )
    largest, smallest = max(counts.values()), min(counts.values())
    if largest >= UNEVEN * smallest:
        yield Finding(
            kind="imbalance",
            serious=False,
            sentence=f"The largest class has {largest / smallest:.0f} times as many pictures as the smallest: look at "
            "balanced accuracy and at recall by class; class weights let all classes weigh the same in training.",
        )


def _looks(dataset: Dataset, looked: Sequence[int], squares: Squares) -> Iterator[Finding]:
    pictures = dataset.pictures
    # a square's pixels are means, which vary less than what they are means of: only where they hardly do is more read
    dull = np.array(looked)[squares.mean(axis=3).std(axis=(1, 2)) < 2 * BLANK]
    blank = tuple(int(i) for i in dull if dataset.pixels[i].mean(axis=2).std() < BLANK)
    tiny = tuple(i for i, p in enumerate(pictures) if min(p.place[1:]) < TINY)
    long = tuple(i for i, p in enumerate(pictures) if max(p.size) > LONG * min(p.size) > 0)
    for kind, places, words in (
        ("blank", blank, "blank, or nearly so: there is nothing to see"),
        ("tiny", tiny, f"smaller than {TINY} pixels; enlarged to 224 for the network"),
        ("shape", long, f"more than {LONG:.0f} times as long as wide; only the middle is used"),
    ):
        if places:
            yield Finding(
                kind=kind,  # type: ignore[arg-type]
                serious=False,
                sentence=f"{_pictures(len(places))} {'is' if len(places) == 1 else 'are'} {words}.",
                pictures=places,
                fixes=("drop", "keep"),
            )


def _sample(dataset: Dataset) -> list[int]:
    step = -(-len(dataset.pictures) // MOST_LOOKED_AT)
    return list(range(0, len(dataset.pictures), max(1, step)))


def _told_by(dataset: Dataset, looked: Sequence[int], squares: Squares) -> Iterator[Finding]:
    """Whether one number that has nothing to do with the thing tells a class from all others."""
    targets = np.array([dataset.pictures[i].target for i in looked])
    means = squares.mean(axis=(1, 2))
    known = [dataset.pictures[i] for i in looked]
    numbers = {
        "width": [p.size[0] for p in known],
        "height": [p.size[1] for p in known],
        "shape": [p.size[0] / max(1, p.size[1]) for p in known],
        "file size": [p.file_bytes for p in known],
        "mean redness": means[:, 0].tolist(),
        "mean greenness": means[:, 1].tolist(),
        "mean blueness": means[:, 2].tolist(),
        "mean brightness": means.mean(axis=1).tolist(),
    }
    for target, name in enumerate(dataset.class_names):
        mine = targets == target
        if min(mine.sum(), (~mine).sum()) < FEW:
            continue
        best = max(((separable(np.array(values, float), mine), what) for what, values in numbers.items()))
        (score, surely), what = best
        if score >= TELLING and surely:
            yield Finding(
                kind="told-by",
                serious=True,
                sentence=f"{name} can be told by {what} alone in {100 * score:.1f} % of cases "
                "(balanced, chance is 50 %). A network may learn that instead of what is in the pictures.",
                pictures=tuple(int(i) for i in np.array(looked)[mine]),
                fixes=("keep",),
            )


def separable(values: np.ndarray, mine: np.ndarray) -> tuple[float, bool]:
    """How well one threshold tells `mine` (N,) from the rest by `values` (N,), and whether that is more than chance.

    The threshold is fitted on every second picture and judged on the others, both ways: balanced accuracy. More than
    chance: a binomial test below 0.001 on the judged pictures; asked only where it is told well enough to be told.
    """
    scores, right = [], 0
    for fit in (0, 1):
        train, judge = np.arange(len(values)) % 2 == fit, np.arange(len(values)) % 2 != fit
        threshold, above = _stump(values[train], mine[train])
        said = (values[judge] > threshold) == above
        truth = mine[judge]
        if not truth.any() or truth.all():
            return 0.5, False
        scores.append(((said & truth).sum() / truth.sum() + (~said & ~truth).sum() / (~truth).sum()) / 2)
        right += int((said == truth).sum())
    score = float(np.mean(scores))
    return score, score >= TELLING and _is_no_chance(right, len(values), max(mine.mean(), 1 - mine.mean()))


def _is_no_chance(right: int, judged: int, usual: float) -> bool:
    """Whether so many are right of so many that one in a thousand who name the usual class would manage it."""
    from scipy.stats import binomtest  # takes longer to import than all the rest of this takes

    return bool(binomtest(right, judged, usual, alternative="greater").pvalue < 0.001)


def _stump(values: np.ndarray, mine: np.ndarray) -> tuple[float, bool]:
    """The threshold with the best balanced accuracy, and whether `mine` lie above it."""
    order = np.argsort(values, kind="stable")
    sorted_values, sorted_mine = values[order], mine[order]
    below = np.cumsum(sorted_mine) / max(1, sorted_mine.sum())
    others = np.cumsum(~sorted_mine) / max(1, (~sorted_mine).sum())
    edges = np.flatnonzero(np.diff(sorted_values) > 0)
    if not len(edges):
        return float(values[0]), True
    gain = below[edges] - others[edges]
    best = int(edges[np.abs(gain).argmax()])
    middle = (sorted_values[best] + sorted_values[best + 1]) / 2
    return float(middle), bool(below[best] < others[best])


def others_of(dataset: Dataset, indices: Sequence[int]) -> list[int]:
    """All but the first picture of each group of copies among these."""
    seen: set[str] = set()
    extra = []
    for index in indices:
        kin = dataset.pictures[index].kin
        if kin in seen:
            extra.append(index)
        seen.add(kin)
    return extra
