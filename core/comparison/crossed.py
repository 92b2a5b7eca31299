"""Seeds and test pictures as crossed random effects: is this way of training better, for new seeds and new pictures?

Every seed is tested on the same pictures, so each number d[s, i] belongs to a seed and to a picture, and both are only
a sample of what there could be. It is the multi-reader multi-case analysis of radiology (Obuchowski and Rockette,
Communications in Statistics 24 (1995) 285-308; Hillis, Statistics in Medicine 26 (2007) 596-619, for the degrees of
freedom), with seeds as readers and pictures as cases.

S seeds, N pictures. Fractions everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import stdtr, stdtrit

from core.comparison.metrics import Array, Interval
from core.comparison.statistics import score_interval
from core.comparison.weighing import design_effect, of_groups

LEAST_SEEDS: Final = 3
"""With two seeds "better" would be said too often where nothing is: in 8 to 13 % of simulated races."""
CONFIDENCE: Final = 0.95
Z: Final = 1.959963984540054  # normal quantile that belongs to it
FEW_PICTURES: Final = 300
"""With fewer, seeds that differ no more than noise count as more than S - 1 degrees of freedom: the noise of so few
pictures hides only spreads that training does not show. Chosen by simulation, see benchmarks/simulation.py."""
DF_EXPONENT: Final = 1.5
"""0 is Obuchowski and Rockette's S - 1 degrees of freedom, far too few; 2 is Hillis's, with which three seeds on 1,000
pictures say "better" in up to 7.4 % of races between equals. Chosen by simulation, see benchmarks/simulation.py."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanSquares:
    """A table of seeds by pictures in an analysis of variance."""

    seeds: float
    pictures: float
    rest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """What makes one number d[s, i] vary: its seed, its picture, and both together. Variances, never negative."""

    seeds: float
    pictures: float
    rest: float

    def squares(self, seeds: int, pictures: int) -> MeanSquares:
        """The mean squares that so many seeds and pictures show on average."""
        return MeanSquares(
            seeds=self.rest + pictures * self.seeds, pictures=self.rest + seeds * self.pictures, rest=self.rest
        )

    def picture_share(self, seeds: int, pictures: int) -> float:
        """How much of a mean's variance no further seed would take away."""
        from_pictures = self.pictures / pictures
        whole = from_pictures + self.seeds / seeds + self.rest / (seeds * pictures)
        return from_pictures / whole if whole else 1.0  # what is left is what so few pictures cannot vouch for


@dataclass(frozen=True, kw_only=True, slots=True)
class Chances:
    """How probable it is that the true gap lies above, inside and below a band around 0; they add up to 1."""

    above: float
    inside: float
    below: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean with its standard error, both in the unit of what was averaged."""

    value: float
    error: float
    """Standard error, above 0."""
    df: float
    """Degrees of freedom of its t distribution."""
    interval: Interval
    """95 %."""
    p_value: float
    """Two-sided, that the true value is 0."""

    def chances(self, band: float) -> Chances:
        """Where the true value lies, read off the t distribution around the estimate (a flat prior)."""
        above = float(stdtr(self.df, (self.value - band) / self.error))
        below = float(stdtr(self.df, (-band - self.value) / self.error))
        return Chances(above=above, inside=max(1.0 - above - below, 0.0), below=below)


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossed:
    """What S seeds on the same N pictures say about a mean, and what their uncertainty is made of."""

    seeds: int
    pictures: int
    estimate: Estimate
    components: Components

    @property
    def picture_share(self) -> float:
        """Share of the uncertainty that comes from the test pictures (fraction): more seeds do not lower it."""
        return self.components.picture_share(self.seeds, self.pictures)


def estimate_of(value: float, error: float, df: float) -> Estimate:
    """A mean with everything that follows from its standard error; `error` is above 0."""
    half = quantile(df) * error
    return Estimate(
        value=value,
        error=error,
        df=df,
        interval=Interval(low=value - half, high=value + half),
        p_value=float(2 * stdtr(df, -abs(value) / error)),
    )


def quantile(df: float, share: float = (1 + CONFIDENCE) / 2) -> float:
    """Of the t distribution: by default what a 95 % interval needs."""
    return float(stdtrit(df, share))


def mean_squares(scores: Array, weights: Array | None = None) -> MeanSquares:
    """The analysis of variance of a table (S, N), both at least 2, with one number in each cell.

    Args:
        weights: (N,), how many pictures each column stands for; None: one.
    """
    seeds, scores = len(scores), np.asarray(scores, dtype=np.float64)
    weights = np.ones(scores.shape[1]) if weights is None else weights
    pictures = float(weights.sum())
    by_seed, by_picture = scores @ weights / pictures, scores.mean(axis=0)
    mean = float(by_seed.mean())
    rest = scores - by_seed[:, None] - by_picture + mean  # (S, N)
    return MeanSquares(
        seeds=pictures * float(np.square(by_seed - mean).sum()) / (seeds - 1),
        pictures=seeds * float(np.square(by_picture - mean) @ weights) / (pictures - 1),
        rest=float((np.square(rest) @ weights).sum()) / ((seeds - 1) * (pictures - 1)),
    )


def error_and_df(
    squares: MeanSquares, seeds: int, pictures: float, exponent: float = DF_EXPONENT
) -> tuple[float, float]:
    """Standard error of a mean over seeds and pictures, and its degrees of freedom.

    Both are Hillis's (2007) in the form for one score per reader and case: squared, the error is
    (MS_seeds + max(MS_pictures - MS_rest, 0)) / (S N), and there are (S - 1) r^2 degrees of freedom, where r is that
    numerator over MS_seeds. Seeds that vary less than noise would are taken to vary like it.

    Args:
        exponent: of r.
    """
    noise_only = squares.seeds <= squares.rest * (1 + 1e-9)  # equal on paper: one picture in one seed makes them so
    from_seeds = max(squares.seeds, squares.rest)
    both = from_seeds + max(squares.pictures - squares.rest, 0.0)
    seed_df = (seeds - 1) * (max(1.0, FEW_PICTURES / pictures) if noise_only else 1.0)
    df = seed_df * (both / from_seeds) ** exponent if from_seeds > 0 else math.inf
    return math.sqrt(both / (seeds * pictures)), min(df, max(pictures - 1, 1.0))


def components_of(squares: MeanSquares, seeds: int, pictures: int) -> Components:
    """Variance components by the usual moments, negative ones at 0."""
    return Components(
        seeds=max(squares.seeds - squares.rest, 0.0) / pictures,
        pictures=max(squares.pictures - squares.rest, 0.0) / seeds,
        rest=squares.rest,
    )


def crossed(scores: Array) -> Crossed | None:
    """The mean of any score per seed and picture, such as a difference of two log-losses.

    Args:
        scores: (S, N), at least three seeds.

    Returns:
        None where nothing varies or there are fewer than two pictures: then there is no interval.
    """
    seeds, pictures = scores.shape
    if pictures < 2:
        return None
    squares = mean_squares(scores)
    error, df = error_and_df(squares, seeds, pictures)
    if error < 1e-12:
        return None
    estimate = estimate_of(float(scores.mean()), error, df)
    return Crossed(
        seeds=seeds, pictures=pictures, estimate=estimate, components=components_of(squares, seeds, pictures)
    )


def crossed_difference(right_a: Array, right_b: Array, groups: Sequence[str] = ()) -> Crossed:
    """Accuracy of a minus accuracy of b, over new seeds and new pictures.

    Runs that hardly ever differ leave a standard error near 0, which N pictures cannot know to be true: the interval is
    never narrower than Wilson's of a share that none of the N shows.

    Args:
        right_a: (S, N) of bool, at least three seeds and two pictures; right_b the same seeds and pictures.
        groups: of the pictures, where several show the same subject: then groups are what there are N of.
    """
    scores = of_groups(right_a.astype(np.float64) - right_b, groups)
    seeds, pictures = scores.shape
    squares = mean_squares(scores)
    error, df = error_and_df(squares, seeds, pictures)
    estimate = _floored(float(scores.mean()), error, df, pictures)
    components = components_of(squares, seeds, pictures)
    return Crossed(seeds=seeds, pictures=pictures, estimate=estimate, components=components)


def least_error(pictures: float, df: float) -> float:
    """The smallest standard error of a difference that so many pictures can vouch for, see `crossed_difference`."""
    return Z**2 / (pictures + Z**2) / 2 / quantile(df)


def _floored(value: float, error: float, df: float, pictures: int) -> Estimate:
    """The estimate of a difference of two shares, with no smaller error than so many pictures can vouch for."""
    found = estimate_of(value, max(error, least_error(pictures, df)), df)
    ends = Interval(low=max(found.interval.low, -1.0), high=min(found.interval.high, 1.0))
    return replace(found, interval=ends)


def crossed_share(right: Array, groups: Sequence[str] = ()) -> Interval:
    """95 % interval of one way of training's accuracy, over new seeds and new pictures.

    Wilson's interval (1927) with as many pictures as would give the standard error found, and t for z. For that error,
    half a picture that every seed gets right and half a one that all get wrong are added, so that a way of training
    that was never wrong has the interval of about N pictures and not a point.

    Pictures in groups count less, by their `design_effect`: those of a group that are all alike as one, those that have
    nothing in common in full. An effective number of pictures is what survey statistics puts into such intervals (Korn
    and Graubard, Survey Methodology 24 (1998) 193-201; into Wilson's: Franco, Little, Louis and Slud, Journal of Survey
    Statistics and Methodology 7 (2019) 334-364).

    Args:
        right: (S, N) of bool, at least three seeds and one picture; or scores whose mean is a share, such as
            `balanced_scores` of it.
        groups: of the pictures, where several show the same subject.
    """
    table, weights = _with_two_halves(right, groups)
    error, df = error_and_df(mean_squares(table, weights), len(right), float(weights.sum()))
    padded = float((table @ weights).mean() / weights.sum())
    return _effective_wilson(float(right.mean()), padded, error, df)


def grouped_difference(right_a: Array, right_b: Array, groups: Sequence[str]) -> Estimate | None:
    """Accuracy of a minus accuracy of b for two models, (N,) of bool each, over new groups of pictures.

    McNemar's test for clustered pairs: the variance of the groups' sums (Obuchowski, "On the comparison of correlated
    proportions for clustered data", Statistics in Medicine 17 (1998) 1495-1507), with t for z. None of one group.
    """
    scores = of_groups((right_a.astype(np.float64) - right_b)[None], groups)[0]  # (G,)
    if len(scores) < 2:
        return None
    error = float(scores.std(ddof=1)) / math.sqrt(len(scores))
    return _floored(float(scores.mean()), error, len(scores) - 1, len(scores))


def grouped_share(right: Array, groups: Sequence[str]) -> Interval:
    """95 % interval of a model's accuracy, right (N,), over new groups, as `crossed_share` has it over seeds."""
    table, weights = _with_two_halves(np.asarray(right)[None], groups)
    count, row = float(weights.sum()), table[0]
    padded = float(row @ weights) / count
    variance = float(np.square(row - padded) @ weights) / max(count - 1, 0.5)
    return _effective_wilson(float(np.mean(right)), padded, math.sqrt(variance / count), max(count - 1, 1.0))


def _effective_wilson(share: float, padded: float, error: float, df: float) -> Interval:
    pictures = padded * (1 - padded) / error**2  # whole or not
    return score_interval(share, pictures, quantile(df))


def _with_two_halves(scores: Array, groups: Sequence[str]) -> tuple[Array, Array]:
    """The table with a column of right and one of wrong, (S, N + 2), and how much each column counts."""
    seeds, pictures = scores.shape
    table = np.hstack([scores, np.ones((seeds, 1)), np.zeros((seeds, 1))])
    return table, np.append(np.full(pictures, 1 / design_effect(scores, groups)), [0.5, 0.5])


def resampled(differences: Sequence[float], shared: float) -> Estimate | None:
    """The mean difference where every seed was tested on pictures of its own, drawn from the same data.

    The corrected resampled t-test of Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52
    (2003) 239-281: test parts that overlap make seeds agree more than new data would.

    Args:
        differences: of accuracy, one per seed, at least three.
        shared: share of a test part that another seed tests on as well, from 0 to below 1.

    Returns:
        None where all seeds show the same difference: then there is no interval.
    """
    variance = float(np.var(differences, ddof=1))
    error = math.sqrt(variance * (1 / len(differences) + shared / (1 - shared)))
    return estimate_of(float(np.mean(differences)), error, len(differences) - 1) if error > 1e-12 else None
