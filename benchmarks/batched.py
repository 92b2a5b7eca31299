"""What `core.comparison` says of two arms, for many simulated races at once: `simulation.py` holds it against core.

Legend: R races, S seeds, N pictures. A pair of arms is two tables (R, S, N) of bool.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import beta, binom, norm
from scipy.stats import t as student

from core.comparison.conclusion import CAUTIOUS_SEED_SPREAD
from core.comparison.crossed import DF_EXPONENT, FEW_PICTURES, LEAST_SEEDS, Z
from core.comparison.verdict import ALPHA, BAND, SMALLEST_DISCORDANT

Row = np.ndarray
"""(R,)"""
TODAY: Final = "today's"
LEAST: Final[dict[str, Callable[[int], float]]] = {
    TODAY: lambda pictures: Z**2 / (pictures + Z**2) / 2,
    "Jeffreys's": lambda pictures: float(beta.ppf(0.975, 0.5, pictures + 0.5)) / 2,
    "none": lambda pictures: 1e-12,
}
"""The least half width of an interval by number of pictures: half of the bound of a share that none of them shows."""
ADDED: Final = {"a quarter added": 0.25, "a half added": 0.5}
"""Pictures that join for each arm, in the place of a least width. A half: Agresti and Min, "Simple improved confidence
intervals for comparing matched proportions", Statistics in Medicine 24 (2005) 729-740."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """Of each race."""

    gap: Row
    p: Row
    """Before Holm's correction; with fewer than three seeds 0 where the models of one arm are better, else 1."""
    chance: Row
    """The larger of those to be ahead by more than the band."""
    enough: Row
    """Whether enough pictures tell the two arms apart."""


def said_of(a: np.ndarray, b: np.ndarray) -> Said:
    """By whichever rule there is for so many seeds."""
    gap = (a.mean((1, 2)) - b.mean((1, 2))).astype(np.float64)
    p, error, df = _over_seeds(a, b, gap) if a.shape[1] >= LEAST_SEEDS else _of_models(a, b)
    chance = np.maximum(student.sf((BAND - gap) / error, df), student.cdf((-BAND - gap) / error, df))
    return Said(gap=gap, p=p, chance=chance, enough=(a != b).any(1).sum(1) >= SMALLEST_DISCORDANT)


def _over_seeds(a: np.ndarray, b: np.ndarray, gap: Row) -> tuple[Row, Row, Row]:
    """p, standard error and degrees of freedom as `crossed_difference` has them."""
    error, df = error_and_df(a.astype(np.float64) - b)
    error = np.maximum(error, LEAST[TODAY](a.shape[2]) / student.ppf(0.975, df))
    return 2 * student.sf(np.abs(gap) / error, df), error, df


def widened(scores: np.ndarray) -> dict[str, tuple[Row, Row]]:
    """Standard error and degrees of freedom of differences (R, S, N), by what keeps an interval from being a point."""
    (error, df), pictures = error_and_df(scores), scores.shape[2]
    away = student.ppf(0.975, df)
    least = {name: (np.maximum(error, half(pictures) / away), df) for name, half in LEAST.items()}
    return least | {name: error_and_df(scores, added) for name, added in ADDED.items()}


def error_and_df(scores: np.ndarray, added: float = 0.0) -> tuple[Row, Row]:
    """The same of the plain analysis of variance.

    Args:
        added: how many pictures join that only one arm gets right with each seed, for either arm.
    """
    (_, seeds, seen), pictures = scores.shape, scores.shape[2] + 2 * added
    by_seed, by_picture = scores.sum(2) / pictures, scores.mean(1)
    mean = by_seed.mean(1)
    of_added = added * (np.square(1 - mean) + np.square(1 + mean))
    of_seeds = pictures * np.square(by_seed - mean[:, None]).sum(1) / (seeds - 1)
    of_pictures = seeds * (np.square(by_picture - mean[:, None]).sum(1) + of_added) / (pictures - 1)
    residual = scores - by_seed[:, :, None] - by_picture[:, None] + mean[:, None, None]
    rest = np.square(residual).sum((1, 2)) + 2 * added * np.square(by_seed - mean[:, None]).sum(1)
    rest /= (seeds - 1) * (pictures - 1)
    noise_only, from_seeds = of_seeds <= rest * (1 + 1e-9), np.maximum(of_seeds, rest)
    both = from_seeds + np.maximum(of_pictures - rest, 0)
    seed_df = (seeds - 1) * np.where(noise_only, max(1.0, FEW_PICTURES / seen), 1.0)
    ratio = np.divide(both, from_seeds, out=np.full_like(both, np.inf), where=from_seeds > 0)
    return np.sqrt(both / (seeds * pictures)), np.minimum(seed_df * ratio**DF_EXPONENT, max(pictures - 1, 1))


def _of_models(a: np.ndarray, b: np.ndarray) -> tuple[Row, Row, Row]:
    """The same for one or two seeds: exact McNemar and Newcombe's interval, seed by seed."""
    cells = [(one & other).sum(2) for one in (a, ~a) for other in (b, ~b)]  # (R, S) each
    only_a, only_b, seeds = cells[1], cells[2], a.shape[1]
    ps = np.minimum(1.0, 2 * binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5))
    low, high = _newcombe(*(cell.astype(np.float64) for cell in cells))
    better = ((ps < ALPHA) & ((low > 0) | (high < 0))).any(1) & (seeds * ps.min(1) < ALPHA)
    better &= (np.sign(only_a - only_b) == np.sign(only_a - only_b)[:, :1]).all(1)
    errors = ((high - low) / (2 * Z)).mean(1)
    error = np.sqrt(errors**2 + CAUTIOUS_SEED_SPREAD**2 / seeds)
    return np.where(better, 0.0, 1.0), error, np.full(len(a), np.inf)


def _newcombe(both: np.ndarray, only_a: np.ndarray, only_b: np.ndarray, neither: np.ndarray) -> tuple[Row, Row]:
    total = both + only_a + only_b + neither
    (a, low_a, high_a), (b, low_b, high_b) = _wilson(both + only_a, total), _wilson(both + only_b, total)
    cross = both * neither - only_a * only_b
    cross = np.where(cross > 0, np.maximum(cross - total / 2, 0), cross)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    phi = np.divide(cross, np.sqrt(margins), out=np.zeros_like(cross), where=margins > 0)

    def joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        length: np.ndarray = np.sqrt(np.maximum(one**2 - 2 * phi * one * other + other**2, 0))
        return length

    low = np.maximum(a - b - joined(a - low_a, high_b - b), -1)
    return low, np.minimum(a - b + joined(b - low_b, high_a - a), 1)


def _wilson(right: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    share, z = right / total, norm.ppf(0.975)
    middle = (right + z**2 / 2) / (total + z**2)
    half = z * np.sqrt(total * share * (1 - share) + z**2 / 4) / (total + z**2)
    return share, middle - half, middle + half


def graded(pairs: list[Said], seeds: int, probable: float, *, counted: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs (R, P) are called clearly better, and clearly or probably, as `core.comparison.conclusion` does.

    Args:
        pairs: all of a race.
        counted: whether the chance must be the higher, the more pairs there are.
    """
    p, chance, enough = (np.stack([getattr(pair, name) for pair in pairs], 1) for name in ("p", "chance", "enough"))
    better = (_holm(p) < ALPHA) & enough
    few = seeds < LEAST_SEEDS
    likely = chance >= 1 - (1 - probable) / (len(pairs) if counted else 1)
    return better & (not few), (better & likely) if few else (better | likely)


def _holm(ps: np.ndarray) -> np.ndarray:
    """Holm's correction of each row."""
    order = np.argsort(ps, axis=1)
    stepped = np.take_along_axis(ps, order, 1) * np.arange(ps.shape[1], 0, -1)
    corrected = np.empty_like(ps)
    np.put_along_axis(corrected, order, np.minimum(np.maximum.accumulate(stepped, axis=1), 1), 1)
    return corrected
