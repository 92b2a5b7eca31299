"""A dozen validation pictures, and what a network says about them while it trains: for whoever watches it. No torch."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from core.records import Count, Share

if TYPE_CHECKING:  # whoever only reads what was said needs no pictures
    from core.data.dataset import Dataset, Split

WATCHED: Final = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What a network says at this moment."""

    pictures: Annotated[tuple[Count, ...], Meta(max_length=WATCHED)]
    """Indices into the data set."""
    said: Annotated[tuple[tuple[Count, Share], ...], Meta(max_length=WATCHED)]
    """(class, its probability) for each of them: the most probable class."""
    epoch: Count
    """After which epoch, or iteration where the head is solved for."""


OnWatched = Callable[[Watched], None]


def watched_pictures(dataset: "Dataset", split: "Split", seed: int) -> tuple[int, ...]:
    """Which validation pictures are watched: indices into the data set, drawn by the seed, class by class in turn.

    Those of a race's runs with the same seed are the same. Never a test picture.
    """
    by_class: dict[int, list[int]] = {}
    for index in split.val:
        by_class.setdefault(dataset.pictures[index].target, []).append(index)
    draw = random.Random(seed)
    rows = [draw.sample(by_class[target], len(by_class[target])) for target in sorted(by_class)]
    draw.shuffle(rows)  # where there are more classes than places
    in_turn: Sequence[int | None] = list(chain.from_iterable(zip_longest(*rows)))
    return tuple(index for index in in_turn if index is not None)[:WATCHED]
