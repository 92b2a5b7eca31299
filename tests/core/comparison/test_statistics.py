"""Intervals and tests against published examples: python -m pytest tests/core/comparison/test_statistics.py"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from statsmodels.stats.proportion import proportion_confint

from core.comparison.metrics import Interval
from core.comparison.statistics import (
    cochran_q,
    detectable_gap,
    holm,
    mcnemar_exact,
    median_ratio,
    paired_difference,
    pictures_needed,
    rate,
    wilson,
)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # the ants-and-bees test pictures, computed from Wilson's (1927) formula
        (144, 153, 0.892, 0.969),
        (147, 153, 0.917, 0.982),
        # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_of_published_examples(correct, total, low, high):
    interval = wilson(correct, total)
    digits = 3 if total == 153 else 4

    assert (round(interval.low, digits), round(interval.high, digits)) == (low, high)


@pytest.mark.parametrize("total", [1, 15, 150, 4000])
def test_of_none_and_of_all_the_interval_ends_there_exactly(total):
    assert wilson(0, total).low == 0.0 and wilson(total, total).high == 1.0


def test_wilson_is_symmetric_in_right_and_wrong():
    right, wrong = wilson(144, 153), wilson(9, 153)

    assert (right.low, right.high) == pytest.approx((1 - wrong.high, 1 - wrong.low))


@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_is_statsmodels_interval(counts):
    correct, total = counts

    found = wilson(correct, total)

    assert (found.low, found.high) == pytest.approx(proportion_confint(correct, total, method="wilson"), abs=1e-12)


def test_wilson_covers_the_true_accuracy_in_about_95_of_100_repeats():
    random = np.random.default_rng(0)
    for truth in (0.7, 0.9):
        ends = [wilson(int(correct), 153) for correct in random.binomial(153, truth, 2000)]

        assert 0.93 <= np.mean([one.low <= truth <= one.high for one in ends]) <= 0.97


def test_a_rate_of_no_pictures_is_none_and_not_zero():
    assert rate(0, 0) is None
    some = rate(0, 5)
    assert some is not None and (some.value, some.correct, some.total) == (0.0, 0, 5)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (3, 0, 0.25),
        (5, 0, 0.0625),
        (6, 0, 0.03125),
        (0, 0, 1.0),
        (4, 4, 1.0),
        (12, 2, 0.0129),  # two culture media, Armitage and Berry (1994) p. 127, exact test after Liddell (1983)
    ],
)
def test_mcnemar_exact_p_of_known_tables(only_a, only_b, p):
    assert mcnemar_exact(only_a, only_b) == pytest.approx(p, abs=5e-5)
    assert mcnemar_exact(only_b, only_a) == mcnemar_exact(only_a, only_b)


@pytest.mark.parametrize(
    ("counts", "difference", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 2635-2650, example 36, 12, 2, 0, method 10
        ((36, 12, 2, 0), 0.2, 0.0569, 0.3404),
        # Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), chapter 8, complete
        # response before and after consolidation therapy (Cavo et al. 2012), Newcombe's square-and-add interval
        ((59, 6, 16, 80), -0.0621, -0.1186, -0.0046),
    ],
    ids=["positive correlation pulled to zero", "positive correlation"],
)
def test_paired_difference_of_published_examples(counts, difference, low, high):
    value, interval = paired_difference(*counts)

    assert (round(value, 4), round(interval.low, 4), round(interval.high, 4)) == (difference, low, high)


def test_swapping_the_two_runs_mirrors_the_paired_difference():
    for both, only_a, only_b, neither in ((140, 9, 3, 1), (10, 0, 4, 0), (0, 7, 2, 5), (0, 5, 0, 0)):
        value, interval = paired_difference(both, only_a, only_b, neither)
        mirrored, mirror = paired_difference(both, only_b, only_a, neither)

        assert mirrored == -value
        assert (mirror.low, mirror.high) == pytest.approx((-interval.high, -interval.low), abs=1e-12)


def test_paired_difference_stays_within_what_is_possible_and_contains_the_difference():
    for counts in np.ndindex(4, 4, 4, 4):
        if sum(counts):
            value, interval = paired_difference(*counts)

            assert -1 <= interval.low <= value + 1e-12 and value - 1e-12 <= interval.high <= 1


def test_newcombe_covers_the_true_difference_in_about_95_of_100_repeats():
    random = np.random.default_rng(0)
    for shares in ((0.88, 0.06, 0.02, 0.04), (0.7, 0.12, 0.08, 0.1)):
        truth = shares[1] - shares[2]
        ends = [paired_difference(*map(int, counts))[1] for counts in random.multinomial(153, shares, 2000)]

        assert 0.93 <= np.mean([one.low <= truth <= one.high for one in ends]) <= 0.97


def test_two_points_at_six_per_cent_disagreement_need_1175_pictures():
    assert pictures_needed(0.02, 0.06) == 1175


def test_pictures_needed_of_a_published_example():
    # HyLown, "Compare paired proportions: McNemar's Z-test, 2-sided equality" after Connor (1987) p. 209:
    # 0.45 and 0.05 discordant, 80 % power, 5 %
    assert pictures_needed(0.45 - 0.05, 0.45 + 0.05) == 23


def test_pictures_needed_finds_the_gap_as_often_as_promised():
    random = np.random.default_rng(0)
    needed = pictures_needed(0.08, 0.16)
    assert needed is not None
    counts = random.multinomial(needed, (0.12, 0.04, 0.84), 2000)

    # the asymptotic test that the formula is about
    found = np.mean(np.abs(counts[:, 0] - counts[:, 1]) > 1.96 * np.sqrt(counts[:, 0] + counts[:, 1]))

    assert 0.77 <= found <= 0.83


def test_a_gap_wider_than_the_disagreement_is_impossible_and_none_needs_no_number():
    assert pictures_needed(0.05, 0.04) is None
    assert pictures_needed(0.0, 0.04) is None
    assert pictures_needed(-0.02, 0.06) == pictures_needed(0.02, 0.06)


@pytest.mark.parametrize(("n", "share"), [(153, 0.06), (153, 0.2), (1175, 0.06), (10_000, 0.01)])
def test_detectable_gap_is_the_inverse_of_pictures_needed(n, share):
    gap = detectable_gap(n, share)

    assert gap is not None
    assert pictures_needed(gap * (1 + 1e-9), share) == n
    assert pictures_needed(gap * 0.99, share) > n


def test_153_pictures_show_gaps_of_about_seven_to_ten_points():
    assert detectable_gap(153, 0.1) == pytest.approx(0.07, abs=0.005)
    assert detectable_gap(153, 0.2) == pytest.approx(0.10, abs=0.005)


def test_too_few_pictures_show_no_gap_at_all():
    assert detectable_gap(2, 0.5) is None
    assert detectable_gap(153, 0.02) is None
    assert detectable_gap(153, 0.0) is None


def test_holm_of_a_worked_example_in_the_order_given():
    # by hand, smallest first: 0.01 x 4, 0.015 x 3, 0.03 x 2, and 0.04 x 1, which may not fall below the one before it
    assert holm([0.04, 0.01, 0.03, 0.015]) == pytest.approx((0.06, 0.04, 0.06, 0.045))
    assert holm([0.03]) == (0.03,)
    assert holm([]) == ()


def test_cochrans_q_is_its_definition():
    right = np.random.default_rng(3).random((40, 4)) < [0.9, 0.7, 0.6, 0.8]

    columns, rows, k = right.sum(0), right.sum(1), right.shape[1]
    q = (k - 1) * (k * (columns**2).sum() - columns.sum() ** 2) / (k * rows.sum() - (rows**2).sum())

    assert cochran_q(right) == pytest.approx(chi2.sf(q, k - 1))
    assert cochran_q(right[:, ::-1]) == pytest.approx(cochran_q(right))


def test_runs_that_are_right_on_the_same_pictures_cannot_be_told_apart():
    assert cochran_q(np.array([[True] * 3, [False] * 3])) == 1.0


def test_a_median_ratio_has_an_interval_from_three_repeats_on():
    assert median_ratio([2.0, 4.0]) == (3.0, None)
    middle, interval = median_ratio([1.0, 2.0, 3.0, 4.0, 100.0])
    assert middle == 3.0 and 1.0 <= interval.low < 3.0 < interval.high <= 100.0
    assert median_ratio([5.0] * 4) == (5.0, Interval(low=5.0, high=5.0))
