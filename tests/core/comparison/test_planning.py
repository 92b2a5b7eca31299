"""What so many seeds and pictures show, what settles it: python -m pytest tests/core/comparison/test_planning.py"""

import math

import numpy as np
import pytest

from core.comparison.crossed import (
    Components,
    Crossed,
    MeanSquares,
    crossed_difference,
    error_and_df,
    estimate_of,
    quantile,
)
from core.comparison.planning import (
    MOST_SEEDS,
    POWER,
    USUAL_DISAGREEMENT,
    detectable,
    settling,
    smallest_gap,
    usual,
)
from core.comparison.statistics import pictures_needed


def found(gap: float, components: Components, seeds: int = 3, pictures: int = 150) -> Crossed:
    error, df = error_and_df(components.squares(seeds, pictures), seeds, pictures)
    return Crossed(seeds=seeds, pictures=pictures, estimate=estimate_of(gap, error, df), components=components)


def share_seen(seeds: int, pictures: int, gap: float, repeats: int = 4000) -> float:
    """How often races with this true gap find it: mean squares of normal data are scaled chi-squares."""
    random, squares = np.random.default_rng(0), usual(gap).squares(seeds, pictures)
    dfs = (seeds - 1, pictures - 1, (seeds - 1) * (pictures - 1))
    drawn = [
        square * random.chisquare(df, repeats) / df
        for square, df in zip((squares.seeds, squares.pictures, squares.rest), dfs, strict=True)
    ]
    spread = math.sqrt((squares.seeds + squares.pictures - squares.rest) / (seeds * pictures))
    means = random.normal(gap, spread, repeats)
    seen = 0
    for mean, *row in zip(means, *drawn, strict=True):
        error, df = error_and_df(MeanSquares(seeds=row[0], pictures=row[1], rest=row[2]), seeds, pictures)
        seen += abs(mean) > quantile(df) * error
    return seen / repeats


@pytest.mark.parametrize(("seeds", "pictures"), [(3, 150), (3, 1000), (5, 75), (10, 150)])
def test_the_smallest_gap_is_found_about_as_often_as_promised(seeds, pictures):
    gap = smallest_gap(seeds, pictures)

    assert POWER - 0.07 < share_seen(seeds, pictures, gap) < POWER + 0.03


def test_more_seeds_and_more_pictures_show_smaller_gaps():
    by_seeds = [smallest_gap(seeds, 150) for seeds in range(3, 11)]
    by_pictures = [smallest_gap(5, pictures) for pictures in (20, 40, 75, 150, 300, 1000)]

    assert by_seeds == sorted(by_seeds, reverse=True) and by_pictures == sorted(by_pictures, reverse=True)
    assert 0.07 < by_seeds[0] < 0.09  # three seeds on about as many test pictures as the photos have


def test_pictures_alone_cannot_take_away_what_three_seeds_leave_open():
    assert smallest_gap(3, 50_000) > 0.03
    assert smallest_gap(10, 50_000) < 0.02


def test_with_one_seed_it_is_what_mcnemar_finds_between_two_models():
    gap = smallest_gap(1, 150)

    assert pictures_needed(gap, USUAL_DISAGREEMENT + gap) <= 150
    assert pictures_needed(gap - 0.001, USUAL_DISAGREEMENT + gap - 0.001) > 150


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_handful_of_pictures_shows_nothing(seeds):
    assert smallest_gap(seeds, 5) is None


def test_what_comes_from_the_pictures_is_not_settled_by_seeds():
    pictures_only = Components(seeds=0.0, pictures=0.12, rest=0.001)
    advice = settling(found(0.03, pictures_only), 0.02)

    assert advice.picture_share > 0.98 and advice.more_seeds is None
    assert detectable(pictures_only, 3, advice.pictures) <= 0.03 < detectable(pictures_only, 3, advice.pictures - 1)


def test_what_comes_from_the_seeds_is_not_settled_by_pictures():
    seeds_only = Components(seeds=0.03**2, pictures=0.0, rest=0.02)
    advice = settling(found(0.04, seeds_only), 0.02)

    assert advice.picture_share == 0 and advice.pictures is None
    total = 3 + advice.more_seeds
    assert detectable(seeds_only, total, 150) <= 0.04 < detectable(seeds_only, total - 1, 150)


def test_where_neither_alone_is_enough_both_together_are_named():
    both = Components(seeds=0.02**2, pictures=0.1, rest=0.05)
    advice = settling(found(0.02, both), 0.02)

    assert (advice.more_seeds, advice.pictures) == (None, None)
    more, pictures = advice.together
    assert 3 + more <= MOST_SEEDS and detectable(both, 3 + more, pictures) <= 0.02


def test_runs_that_never_differ_are_settled_by_pictures_alone():
    """There is no spread to learn from: what stays uncertain is what so few pictures cannot rule out."""
    right = np.ones((3, 40), dtype=bool)
    advice = settling(crossed_difference(right, right), 0.02)

    assert advice.picture_share == 1.0 and advice.more_seeds is None
    assert advice.pictures > 90, "Wilson's interval of 0 of 90 is wider than the band"


def test_a_gap_below_the_band_is_not_looked_for():
    assert settling(found(0.001, usual(0.0)), 0.02).gap == 0.02
    assert settling(found(-0.05, usual(0.0)), 0.02).gap == 0.05
