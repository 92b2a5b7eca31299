"""A large data set: its shards in order, its classes, and how it is divided. Never all of its pictures at once.

It is divided by the rules of `core.data.splits`, with columns of numbers in the place of pictures: the same pictures
give the same parts. What those rules do for classes with hardly any pictures is not done here but refused.

Legend: N pictures, K classes, Q pictures of a pool that is drawn from.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Final

import numpy as np
from safetensors.numpy import load_file, save_file

from core.data.copies import burst_pairs, name_families, near_pairs
from core.data.pictures import Picture
from core.data.reading.class_names import check_classes
from core.data.reading.intake import SQUARES
from core.data.reading.limits import MIN_CLASSES
from core.data.splits import TEST_SEED
from core.data.squares import SIDE
from core.errors import DatasetError, SettingsError, shown
from core.home import sealed, temporary_folder, unsealed, write_atomically
from core.records import read_json
from core.settings.schema import DataSettings
from core.shards.executor import Executor
from core.shards.listing import Listed, Progress, list_source
from core.shards.objects import drop, find, making, names_of
from core.shards.taking_in import (
    GIVEN,
    SHOWN,
    Codes,
    Receipt,
    Taken,
    file_of,
    load_index,
    load_rows,
    rank_of,
    take_in_piece,
)

SHARD_PICTURES: Final = 10_000
MOST_PICTURES: Final = 100_000
NEAR_UP_TO: Final = 100_000
"""Pictures among which near copies are looked for: each is compared with each. Of more, exact copies alone are."""
ABOUT: Final = "set.json"
FAMILIES: Final = "families.safetensors"
OUT, TRAIN, VAL, TEST = range(4)
"""Parts by number; pictures that are left out are copies of test pictures."""
_TRAIN, _VAL, _TEST = (GIVEN.index(part) for part in ("train", "val", "test"))


@dataclass(frozen=True, kw_only=True)
class LargeSet:
    """What is kept of a large data set beside its shards."""

    id: str
    title: str
    read_as: str
    size: int
    """Pictures of a shard, at most."""
    shards: tuple[str, ...]
    pictures: tuple[int, ...]
    """Of each shard."""
    shard_classes: tuple[tuple[str, ...], ...]
    """The classes of each shard, by the numbers it has for them."""
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    """Pictures of each class."""
    skipped: int
    ignored: int
    examples: tuple[tuple[str, str], ...]
    """Some of the files that were skipped, with the reasons."""
    notices: tuple[str, ...]
    near_copies: bool
    """Whether near copies were looked for, so that no split parts them."""
    version: int = 1

    @property
    def total(self) -> int:
        return sum(self.pictures)

    @cached_property
    def offsets(self) -> list[int]:
        """Where each shard's pictures begin among all, and their number at the end."""
        return [0, *np.cumsum(self.pictures).tolist()]

    def codes(self, number: int) -> Codes:
        """The data set's number of each class of a shard, by the shard's own."""
        places = {name: place for place, name in enumerate(self.classes)}
        return np.array([places[name] for name in self.shard_classes[number]], dtype=np.int32)

    def of_shards(self, column: Codes) -> Iterator[Codes]:
        """A column (N,) shard by shard."""
        for start, end in zip(self.offsets, self.offsets[1:], strict=False):
            yield column[start:end]


@dataclass(frozen=True, kw_only=True)
class Added:
    """A data set, and what taking it in cost this time."""

    data: LargeSet
    taken: tuple[Taken, ...]


def add(where: str, work: Executor, *, size: int = SHARD_PICTURES, layout: str, on_progress: Progress) -> Added:
    """Take a large source in, shard by shard; what was taken in before is found.

    Raises:
        SettingsError: a shard cannot have so many pictures.
        LayoutQuestion: it can be read in more than one way.
        DatasetError: nothing usable was found, or reading was given up.
        StorageError: the source does not answer; what was done is kept.
    """
    if not 1 <= size <= MOST_PICTURES:
        raise SettingsError(f"size is {size}; a shard has 1 to {MOST_PICTURES:,} pictures.")
    listed = list_source(where, size, work, layout)
    taken: list[Taken] = []
    for one in work.map(take_in_piece, listed.pieces):
        taken.append(one)
        on_progress(len(taken), listed.count)
    data = _assembled(listed, [one.receipt for one in taken if one.receipt.pictures], size, taken)
    with making("sets", data.id) as folder:
        if data.near_copies:
            save_file(_families(data), folder / FAMILIES)
        write_atomically(folder / ABOUT, sealed(json.dumps(asdict(data)).encode()))
    return Added(data=data, taken=tuple(taken))


def _assembled(listed: Listed, receipts: Sequence[Receipt], size: int, taken: Sequence[Taken]) -> LargeSet:
    counts: Counter[str] = Counter()
    for one in receipts:
        counts.update(dict(zip(one.classes, one.counts, strict=True)))
    check_classes(set(counts))
    shards = tuple(one.shard for one in receipts)
    total = counts.total()
    return LargeSet(
        id=hashlib.sha256("\n".join(shards).encode()).hexdigest()[:16],
        title=listed.title,
        read_as=listed.read_as,
        size=size,
        shards=shards,
        pictures=tuple(one.pictures for one in receipts),
        shard_classes=tuple(one.classes for one in receipts),
        classes=tuple(sorted(counts)),
        counts=tuple(counts[name] for name in sorted(counts)),
        skipped=sum(one.receipt.skipped for one in taken),
        ignored=listed.ignored,
        examples=tuple(example for one in taken for example in one.receipt.examples)[:SHOWN],
        notices=listed.notices,
        near_copies=total <= NEAR_UP_TO,
    )


def load_set(name: str) -> LargeSet:
    """A large data set by its id, or by the beginning of it.

    Raises:
        DatasetError: there is none, or its description is damaged.
    """
    matching = [one for one in names_of("sets") if name and one.startswith(name)]
    if len(matching) != 1:
        raise DatasetError(f"There is no large data set {shown(name)}; `large list` has those that there are.")
    path = find("sets", matching[0], ABOUT)
    try:
        if path is None:
            raise ValueError("it has no description")
        return read_json(unsealed(path.read_bytes())[0], LargeSet)
    except (OSError, ValueError) as error:
        if drop("sets", matching[0]):
            return load_set(name)
        raise DatasetError(f"The large data set {shown(name)} is damaged; take its source in again.") from error


# -- near copies


def _families(data: LargeSet) -> dict[str, Codes]:
    """Places of the pictures that have near copies, and the name (32 bytes) of each one's family."""
    rows = [row for shard in data.shards for row in load_rows(shard)]
    pictures = [
        Picture(name="", target=0, given=None, content=row["content"], group=row["group"], place=(0, 1, 1))
        for row in rows
    ]
    with temporary_folder("squares") as folder:
        path = folder / "all"
        with path.open("wb") as file:
            for shard in data.shards:
                file.write(file_of(shard, SQUARES).read_bytes())
        pairs = near_pairs(np.memmap(path, np.uint8, "r").reshape(-1, SIDE, SIDE, 3))
    pairs += burst_pairs([row["taken"] for row in rows])
    named = [(place, name) for place, name in enumerate(name_families(pictures, pairs)) if name]
    names = np.frombuffer(bytes.fromhex("".join(name for _, name in named)), dtype=np.uint8)
    return {"places": np.array([place for place, _ in named], dtype=np.int64), "names": names.reshape(-1, 32)}


# -- parts


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """What dividing needs of every picture."""

    sides: Codes
    """(N,) uint64: the same for pictures that are never parted; test is drawn by it."""
    val_ranks: Codes
    """(N,) uint64: val is drawn by it."""
    classes: Codes
    """(N,) int32."""
    given: Codes
    """(N,) uint8: place in `GIVEN`."""


def columns_of(data: LargeSet, seed: int) -> Columns:
    """The columns of a data set for a seed."""
    sides, val_ranks, classes, given = [], [], [], []
    families = _load_families(data)
    for number, shard in enumerate(data.shards):
        index = load_index(shard)
        names, ranks = index.groups, index.ranks
        inside = families.get(number)
        if inside is not None:
            names, ranks = names.copy(), ranks.copy()
            names[inside[0]] = inside[1]
            ranks[inside[0]] = [rank_of(f"test:{TEST_SEED}:{name.tobytes().hex()}") for name in inside[1]]
        sides.append(ranks)
        val_ranks.append(np.array([rank_of(f"val:{seed}:{n.tobytes().hex()}") for n in names], dtype=np.uint64))
        classes.append(data.codes(number)[index.classes])
        given.append(index.given)
    return Columns(
        sides=np.concatenate(sides),
        val_ranks=np.concatenate(val_ranks),
        classes=np.concatenate(classes),
        given=np.concatenate(given),
    )


def _load_families(data: LargeSet) -> dict[int, tuple[Codes, Codes]]:
    """Shard -> places in it and the names of their families."""
    path = find("sets", data.id, FAMILIES) if data.near_copies else None
    if path is None:
        return {}
    kept = load_file(path)
    shards = np.searchsorted(data.offsets, kept["places"], side="right") - 1
    return {
        int(number): (kept["places"][shards == number] - data.offsets[number], kept["names"][shards == number])
        for number in np.unique(shards)
    }


def divide(data: LargeSet, columns: Columns, settings: DataSettings) -> Codes:
    """The part (N,) uint8 of every picture, as `core.data.splits.divide` has it.

    Raises:
        DatasetError: some class has too few pictures for every part to have one.
    """
    given, sides = columns.given, columns.sides
    test_name = next((part for part in (_TEST, _VAL) if (given == part).any()), None)
    parts = np.zeros(len(given), dtype=np.uint8)
    free = np.ones(len(given), dtype=bool)
    if test_name is not None:
        test = given == test_name
        free = ~np.isin(sides, sides[test])
        parts[test] = TEST
    else:
        parts[_drawn(data, columns, sides, free, settings.test_fraction, 2)] = TEST
        free = parts != TEST
    if test_name == _TEST and (given == _VAL).any():
        val = free & (given == _VAL)
        parts[val] = VAL
        free &= ~np.isin(sides, sides[val])
    else:
        val = _drawn(data, columns, columns.val_ranks, free, settings.val_fraction, 1)
        parts[val] = VAL
        free &= ~val
    parts[free] = TRAIN
    _check_parts(data, columns, parts)
    return parts


def _drawn(data: LargeSet, columns: Columns, ranks: Codes, pool: Codes, fraction: float, keep: int) -> Codes:
    """Which pictures (N,) of a pool are drawn: of each class the sides that come first, until it has its share.

    That is `core.data.draw.draw_sides` as long as no side has to be passed over, which is looked at.

    Args:
        ranks: (N,), one number for a side: the order in which it is drawn.
        keep: sides of a class that must be left.
    """
    places = np.flatnonzero(pool)
    order = places[np.lexsort((ranks[places], columns.classes[places]))]
    classes, ordered = columns.classes[order], ranks[order]
    begins = np.ones(len(order), dtype=bool)  # a side of a class
    begins[1:] = (classes[1:] != classes[:-1]) | (ordered[1:] != ordered[:-1])
    firsts = np.flatnonzero(begins)
    side_classes, side_ranks = classes[firsts], ordered[firsts]
    pictures = np.bincount(classes, minlength=len(data.classes))
    sides = np.bincount(side_classes, minlength=len(data.classes))
    quota = np.array([max(1, round(fraction * count)) for count in pictures.tolist()]) * (sides > 1)
    before = firsts - np.searchsorted(classes, side_classes)  # pictures of the class that come before the side
    taken = np.unique(side_ranks[before < quota[side_classes]])
    left = np.bincount(side_classes[~np.isin(side_ranks, taken)], minlength=len(data.classes))
    short = np.flatnonzero((sides > 0) & (left < np.maximum(1, np.minimum(keep, sides - 1))))
    if len(short) or not len(taken):
        raise DatasetError(_too_few(data, int(short[0]) if len(short) else 0))
    return pool & np.isin(ranks, taken)


def _check_parts(data: LargeSet, columns: Columns, parts: Codes) -> None:
    for part, name in ((TRAIN, "train"), (VAL, "val"), (TEST, "test")):
        if not (parts == part).any():
            raise DatasetError(f"No picture is left for {name}: those that were brought for it are copies of others.")
    learnt = np.unique(columns.classes[parts == TRAIN])
    if len(learnt) < MIN_CLASSES:
        raise DatasetError(f"Only the class {data.classes[learnt[0]]} has pictures in train; bring those of another.")


def _too_few(data: LargeSet, number: int) -> str:
    return (
        f"The class {data.classes[number]} has {data.counts[number]:,} pictures, too few that differ for train, val "
        "and test. Leave it out, bring more of it, or take these pictures in as an ordinary data set."
    )


def test_part_of(data: LargeSet, parts: Codes) -> str:
    """Names the test pictures as a run's record does: runs and large sets that share it were tested on the same."""
    mine = [
        load_index(shard).contents[own == TEST] for shard, own in zip(data.shards, data.of_shards(parts), strict=True)
    ]
    contents = np.concatenate(mine)
    words = contents.view(">u8")
    ordered = contents[np.lexsort(words.T[::-1])]
    return hashlib.sha256(ordered.tobytes().hex().encode()).hexdigest()
