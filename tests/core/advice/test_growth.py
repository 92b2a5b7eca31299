"""Twice the pictures: the truth lies in the range, and it is never promised what cannot be."""

import numpy as np
import pytest

from core.advice.growth import enough_yet

SIZES = (10, 20, 40, 80)


@pytest.mark.parametrize(
    "truth",
    [lambda n: 0.95 - 0.6 * n**-0.5, lambda n: 0.9 - 0.4 * np.exp(-n / 40), lambda n: 0.5 + 0.08 * np.log(n)],
    ids=["power law", "exponential", "logarithm"],
)
def test_the_truth_at_twice_the_pictures_lies_in_the_range(truth):
    found = enough_yet(SIZES, [[truth(n)] * 3 for n in SIZES])

    assert found is not None and found.low - 0.003 <= truth(160) <= found.high + 0.003
    assert found.pictures == 80 and len(found.curves) >= 2


def test_where_nothing_rises_any_more_it_is_enough():
    found = enough_yet(SIZES, [[0.8, 0.8], [0.9, 0.9], [0.9, 0.9], [0.9, 0.9]])

    assert found is not None and found.sentence.startswith("Enough") and found.high <= 0.92


def test_nothing_is_right_more_often_than_always():
    found = enough_yet((10, 20, 40), [[0.8], [0.9], [1.0]])

    assert found is not None and found.now <= found.high <= 1.0


def test_two_sizes_are_no_curve():
    assert enough_yet((10, 20), [[0.8], [0.9]]) is None
