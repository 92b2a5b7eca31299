"""How much a picture of each class counts in training, and how that is told. No torch.

Balanced: a picture counts with the inverse of its class's share, so that all classes weigh the same together and a
picture counts 1 on average (scikit-learn's `balanced`). To count twice is the same as to be there twice.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from core.settings import ClassWeights

SHOWN: Final = 6
"""So many classes are named with what they count; of more, the rarest and the most frequent ones."""


def class_weights(choice: ClassWeights, counts: Sequence[int]) -> tuple[float, ...] | None:
    """What a picture of each class counts; None where all count the same.

    Args:
        counts: pictures of each class in the part that is looked at. A class without any gets 0: it is never asked for.
    """
    there = [count for count in counts if count]
    if choice == "none" or len(set(there)) < 2:
        return None
    return tuple(sum(there) / (len(there) * count) if count else 0.0 for count in counts)


def weighting_sentence(choice: ClassWeights, counts: Mapping[str, int]) -> str:
    """What the choice does on these training pictures, by class name; empty where nothing was chosen."""
    if choice == "none":
        return ""
    weights = class_weights(choice, list(counts.values()))
    if weights is None:
        return f"No effect here: all classes have {next(iter(counts.values()), 0)} training pictures."
    rows = sorted(zip(counts.items(), weights, strict=True), key=lambda row: row[0][1])
    named = rows if len(rows) <= SHOWN else [*rows[: SHOWN // 2], *rows[-SHOWN // 2 :]]
    told = ", ".join(f"{name} {_times(weight)} ({count:,})" for (name, count), weight in named)
    more = f", and {len(rows) - len(named)} classes between" if len(rows) > len(named) else ""
    return (
        f"A training picture counts, by class (and how many there are): {told}{more}. Epoch or penalty are chosen with "
        "all classes weighing the same, too. Probabilities then are those of a world where all classes are equally "
        "frequent."
    )


def _times(weight: float) -> str:
    return f"{weight:.2g}x" if weight < 10 else f"{weight:.0f}x"
