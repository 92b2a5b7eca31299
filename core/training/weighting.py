"""How much a picture of each class counts in training, and how that is told. No torch.

Balanced: a picture counts with the inverse of its class's share, so that all classes weigh the same together and a
picture counts 1 on average (scikit-learn's `balanced`). To count twice is the same as to be there twice.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from core.settings.schema import ClassWeights

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


def weighting_sentence(choice: ClassWeights, counts: Mapping[str, Mapping[str, int]]) -> str:
    """What the choice does on these pictures; empty where nothing was chosen.

    Args:
        counts: part -> class name -> number of pictures, of `train` and `val` at least.
    """
    if choice == "none":
        return ""
    train, val = (list(counts[part].values()) for part in ("train", "val"))
    weights = class_weights(choice, train)
    if weights is None:
        even = f"all classes have {max(train, default=0):,} training pictures"
        if class_weights(choice, val) is None:
            return f"No effect here: {even}."
        return f"No effect on the loss: {even}. On val all classes weigh the same, too, when an epoch is chosen."
    rows = sorted(zip(counts["train"].items(), weights, strict=True), key=lambda row: row[0][1])
    named = rows if len(rows) <= SHOWN else [*rows[: SHOWN // 2], *rows[-SHOWN // 2 :]]
    told = ", ".join(f"{name} {_times(weight)} ({count:,})" for (name, count), weight in named)
    more = f", and {len(rows) - len(named)} classes between" if len(rows) > len(named) else ""
    return (
        f"Weight of a training picture by class (number of pictures): {told}{more}. Epoch or penalty are chosen with "
        "all classes weighing the same, too. The probabilities then assume that all classes are equally frequent."
    )


def _times(weight: float) -> str:
    return f"{weight:.2g}x" if weight < 10 else f"{weight:.0f}x"
