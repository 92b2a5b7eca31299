"""Tables of scores whose plain mean is what is wanted: over classes of unequal size, over groups of pictures.

The uncertainty of a mean can then be read off their rows and columns as off any other table. S seeds, N pictures.
"""

from collections.abc import Sequence

import numpy as np

from core.comparison.metrics import Array


def of_groups(scores: Array, groups: Sequence[str]) -> Array:
    """A number per seed and group, (S, G), with the same means over seeds; the scores themselves where there are none.

    What pictures of one subject share is no independent evidence. A group counts by its size (linearised, as the mean
    of a cluster sample is in survey statistics).

    Args:
        scores: (S, N), groups: (N,).
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not len(groups):
        return scores
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    mean = scores.mean()
    sums = (scores - mean) @ np.eye(len(names))[members]  # (S, G)
    grouped: Array = mean + sums * len(names) / len(groups)
    return grouped


def balanced_scores(scores: Array, targets: Array) -> Array:
    """Scores whose mean is the mean over classes, whatever the classes' sizes: for balanced accuracy.

    A picture's distance from its class's mean is weighted by how rare its class is. The classes' own differences are no
    uncertainty: how many pictures each has is given.

    Args:
        scores: (S, N), targets: (N,) class numbers.

    Returns:
        (S, N) float64.
    """
    numbers, members = np.unique(targets, return_inverse=True)
    indicator = np.eye(len(numbers))[members]  # (N, K)
    per_class = indicator.sum(axis=0)
    means = scores.mean(axis=0) @ indicator / per_class  # (K,)
    weights = len(targets) / (len(numbers) * per_class)
    balanced: Array = means.mean() + weights[members] * (scores - means[members])
    return balanced
