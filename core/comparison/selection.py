"""What choosing does to a number: the best of several runs, picked on the pictures it is reported on, looks too good.

N pictures, R runs.
"""

from collections.abc import Sequence

import numpy as np

from core.comparison.fairness import Outcome
from core.comparison.metrics import Array
from core.comparison.pictures import common, right_table

RESAMPLES = 1000
FEW = 3
"""From so many runs on, the best of them carries a warning."""


def selection_optimism(right: Array, resamples: int = RESAMPLES) -> float:
    """By how much the accuracy of the best run is too high on average because it was picked on these pictures.

    Pictures are sampled with replacement; the run that wins on the sample is looked up on all pictures (Efron's
    bootstrap estimate of optimism, 1983). Runs that are right on the same pictures leave little to be lucky with.

    Args:
        right: (N, R) of bool, N at least 1.

    Returns:
        A fraction; 0 for one run.
    """
    pictures, runs = right.shape
    if runs < 2:
        return 0.0
    dice = np.random.default_rng(0)
    counts = dice.multinomial(pictures, np.full(pictures, 1 / pictures), size=resamples)  # (resamples, N)
    sampled = counts @ right.astype(np.float64) / pictures  # (resamples, R)
    winner = sampled.argmax(axis=1)
    return max(0.0, float((sampled.max(axis=1) - right.mean(axis=0)[winner]).mean()))


def best_of(outcomes: Sequence[Outcome]) -> tuple[int, float] | None:
    """Which of these runs is highest on the test part, and how optimistic its accuracy is for having been picked.

    None for fewer than three runs, or where they were not all tested on the same pictures.
    """
    if len(outcomes) < FEW:
        return None
    runs = [one.tested for one in outcomes]
    shared = common(runs)
    if not shared or any(len(run) != len(shared) for run in runs):
        return None
    right = right_table(runs, shared)
    return int(right.mean(axis=0).argmax()), selection_optimism(right)
