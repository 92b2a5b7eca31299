"""How small a gap so many seeds and test pictures will show, and what would settle a verdict that cannot tell.

Fractions everywhere; power 80 %, two-sided 5 %.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import Final

from scipy.special import nctdtrinc

from core.comparison.crossed import LEAST_SEEDS, Components, Crossed, error_and_df, least_error, quantile
from core.comparison.statistics import pictures_needed
from core.comparison.verdict import SMALLEST_DISCORDANT

POWER: Final = 0.8
MOST_SEEDS: Final = 20
"""More seeds than that are not recommended to anybody."""
MOST_PICTURES: Final = 100_000
FINE: Final = 10_000
"""Steps in which a gap of 100 points is looked for."""

USUAL_DISAGREEMENT: Final = 0.06
"""Share of pictures on which either of two runs is right alone, the gap left out: 1 to 5 % in the recorded race."""
USUAL_PICTURE_SHARE: Final = 0.32
"""Of what varies from picture to picture, how much is the same for every seed: 0.36 to 0.44 in the recorded race."""
USUAL_SEED_SPREAD: Final = 0.015
"""Standard deviation of a true difference from seed to seed: 0 to 0.9 points in the recorded race."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settling:
    """What would show a gap, each by itself; None: not even a great many would."""

    gap: float
    """The one observed, or the band if that is wider."""
    picture_share: float
    """Share of the uncertainty that comes from the test pictures."""
    more_seeds: int | None
    pictures: int | None
    """Test pictures in all."""
    together: tuple[int, int] | None = None
    """More seeds and test pictures in all that would do it together, where neither does alone."""


def usual(gap: float) -> Components:
    """What makes differences vary in a race whose two arms are so far apart, as our own races show it."""
    among_pictures = USUAL_DISAGREEMENT + gap - gap**2
    return Components(
        seeds=USUAL_SEED_SPREAD**2,
        pictures=USUAL_PICTURE_SHARE * among_pictures,
        rest=(1 - USUAL_PICTURE_SHARE) * among_pictures,
    )


def detectable(components: Components, seeds: int, pictures: int) -> float:
    """The gap that so many seeds, at least two, and pictures show where differences vary like that."""
    error, df = error_and_df(components.squares(seeds, pictures), seeds, pictures)
    return _errors_away(round(df, 2)) * max(error, least_error(pictures, df))


@cache
def _errors_away(df: float) -> float:
    """How many standard errors the truth must lie from 0 for a t test to see it: Johnson and Welch's noncentral t."""
    return float(nctdtrinc(df, 1 - POWER, quantile(df)))


@cache
def smallest_gap(seeds: int, pictures: int) -> float | None:
    """The smallest gap that a race will show, before anything is trained; None: none at all.

    From three seeds on between two ways of training, with fewer between the trained models.
    """
    if seeds < LEAST_SEEDS:
        return _between_models(pictures)
    if pictures < SMALLEST_DISCORDANT:
        return None
    gaps = range(math.ceil((1 - USUAL_DISAGREEMENT) * FINE))
    place = bisect_left(gaps, True, key=lambda step: detectable(usual(step / FINE), seeds, pictures) <= step / FINE)
    return gaps[place] / FINE if place < len(gaps) else None


def _between_models(pictures: int) -> float | None:
    """By McNemar's test; in steps of a tenth of a point."""
    for step in range(1, 1000):
        gap = step / 1000
        share = min(USUAL_DISAGREEMENT + gap, 1.0)
        needed = pictures_needed(gap, share, POWER)
        if needed is not None and max(needed, math.ceil(SMALLEST_DISCORDANT / share)) <= pictures:
            return gap
    return None


def settling(found: Crossed, band: float) -> Settling:
    """What would show the gap that was observed, or the band if that is wider."""
    gap = max(abs(found.estimate.value), band)
    seeds = next((s for s in range(found.seeds + 1, MOST_SEEDS + 1) if _shows(found, gap, s, found.pictures)), None)
    pictures = _pictures_that_show(found, gap, found.seeds)
    return Settling(
        gap=gap,
        picture_share=found.picture_share,
        more_seeds=None if seeds is None else seeds - found.seeds,
        pictures=pictures,
        together=_together(found, gap) if seeds is None and pictures is None else None,
    )


def _together(found: Crossed, gap: float) -> tuple[int, int] | None:
    """The least of both: doubling the seeds is taken to be as much trouble as doubling the test pictures."""
    counts = ((seeds, _pictures_that_show(found, gap, seeds)) for seeds in range(found.seeds + 1, MOST_SEEDS + 1))
    possible = [(seeds, pictures) for seeds, pictures in counts if pictures is not None]
    if not possible:
        return None
    seeds, pictures = min(possible, key=lambda both: both[0] / found.seeds + both[1] / found.pictures)
    return seeds - found.seeds, pictures


def _shows(found: Crossed, gap: float, seeds: int, pictures: int) -> bool:
    return detectable(found.components, seeds, pictures) <= gap


def _pictures_that_show(found: Crossed, gap: float, seeds: int) -> int | None:
    """The fewest test pictures, more than there are, that show a gap with so many seeds."""
    counts = range(found.pictures + 1, MOST_PICTURES + 1)
    place = bisect_left(counts, True, key=lambda pictures: _shows(found, gap, seeds, pictures))
    return counts[place] if place < len(counts) else None
