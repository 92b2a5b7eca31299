"""Other scores than accuracy, per seed and picture, compared in the same way: balanced accuracy, log-loss, Brier.

S seeds, N pictures, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.comparison.calibration import brier_scores
from core.comparison.crossed import Estimate, crossed
from core.comparison.fairness import Outcome
from core.comparison.metrics import Array, log_losses
from core.comparison.weighing import balanced_scores, of_groups


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreGap:
    """Mean score of a minus mean score of b, over new seeds and new pictures."""

    name: str
    higher_is_better: bool
    a: float
    b: float
    estimate: Estimate


def score_gaps(a: Sequence[Outcome], b: Sequence[Outcome]) -> tuple[ScoreGap, ...]:
    """Two arms, seed by seed on the same pictures, by every score whose difference varies; at least three seeds."""
    found = []
    for name, score, higher in SCORES:
        in_a, in_b = (_table(runs, score, a[0]) for runs in (a, b))
        differences = in_a - in_b
        if name == BALANCED:
            targets = a[0].targets
            differences = balanced_scores(differences, targets)
            in_a, in_b = balanced_scores(in_a, targets), balanced_scores(in_b, targets)
        result = crossed(of_groups(differences, a[0].groups))
        if result is not None:
            row = ScoreGap(
                name=name,
                higher_is_better=higher,
                a=float(in_a.mean()),
                b=float(in_b.mean()),
                estimate=result.estimate,
            )
            found.append(row)
    return tuple(found)


def _table(runs: Sequence[Outcome], score: Callable[[Array, Array], Array], first: Outcome) -> Array:
    """A score per seed and picture, (S, N), pictures in the order of the first run's test part."""
    keys = list(first.tested)
    return np.stack([score(run.targets, run.probabilities)[run.tested.places(keys)] for run in runs])


def _right(targets: Array, probabilities: Array) -> Array:
    right: Array = (probabilities.argmax(axis=1) == targets).astype(np.float64)
    return right


BALANCED: Final = "balanced accuracy"
SCORES: Final = ((BALANCED, _right, True), ("log-loss", log_losses, False), ("Brier score", brier_scores, False))
