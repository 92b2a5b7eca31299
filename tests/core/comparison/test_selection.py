"""Picking the best of several runs on the pictures it is reported on."""

import numpy as np
import pytest

from core.comparison.selection import best_of, selection_optimism


def test_runs_that_are_right_on_the_same_pictures_leave_nothing_to_be_lucky_with():
    column = np.array([True] * 80 + [False] * 20)

    assert selection_optimism(np.stack([column] * 5, axis=1)) == pytest.approx(0, abs=0.004)


def test_one_run_is_not_picked():
    assert selection_optimism(np.array([[True], [False]])) == 0.0


def test_the_optimism_of_equal_runs_is_about_the_expected_largest_of_so_many_draws():
    """Five independent runs of 50 %: the best of 200 pictures is 1.163 standard errors too high (Harter 1961)."""
    dice = np.random.default_rng(1)
    found = [selection_optimism(dice.random((200, 5)) < 0.5, resamples=200) for _ in range(40)]

    # the sample's own best is ahead already, so that the bootstrap picks it more often than not: it errs low
    expected = 1.163 * np.sqrt(0.25 / 200)
    assert 0.5 * expected < np.mean(found) < 1.1 * expected


def test_more_runs_are_more_optimistic():
    right = np.random.default_rng(2).random((150, 12)) < 0.9

    assert 0 < selection_optimism(right[:, :3]) < selection_optimism(right)


def test_the_best_of_three_is_found_and_two_need_no_warning(outcome):
    runs = [outcome("RRWWRR", seed=0), outcome("RRRRRW", seed=0, scenario="finetuned"), outcome("WWWWWR", seed=0)]

    found = best_of(runs)
    assert found is not None and found[0] == 1 and found[1] > 0
    assert best_of(runs[:2]) is None


def test_runs_on_different_pictures_are_not_ranked(outcome):
    assert (
        best_of(
            [outcome("RRW", seed=seed, changed={"pictures": tuple(f"{seed}{n}" for n in "abc")}) for seed in range(3)]
        )
        is None
    )
