"""Answers that may name several classes, so that the true one is among them as often as was asked for.

Split conformal prediction (Vovk et al. 2005) with the least ambiguous sets (Sadinle et al. 2019): a class is in the set
if its probability is at least what the true class got on nearly all val pictures. The promise holds on average over
pictures like those of val, not for each picture, and not for pictures of something else.

Legend: N val pictures, K classes.
"""

import math
from dataclasses import dataclass

import numpy as np

from core.comparison.metrics import Array, check_predictions
from core.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class SetRule:
    """Which classes an answer names."""

    coverage: float
    """Share of pictures whose set is to hold the true class (fraction 0-1)."""
    lowest: float
    """The raw probability from which a class is named; 0 where val is too small, so that every class is."""
    val_pictures: int

    @property
    def is_possible(self) -> bool:
        """Whether val is large enough for this coverage."""
        return self.val_pictures >= fewest_pictures(self.coverage)

    def names(self, probabilities: Array) -> tuple[int, ...]:
        """Indices of the classes in one picture's set, most probable first; of raw probabilities (K,). May be none."""
        order = np.argsort(-probabilities, kind="stable")
        return tuple(int(index) for index in order if probabilities[index] >= self.lowest)


def fewest_pictures(coverage: float) -> int:
    """So many val pictures it takes to promise a coverage without naming every class."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def fit_sets(targets: Array, probabilities: Array, coverage: float) -> SetRule:
    """The rule that covers the true class of a new picture with at least the asked probability.

    Args:
        targets: (N,) of val.
        probabilities: (N, K) raw, of val. The rule is for raw ones, too: a temperature was fitted on the same pictures.
        coverage: fraction above 0 and below 1.

    Raises:
        SettingsError: coverage is no such fraction.
        RunError: targets and probabilities do not fit together.
    """
    check_predictions(targets, probabilities)
    of_truth = probabilities[np.arange(len(targets)), targets]
    highest = conformal_quantile(-of_truth.astype(np.float64), coverage)
    return SetRule(coverage=coverage, lowest=max(0.0, -highest), val_pictures=len(targets))


def conformal_quantile(scores: Array, coverage: float) -> float:
    """The value that one more score of the same kind stays below or at, with at least the asked probability.

    Args:
        scores: (N,), in any order.

    Returns:
        The ceil((N + 1) * coverage)-th smallest score; infinity where there are too few.

    Raises:
        SettingsError: coverage is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise SettingsError(f"coverage is {coverage}; it must lie between 0 and 1, like 0.9.")
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def set_sentence(rule: SetRule) -> str:
    """What the sets promise, or why they cannot, for a person."""
    coverage = f"{100 * rule.coverage:.0f} %"
    if rule.is_possible:
        return (
            f"Each answer names as many classes as it takes for the true one to be among them in {coverage} "
            f"of pictures like those of val ({rule.val_pictures} pictures decided how many)."
        )
    return (
        f"With {rule.val_pictures} val pictures no coverage of {coverage} can be promised (it takes "
        f"{fewest_pictures(rule.coverage)}), so every class would have to be named. Ask for less."
    )
