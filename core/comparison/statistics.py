"""Intervals and tests for one run and for two: libraries where they have it, each with its source. Seeds: `crossed`.

Fractions everywhere. "Two runs" are always seen on the same pictures, so that every picture is a pair.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import bdtr, ndtri  # not scipy.stats: everybody who opens a page would wait for it

from core.comparison.metrics import Array, Interval, Rate

RESAMPLES: Final = 9999


def wilson(correct: float, total: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share (Wilson 1927); `total` is at least 1, `correct` may be a mean over seeds."""
    return score_interval(correct / total, total, float(ndtri((1 + confidence) / 2)))


def score_interval(share: float, count: float, z: float) -> Interval:
    """The shares from which the one that was seen, of `count`, whole or not, is at most `z` standard errors away.

    Wilson, JASA 22 (1927) 209-212. Written out: statsmodels, which has it, brings pandas, and everybody who compares
    would wait for that.
    """
    pull = z * z / (2 * count)

    def lower(share: float) -> float:
        reach = math.sqrt(2 * pull * share * (1 - share) + pull * pull)
        return max(share + pull - reach, 0.0) / (1 + 2 * pull)

    return Interval(low=lower(share), high=1 - lower(1 - share))


def rate(correct: int, total: int) -> Rate | None:
    """A share with its 95 % Wilson interval; None of nothing."""
    if total == 0:
        return None
    ends = wilson(correct, total)
    return Rate(value=correct / total, low=ends.low, high=ends.high, correct=correct, total=total)


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact p of McNemar's test (1947): a sign test on the pictures that only one of the two got right."""
    discordant = only_a + only_b
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), discordant, 0.5))) if discordant else 1.0


def paired_difference(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, Interval]:
    """Accuracy of a minus accuracy of b on the same pictures, with its 95 % interval.

    The interval is the hybrid score interval, method 10 of Newcombe, "Improved confidence intervals for the
    difference between binomial proportions based on paired data", Statistics in Medicine 17 (1998) 2635-2650.
    There is at least one picture.
    """
    total = both + only_a + only_b + neither
    right_a, right_b = both + only_a, both + only_b
    share_a, share_b = right_a / total, right_b / total
    ends_a, ends_b = wilson(right_a, total), wilson(right_b, total)
    phi = _newcombe_phi(both, only_a, only_b, neither)
    difference = (only_a - only_b) / total
    down = _joined(share_a - ends_a.low, ends_b.high - share_b, phi)
    up = _joined(share_b - ends_b.low, ends_a.high - share_a, phi)
    return difference, Interval(low=max(difference - down, -1.0), high=min(difference + up, 1.0))


def _newcombe_phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Correlation of the two runs' answers, pulled towards 0 by n/2 when positive (Newcombe's method 10)."""
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if margins == 0:
        return 0.0
    cross = float(both * neither - only_a * only_b)
    if cross > 0:
        cross = max(cross - (both + only_a + only_b + neither) / 2, 0.0)
    return cross / math.sqrt(margins)


def _joined(first: float, second: float, phi: float) -> float:
    """The arm of a difference from the arms of its two parts, whose errors correlate by `phi`."""
    return math.sqrt(max(first**2 - 2 * phi * first * second + second**2, 0.0))


def pictures_needed(gap: float, discordant_share: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Pictures with which McNemar's test finds a gap in accuracy, in the given share of repeats.

    The normal approximation of Miettinen (1968) as given by Connor, "Sample size for testing differences in
    proportions for the paired-sample design", Biometrics 43 (1987) 207-211.

    Args:
        gap: difference of the two accuracies, above 0.
        discordant_share: share of pictures that exactly one of the two gets right. None is returned if it is smaller
            than the gap, since runs cannot differ in accuracy more often than they differ at all.
    """
    gap = abs(gap)
    if gap == 0 or gap > discordant_share:
        return None
    chance, wanted = float(ndtri(1 - alpha / 2)), float(ndtri(power))
    spread = chance * math.sqrt(discordant_share) + wanted * math.sqrt(discordant_share - gap**2)
    return math.ceil((spread / gap) ** 2)


def detectable_gap(n: int, discordant_share: float, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest gap in accuracy that n pictures show: `pictures_needed` solved for the gap.

    None if even runs of which only one ever errs alone, the largest gap at this share, would go unseen too often.
    """
    chance, wanted = float(ndtri(1 - alpha / 2)), float(ndtri(power))
    inside = n - chance**2 + wanted**2
    if inside <= 0:
        return None
    gap = math.sqrt(discordant_share) * (chance * math.sqrt(n) + wanted * math.sqrt(inside)) / (n + wanted**2)
    return gap if 0 < gap <= discordant_share else None


def median_ratio(ratios: Sequence[float]) -> tuple[float, Interval | None]:
    """The median of paired ratios of times, with a 95 % percentile bootstrap interval from three repeats on."""
    middle = float(np.median(ratios))
    if len(ratios) < 3:
        return middle, None
    drawn = np.random.default_rng(0).choice(np.asarray(ratios), (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return middle, Interval(low=float(low), high=float(high))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's (1979) step-down correction for having looked at several pairs, in the order given.

    Not statsmodels' `multipletests`, which collects the process's garbage each time: a tenth of a second beside torch.
    """
    values = np.asarray(p_values)
    order, corrected = np.argsort(values), np.empty(len(values))
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return tuple(corrected.tolist())


def cochran_q(right: Array) -> float:
    """p that more than two runs are right equally often on the same pictures (Cochran 1950): asked before any pair.

    Args:
        right: (pictures, runs) of bool. Where all runs are right on the same pictures there is nothing to test: p is 1.
    """
    from statsmodels.stats.contingency_tables import cochrans_q  # here: it brings pandas, and few ask

    told_apart = right.any(axis=1) & ~right.all(axis=1)
    return float(cochrans_q(right.astype(int)).pvalue) if told_apart.any() else 1.0
