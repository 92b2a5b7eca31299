"""Races whose truth is known, drawn picture by picture, for `simulation.py`.

Whether a network is right on a picture is a probit: the accuracy of its way of training, plus the picture's difficulty
(the same for all), plus what this way of training makes of the picture (the same for all its seeds), plus the seed's
own luck, plus what is left. The seed's luck is as large as it takes for true accuracies to spread by the given number
of points. In groups a part of a picture's difficulty is the same for all pictures of its group, as large as it takes
for right and wrong of two of them to correlate by the given number.

Legend: R races, S seeds, N pictures.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

ACCURACY = 0.94
"""Of the better way of training, as on the photos of ants and bees."""
DIFFICULTY, OWN_DIFFICULTY, REST = 0.65, 0.2, 0.15
"""Shares of the latent variance: two runs of one recipe then disagree on 7 % of pictures, and of what varies from
picture to picture a quarter to a third is the same for every seed, as in the recorded race."""
Latent = tuple[float, float, float]
"""Such shares; they add up to 1."""
KINDS: dict[str, Latent] = {
    "7 %": (DIFFICULTY, OWN_DIFFICULTY, REST),
    "4 %": (0.9, 0.05, 0.05),
    "2.5 %": (0.97, 0.015, 0.015),
}
"""By the share of pictures on which two runs of equals disagree."""
AT_ONCE = 2_000_000  # cells of the table that are drawn together

Arms = Sequence[tuple[float, float]]
"""Of each way of training its accuracy, and how far its true accuracies lie apart from seed to seed."""
Rights = tuple[np.ndarray, np.ndarray]
"""(S, N) of bool for either arm."""


@cache
def latent(accuracy: float, spread: float) -> tuple[float, float]:
    """Mean and standard deviation over seeds on the probit scale that give this mean accuracy and this spread of it."""
    points, weights = np.polynomial.hermite_e.hermegauss(61)
    weights = weights / weights.sum()

    def excess(deviation: float) -> float:
        mean = norm.ppf(accuracy) * np.sqrt(1 + deviation**2)
        accuracies = norm.cdf(mean + deviation * points)
        return float(np.sqrt(weights @ (accuracies - weights @ accuracies) ** 2)) - spread

    deviation = float(brentq(excess, 0, 3)) if spread else 0.0
    return float(norm.ppf(accuracy) * np.sqrt(1 + deviation**2)), deviation


def tables(
    rng: np.random.Generator, repeats: int, seeds: int, pictures: int, arms: Arms, kind: Latent = KINDS["7 %"]
) -> Iterator[list[np.ndarray]]:
    """Races, some at a time: (R, S, N) of bool for each way of training."""
    step = max(1, AT_ONCE // (seeds * pictures))
    common, own, left = kind
    for start in range(0, repeats, step):
        count = min(step, repeats - start)
        difficulty = np.sqrt(common) * rng.standard_normal((count, 1, pictures), np.float32)
        drawn = []
        for accuracy, spread in arms:
            mean, deviation = latent(accuracy, spread)
            of_way = difficulty + np.sqrt(own) * rng.standard_normal((count, 1, pictures), np.float32)
            of_seed = mean + deviation * rng.standard_normal((count, seeds, 1), np.float32)
            rest = np.sqrt(left) * rng.standard_normal((count, seeds, pictures), np.float32)
            drawn.append(of_way + of_seed + rest > 0)
        yield drawn


def races(
    rng: np.random.Generator,
    repeats: int,
    seeds: int,
    pictures: int,
    spread: float,
    gap: float,
    better: float = ACCURACY,
) -> Iterator[Rights]:
    """Races of two ways of training, the first with an accuracy of `better`, the second less by `gap`."""
    for both in tables(rng, repeats, seeds, pictures, ((better, spread), (better - gap, spread))):
        yield from zip(*both, strict=True)


@cache
def shared_by_groups(accuracy: float, correlation: float) -> float:
    """Share of the latent variance that belongs to the group if right and wrong of its pictures correlate so much."""
    points = np.linspace(-8, 8, 8001)
    weights = norm.pdf(points) / norm.pdf(points).sum()

    def excess(shared: float) -> float:
        of_group = norm.cdf((norm.ppf(accuracy) - np.sqrt(shared) * points) / np.sqrt(1 - shared))
        return float(weights @ of_group**2 - accuracy**2) / (accuracy * (1 - accuracy)) - correlation

    return float(brentq(excess, 0, 0.9999)) if correlation else 0.0


def race_in_groups(
    rng: np.random.Generator, members: np.ndarray, accuracy: float, correlation: float, seeds: int, spread: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Two equal ways of training on pictures of the groups `members`, (N,) numbers from 0.

    Returns:
        (S, N) of bool for either, and how accurate the first one's first model is.
    """
    shared, (mean, deviation) = shared_by_groups(accuracy, correlation), latent(accuracy, spread)

    def difficulty(share: float) -> np.ndarray:
        of_group = np.sqrt(shared * share / (DIFFICULTY + OWN_DIFFICULTY)) * rng.standard_normal(members.max() + 1)
        found: np.ndarray = of_group[members] + np.sqrt((1 - shared) * share) * rng.standard_normal(members.size)
        return found

    common = difficulty(DIFFICULTY)
    of_seeds = mean + deviation * rng.standard_normal((2, seeds, 1))
    rest = np.sqrt((1 - shared) * REST) * rng.standard_normal((2, seeds, members.size))
    a, b = (
        common + difficulty(OWN_DIFFICULTY) + of_seed + left > 0 for of_seed, left in zip(of_seeds, rest, strict=True)
    )
    return a, b, float(norm.cdf(of_seeds[0, 0, 0]))
