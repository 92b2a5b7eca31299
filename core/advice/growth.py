"""What twice the pictures would buy: several curves fitted to accuracy against pictures, and where they lie at twice.

Curves that fit equally well part as soon as they leave the data, so that a range is given and never more than twice the
pictures (Viering and Loog 2023, "The Shape of Learning Curves", IEEE TPAMI 45, 7799-7819, has the functions).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from core.comparison.verdict import BAND
from core.comparison.wording import per_cent, points

Array = npt.NDArray[np.float64]
FEWEST_SIZES: Final = 3
WORSE: Final = 2.0
"""A curve counts if its misfit is at most so many times the best one's, and"""
EXACT: Final = 0.02
"""if it misses the means by two points or less, in any case: means of a few seeds are no truer."""
RATES: Final = np.geomspace(0.05, 3.0, 160)
"""Exponents that are tried: for each of them the rest of a curve is solved for."""
_BASES: Final[dict[str, Callable[[Array, float], Array]]] = {
    "power law": lambda n, rate: n**-rate,
    "exponential": lambda n, rate: np.exp(-rate * n / n.max() * 5),
    "inverse logarithm": lambda n, rate: 1 / np.log(n + np.e * (1 + rate)),
}
"""Curves accuracy = a - b f(n), which end at a."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """What doubling the pictures would buy. Accuracies are fractions."""

    pictures: int
    """Per class, at most measured."""
    now: float
    low: float
    high: float
    """Test accuracy with twice as many, over the curves that fit."""
    curves: tuple[str, ...]
    sentence: str


def enough_yet(sizes: Sequence[int], accuracies: Sequence[Sequence[float]]) -> Growth | None:
    """Extrapolate to twice the most pictures; None where there are too few sizes to see a curve.

    Args:
        sizes: pictures per class, ascending.
        accuracies: of each size, by seed.
    """
    if len(sizes) < FEWEST_SIZES:
        return None
    n = np.array(sizes, np.float64)
    means = np.array([np.mean(row) for row in accuracies])
    noise = np.array([np.std(row, ddof=1) / len(row) ** 0.5 if len(row) > 1 else 0.0 for row in accuracies])
    fits = _fits(n, means)
    best = min(misfit for _, misfit, _ in fits)
    kept = [(name, ahead) for name, misfit, ahead in fits if misfit <= max(WORSE * best, EXACT)]
    margin = float(noise[-1])
    ends = [min(max(ahead, float(means[-1]) - margin), 1.0) for _, ahead in kept]
    low, high = max(min(ends) - margin, 0.0), min(max(ends) + margin, 1.0)
    now = float(means[-1])
    return Growth(
        pictures=int(sizes[-1]),
        now=now,
        low=low,
        high=high,
        curves=tuple(name for name, _ in kept),
        sentence=_sentence(now, low, high),
    )


def _fits(n: Array, means: Array) -> list[tuple[str, float, float]]:
    """(curve, root mean square misfit, accuracy at twice the pictures): each rises, and ends at 1 at most."""
    found = []
    for name, base in _BASES.items():
        tried = [_solved(base, rate, n, means) for rate in RATES]
        misfit, ahead = min(tried)
        found.append((name, misfit, ahead))
    slope, start = np.polyfit(np.log(n), means, 1)
    line = start + max(slope, 0.0) * np.log(n)
    ahead = min(float(start + max(slope, 0.0) * np.log(2 * n[-1])), 1.0)
    return [*found, ("logarithm", float(np.sqrt(np.mean((line - means) ** 2))), ahead)]


def _solved(base: Callable[[Array, float], Array], rate: float, n: Array, means: Array) -> tuple[float, float]:
    both = base(np.append(n, 2 * n[-1]), rate)  # as one, since the exponential is measured by the largest
    falls = both[:-1]
    scaled = falls - falls.mean()
    slope = max(-float(scaled @ (means - means.mean())) / max(float(scaled @ scaled), 1e-12), 0.0)
    ceiling = float(means.mean() + slope * falls.mean())
    if ceiling > 1.0:  # no network is right more often than always: through 1, and the slope that fits best
        ceiling, slope = 1.0, float(falls @ (1.0 - means)) / max(float(falls @ falls), 1e-12)
    misfit = float(np.sqrt(np.mean((ceiling - slope * falls - means) ** 2)))
    return misfit, ceiling - slope * float(both[-1])


def _sentence(now: float, low: float, high: float) -> str:
    if high - now <= BAND:
        return f"Enough: twice the pictures would gain {points(max(high - now, 0.0))} at most."
    ends = f"{per_cent(low)} to {per_cent(high)}, now {per_cent(now)}"
    if low - now > BAND:
        return f"More pictures pay: with twice as many test accuracy would be {ends}."
    return f"More pictures may pay: with twice as many test accuracy would be {ends}."
