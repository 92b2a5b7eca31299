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


def design_effect(scores: Array, groups: Sequence[str]) -> float:
    """How many pictures in these groups say as much about a mean as one that stands for itself; 1 where there are none.

    It is the variance of the mean over that of as many pictures of no group (Kish, Survey Sampling, 1965), and the
    larger of two estimates of it. One is 1 + r (m - 1), with r the correlation of a group's pictures and m the mean
    size of groups, weighted by size: it does not depend on which groups happen to be wrong, large ones or small ones.
    The other is what the groups show (Rao and Scott, Biometrics 48 (1992) 577-585): it sees that large ones are harder.

    Args:
        scores: (S, N), whose mean is a share. groups: (N,).
    """
    if not len(groups):
        return 1.0
    row = np.asarray(scores, dtype=np.float64).mean(axis=0)
    _, members, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(sizes) == 1:
        return float(len(row))
    middle = (row.sum() + 0.5) / (len(row) + 1)
    off = row - middle
    sums = np.bincount(members, off)  # (G,)
    seen = np.square(sums).sum() / (np.square(off).sum() or 1.0)
    alike = correlation(off, sums, sizes, (middle**2 + (1 - middle) ** 2) / 2)
    return max(1.0, float(seen), 1 + alike * float(np.square(sizes).sum() / len(row) - 1))


def correlation(off: Array, sums: Array, sizes: Array, added: float) -> float:
    """How much the pictures of a group have in common, from 0 to 1: the estimator of the analysis of variance.

    Ridout, Demetrio and Firth, Biometrics 55 (1999) 137-148, compare it with others for right and wrong. Half a picture
    that is right and half a one that is wrong are added as groups of their own: where little is wrong, little is known,
    and the pictures of a group are taken to be alike.

    Args:
        off: (N,) distances from the mean. sums: (G,) of them by group. sizes: (G,) of the groups, two at least.
        added: the sum of squares of the two halves.
    """
    by_group, pictures = float((np.square(sums) / sizes).sum()), off.size + 1
    within = (float(np.square(off).sum()) - by_group) / max(off.size - sizes.size, 1)
    between = (by_group + added) / sizes.size
    each = (pictures - (float(np.square(sizes).sum()) + 0.5) / pictures) / sizes.size
    return min(max((between - within) / (between + (each - 1) * within), 0.0), 1.0)


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
