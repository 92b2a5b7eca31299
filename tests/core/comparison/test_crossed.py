"""Seeds and pictures as crossed random effects: python -m pytest tests/core/comparison/test_crossed.py"""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ttest_1samp

from core.comparison.crossed import (
    DF_EXPONENT,
    MeanSquares,
    components_of,
    crossed,
    crossed_difference,
    crossed_share,
    error_and_df,
    estimate_of,
    grouped_difference,
    grouped_share,
    mean_squares,
    resampled,
)
from core.comparison.metrics import balanced_accuracy, confusion_matrix
from core.comparison.race import decide_over_seeds
from core.comparison.statistics import paired_difference, wilson
from core.comparison.verdict import BAND
from core.comparison.weighing import balanced_scores

# Van Dyke et al., "Cine MRI in the diagnosis of thoracic aortic dissection", RSNA 1993: 5 readers, 114 cases, spin echo
# against cine MRI, area under the curve. Mean squares of DBM pseudovalues and results after Hillis, as the R package
# RJafroc 1.2 (D. Chakraborty) reports them for its data set 2, "Analysis 1: random readers and random cases".
READERS, CASES = 5, 114
BETWEEN_TREATMENTS = MeanSquares(seeds=2 * 0.06281749, pictures=2 * 0.09984808, rest=2 * 0.03997160)

TABLES = st.tuples(st.integers(3, 6), st.integers(2, 40)).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape))
)


def test_the_difference_of_two_treatments_over_readers_and_cases_as_published():
    error, df = error_and_df(BETWEEN_TREATMENTS, READERS, CASES, exponent=2)
    found = estimate_of(-0.04380032, error, df)

    assert (round(error, 5), round(df, 2), round(found.p_value, 4)) == (0.02075, 15.26, 0.0517)
    assert (round(found.interval.low, 5), round(found.interval.high, 5)) == (-0.08796, 0.00036)


def test_degrees_of_freedom_lie_between_those_of_the_two_papers():
    # Obuchowski and Rockette (1995): readers - 1; Hillis (2007): 15.26
    by_exponent = [error_and_df(BETWEEN_TREATMENTS, READERS, CASES, exponent=power)[1] for power in (0, DF_EXPONENT, 2)]

    assert by_exponent == sorted(by_exponent) and by_exponent[0] == READERS - 1
    assert error_and_df(BETWEEN_TREATMENTS, READERS, CASES)[1] == by_exponent[1] == pytest.approx(10.92, abs=0.01)


@pytest.mark.parametrize(
    ("squares", "mean", "error", "df", "low", "high"),
    [
        ((0.35141967, 0.33629430, 0.06043607), 0.89703704, 0.03317360, 12.74, 0.82522360, 0.96885048),
        ((0.14872462, 0.16042367, 0.04403659), 0.94083736, 0.02156637, 12.71, 0.89413783, 0.98753689),
    ],
    ids=["spin echo", "cine MRI"],
)
def test_one_treatment_over_readers_and_cases_as_published(squares, mean, error, df, low, high):
    seeds, pictures, rest = squares
    its_error, its_df = error_and_df(MeanSquares(seeds=seeds, pictures=pictures, rest=rest), READERS, CASES, exponent=2)
    found = estimate_of(mean, its_error, its_df)

    assert (its_error, round(its_df, 2)) == (pytest.approx(error, abs=5e-9), df)
    assert (found.interval.low, found.interval.high) == (pytest.approx(low, abs=2e-7), pytest.approx(high, abs=2e-7))


def test_variance_components_as_published():
    found = components_of(BETWEEN_TREATMENTS, READERS, CASES)

    # a difference of two treatments varies by twice the component of treatment x reader, treatment x case, error
    assert found.seeds / 2 == pytest.approx(0.00020040, abs=5e-9)
    assert found.pictures / 2 == pytest.approx(0.01197530, abs=5e-9)
    assert found.rest / 2 == pytest.approx(0.03997160, abs=5e-9)


def test_the_analysis_of_variance_of_a_table_worked_by_hand():
    # rows 1 2 3 and 3 4 8: mean 3.5, row means 2 and 5, column means 2, 3, 5.5, residuals +-0.5, +-0.5, +-1
    found = mean_squares(np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 8.0]]))

    assert found == MeanSquares(seeds=13.5, pictures=2 * (1.5**2 + 0.5**2 + 2**2) / 2, rest=1.5)


def test_with_nothing_from_pictures_it_is_the_t_test_over_seeds():
    # pictures that differ less than noise leave MS_seeds / (S N) with S - 1 degrees of freedom
    scores = np.random.default_rng(0).normal(size=(4, 50))
    scores += np.array([[3.0], [1.0], [-1.0], [2.0]]) - scores.mean(axis=0)
    found = crossed(scores)
    plain = ttest_1samp(scores.mean(axis=1), 0)

    assert (found.estimate.df, found.estimate.p_value) == (pytest.approx(3), pytest.approx(plain.pvalue))
    assert found.estimate.interval.low == pytest.approx(plain.confidence_interval().low)


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_swapping_the_arms_negates_the_difference(tables):
    one, other = crossed_difference(*tables), crossed_difference(*tables[::-1])

    assert other.estimate.value == pytest.approx(-one.estimate.value)
    assert (other.estimate.interval.low, other.estimate.interval.high) == (
        pytest.approx(-one.estimate.interval.high),
        pytest.approx(-one.estimate.interval.low),
    )
    assert other.estimate.p_value == pytest.approx(one.estimate.p_value)
    chances, mirrored = one.estimate.chances(0.02), other.estimate.chances(0.02)
    assert (mirrored.above, mirrored.below) == (pytest.approx(chances.below), pytest.approx(chances.above))


@settings(max_examples=60, deadline=None)
@given(TABLES, st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_of_pictures_does_not_matter(tables, random):
    def moved(table: Any) -> Any:
        return table[seeds][:, pictures]

    shape = tables[0].shape
    seeds, pictures = (random.sample(range(size), size) for size in shape)
    one, other = crossed_difference(*tables), crossed_difference(*map(moved, tables))

    assert other.estimate.interval.low == pytest.approx(one.estimate.interval.low)
    assert other.estimate.p_value == pytest.approx(one.estimate.p_value, abs=1e-9)
    share, again = crossed_share(tables[0]), crossed_share(moved(tables[0]))
    assert (again.low, again.high) == (pytest.approx(share.low), pytest.approx(share.high))


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_intervals_hold_what_was_seen_and_stay_within_what_is_possible(tables):
    found, share = crossed_difference(*tables), crossed_share(tables[0])
    chances = found.estimate.chances(0.02)

    assert -1 <= found.estimate.interval.low <= found.estimate.value <= found.estimate.interval.high <= 1
    assert 0 <= share.low <= tables[0].mean() + 1e-12 and tables[0].mean() - 1e-12 <= share.high <= 1
    assert share.high - share.low > 0.01 and found.estimate.error > 0
    assert 0 <= found.estimate.p_value <= 1
    assert chances.above + chances.inside + chances.below == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(arrays(np.bool_, (4, 25)))
def test_wrong_answers_mirror_right_ones(right):
    share, mirrored = crossed_share(right), crossed_share(~right)

    assert (mirrored.low, mirrored.high) == (pytest.approx(1 - share.high), pytest.approx(1 - share.low))


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize("pictures", [1, 2, 15, 150])
def test_seeds_that_are_never_wrong_have_the_interval_of_their_pictures_and_not_a_point(seeds, pictures):
    found, one_seed = crossed_share(np.ones((seeds, pictures), bool)), wilson(pictures, pictures)

    assert found.high == 1.0 and found.low <= one_seed.low + 0.01
    assert found.low > one_seed.low - 0.05 or pictures < 15


def test_a_single_mistake_hardly_changes_the_interval():
    right = np.ones((3, 150), bool)
    perfect = crossed_share(right)
    right[0, 0] = False

    assert crossed_share(right).low == pytest.approx(perfect.low, abs=0.005)


def test_arms_that_never_differ_leave_what_so_many_pictures_cannot_rule_out():
    few, many = (crossed_difference(np.ones((3, n), bool), np.ones((3, n), bool)) for n in (40, 4000))

    assert few.estimate.value == 0 and few.estimate.p_value == 1
    # never narrower than Wilson's interval of a share that none of the pictures shows
    for found, pictures in ((few, 40), (many, 4000)):
        width = found.estimate.interval.high - found.estimate.interval.low
        assert width == pytest.approx(wilson(0, pictures).high)


def test_from_93_pictures_on_arms_that_never_differ_can_be_called_the_same():
    def said(pictures: int) -> str:
        right = np.ones((3, pictures), bool)
        found = crossed_difference(right, right).estimate
        return decide_over_seeds(found.value, found.interval, found.p_value, 0, BAND)

    # Z^2 / (N + Z^2) / 2 is at most 0.02 from N = 92.2 on
    assert (said(92), said(93)) == ("cannot-tell", "same")


def test_the_least_width_is_narrower_than_half_a_picture_in_each_cell_and_than_the_score_interval():
    right, z = np.ones((3, 93), bool), 1.959964
    least = crossed_difference(right, right).estimate.interval.high

    # Agresti and Min (2005): half a picture in each cell; Tango (1998): the score interval, which Newcombe's meets here
    adjusted, score = z / (93 + 2), z**2 / (93 + z**2)
    assert paired_difference(93, 0, 0, 0)[1].high == pytest.approx(score)
    assert 0.95 * adjusted < least < adjusted < score


def test_a_huge_test_part_leaves_the_seeds():
    right = np.random.default_rng(0).random((3, 200_000)) < np.array([[0.9], [0.93], [0.96]])
    found = crossed_share(right)

    assert found.low < 0.87 and found.high > 0.96  # 3 seeds, 3 points apart, whatever the pictures
    gap = crossed_difference(right, right[::-1].copy())
    assert gap.estimate.df == pytest.approx(2, abs=0.01) and gap.picture_share < 0.01


def test_where_seeds_agree_the_uncertainty_comes_from_the_pictures():
    one = np.random.default_rng(1).random(150) < 0.9
    found = crossed_difference(np.stack([one] * 4), np.ones((4, 150), bool))

    assert found.picture_share == 1.0 and found.components.seeds == 0


def test_scores_that_do_not_vary_have_no_interval():
    assert crossed(np.full((3, 9), 0.25)) is None
    assert crossed(np.arange(3.0)[:, None]) is None


def test_balanced_scores_average_to_balanced_accuracy():
    random = np.random.default_rng(2)
    targets = np.array([0] * 30 + [1] * 7 + [2] * 3)
    probabilities = random.dirichlet(np.ones(3), size=(4, 40))
    right = (probabilities.argmax(axis=2) == targets).astype(float)
    found = balanced_scores(right, targets)

    for seed in range(4):
        assert found[seed].mean() == pytest.approx(balanced_accuracy(confusion_matrix(targets, probabilities[seed])))


def test_balanced_scores_of_balanced_classes_lose_only_what_is_between_the_classes():
    targets = np.array([0, 1] * 20)
    scores = np.random.default_rng(3).normal(size=(3, 40)) + 5 * targets
    plain, balanced = mean_squares(scores), mean_squares(balanced_scores(scores, targets))

    assert (balanced.seeds, balanced.rest) == (pytest.approx(plain.seeds), pytest.approx(plain.rest, rel=0.1))
    assert balanced.pictures < plain.pictures / 5


def test_on_pictures_of_their_own_seeds_are_corrected_for_what_their_test_parts_share():
    differences = [0.05, 0.01, 0.03, 0.02, 0.04]
    apart, overlapping = resampled(differences, 0.0), resampled(differences, 0.2)

    plain = ttest_1samp(differences, 0)
    assert (apart.p_value, apart.df) == (pytest.approx(plain.pvalue), 4)
    # Nadeau and Bengio (2003): 1/J + n_test/n_train in the place of 1/J, here 1/5 + 1/4
    assert overlapping.error == pytest.approx(apart.error * math.sqrt((1 / 5 + 1 / 4) / (1 / 5)))
    assert resampled([0.02] * 4, 0.1) is None


def test_chances_are_those_of_the_t_distribution():
    # t with 4 degrees of freedom: 2.776 leaves 2.5 % on each side
    found = estimate_of(0.02 + 2.776 * 0.01, 0.01, 4)

    assert found.chances(0.02).above == pytest.approx(0.975, abs=1e-4)
    assert estimate_of(0.0, 0.01, 4).chances(0.02776).inside == pytest.approx(0.95, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(TABLES, st.integers(2, 5))
def test_copies_of_one_picture_in_a_group_are_no_more_evidence_than_the_picture(tables, copies):
    pictures = tables[0].shape[1]
    groups = [str(place) for place in range(pictures) for _ in range(copies)]
    many = [np.repeat(table, copies, axis=1) for table in tables]

    alone, grouped = crossed_difference(*tables).estimate, crossed_difference(*many, groups).estimate
    assert (grouped.interval.low, grouped.df) == (pytest.approx(alone.interval.low), pytest.approx(alone.df))
    assert crossed_share(many[0], groups).low == pytest.approx(crossed_share(tables[0]).low)
    one = [grouped_difference(a[0], b[0], g) for a, b, g in ((*many, groups), (*tables, groups[::copies]))]
    assert one[0].interval.low == pytest.approx(one[1].interval.low)
    shares = grouped_share(many[0][0], groups), grouped_share(tables[0][0], groups[::copies])
    assert shares[0].low == pytest.approx(shares[1].low)


def test_two_models_over_groups_worked_by_hand():
    # sums of the differences by group: 2, 0, -1, 1 over 8 pictures; mean 1/4, deviations 1.5, -0.5, -1.5, 0.5 in
    # eighths of 4 groups, so the variance of the mean is (2.25 + 0.25 + 2.25 + 0.25) / 3 / 4 / 4
    groups = list("aabbccdd")
    a = np.array([1, 1, 1, 0, 0, 1, 1, 0], bool)
    b = np.array([0, 0, 0, 1, 1, 1, 0, 0], bool)
    found = grouped_difference(a, b, groups)

    assert (found.value, found.df) == (pytest.approx(0.25), 3)
    assert found.error == pytest.approx(math.sqrt(5 / 3 / 4 / 4))


def test_groups_of_one_picture_each_leave_about_wilsons_interval():
    right = np.random.default_rng(4).random(150) < 0.9
    found, plain = grouped_share(right, [str(place) for place in range(150)]), wilson(int(right.sum()), 150)

    assert (found.low, found.high) == (pytest.approx(plain.low, abs=0.005), pytest.approx(plain.high, abs=0.005))


def test_intervals_over_groups_hold_the_truth_where_those_over_pictures_do_not():
    random, held, naive = np.random.default_rng(5), 0, 0
    groups = [str(group) for group in range(40) for _ in range(5)]
    for _ in range(400):
        subject = random.normal(size=(1, 40)).repeat(5, axis=1)  # what five pictures of one subject share
        right = 1.0 + subject + 0.5 * random.normal(size=(3, 200)) > 0
        truth = 0.8144533  # of a standard normal, below 1 / sqrt(1 + 0.25)
        ends, without = crossed_share(right, groups), crossed_share(right)
        held += ends.low <= truth <= ends.high
        naive += without.low <= truth <= without.high

    assert 0.92 <= held / 400 <= 0.98 and naive / 400 < 0.85


def test_pictures_of_a_group_that_have_nothing_in_common_count_almost_as_if_there_were_none():
    random, ratios = np.random.default_rng(6), []
    groups = [str(group) for group in range(15) for _ in range(8)]
    for _ in range(60):
        right = random.random((3, 120)) < 0.85
        ends, without = crossed_share(right, groups), crossed_share(right)
        ratios.append((ends.high - ends.low) / (without.high - without.low))

    assert 1 <= np.mean(ratios) < 1.15  # half a group right and half a one wrong would make it 1.4


def test_intervals_over_groups_of_very_unequal_sizes_hold_the_truth():
    random, held = np.random.default_rng(7), 0
    for _ in range(400):
        members = np.repeat(np.arange(40), np.round(24 ** random.random(40)).astype(int))
        right = (random.random(40) < 0.9)[members]  # all pictures of a group are alike
        ends = grouped_share(right, members.tolist())
        held += ends.low <= 0.9 <= ends.high

    assert 0.93 <= held / 400 <= 0.99
