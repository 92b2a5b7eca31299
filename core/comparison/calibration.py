"""Whether probabilities can be taken at their word: of the pictures called 80 % sure, are about 80 % right?

N pictures, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.comparison.metrics import Array, check_predictions
from core.training.history import EpochRecord

BINS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """Pictures whose predicted class got a probability above `low` and up to `high`."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean probability of the predicted class."""
    accuracy: float
    """Share of them that are right."""


def reliability(targets: Array, probabilities: Array, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Bins of equal width that hold pictures, from unsure to sure.

    Raises:
        RunError: targets (N,) and probabilities (N, K) do not fit together.
    """
    check_predictions(targets, probabilities)
    sure = probabilities.max(axis=1, initial=0.0).astype(np.float64)
    right = probabilities.argmax(axis=1) == targets
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        here = place == number
        if here.any():
            found.append(
                ReliabilityBin(
                    low=number / bins,
                    high=(number + 1) / bins,
                    count=int(here.sum()),
                    confidence=float(sure[here].mean()),
                    accuracy=float(right[here].mean()),
                )
            )
    return tuple(found)


def calibration_error(bins: Sequence[ReliabilityBin]) -> float | None:
    """Mean distance of confidence from accuracy, weighted by pictures (Naeini et al. 2015); None without pictures."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / total if total else None


def brier(targets: Array, probabilities: Array) -> float | None:
    """Mean squared distance of the probabilities from the truth, summed over classes (Brier 1950): 0 best, 2 worst.

    None without pictures.

    Raises:
        RunError: targets (N,) and probabilities (N, K) do not fit together.
    """
    check_predictions(targets, probabilities)
    return float(brier_scores(targets, probabilities).mean()) if len(targets) else None


def brier_scores(targets: Array, probabilities: Array) -> Array:
    """The same for each picture, (N,) float64."""
    truth = np.eye(probabilities.shape[1])[targets]
    scores: Array = np.square(probabilities.astype(np.float64) - truth).sum(axis=1)
    return scores


def seconds_to(history: Sequence[EpochRecord], share: float) -> float | None:
    """Seconds from a run's start until its accuracy on val first reached a share of its best; None without epochs."""
    if not history:
        return None
    wanted = share * max(epoch.val_accuracy for epoch in history)
    return float(next(epoch.elapsed_s for epoch in history if epoch.val_accuracy >= wanted))
