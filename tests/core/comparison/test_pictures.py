"""Answers are joined by picture: no order, no copy and no other test part puts one under another's picture."""

from dataclasses import replace

import numpy as np
import pytest

from core.comparison.compare import compare
from core.comparison.pictures import PictureAnswers, PictureKey, common, right_table
from core.comparison.race_verdict import race_verdict
from core.comparison.selection import best_of
from core.takehome.report import as_csv


def shuffled(outcome, order):
    """The same answers, had the data set been brought with its files in another order."""
    return replace(
        outcome,
        pictures=tuple(outcome.pictures[place] for place in order),
        targets=outcome.targets[order],
        probabilities=outcome.probabilities[order],
    )


def answers(contents: str, targets: list[int], sure: list[float]) -> PictureAnswers:
    """Answers for pictures named by letters: class a with this probability, else b."""
    probabilities = np.array([[p, 1 - p] for p in sure], dtype=np.float32)
    return PictureAnswers(tuple(contents), ("a", "b"), np.array(targets), probabilities)


def test_what_is_common_is_joined_by_picture():
    one = answers("xyz", [0, 1, 0], [0.9, 0.8, 0.7])
    other = answers("wzx", [1, 0, 0], [0.6, 0.2, 0.1])

    keys = common([one, other])

    assert keys == (PictureKey("x", "a", 0), PictureKey("z", "a", 0))
    assert [(one[key].probability, other[key].probability) for key in keys] == [
        pytest.approx((0.9, 0.9)),
        pytest.approx((0.7, 0.8)),
    ]
    assert right_table([one, other], keys).tolist() == [[True, False], [True, False]]


def test_nothing_is_common_to_other_test_parts_and_a_picture_not_tested_cannot_be_asked_about():
    one, other = answers("xy", [0, 1], [0.9, 0.1]), answers("vw", [0, 1], [0.9, 0.1])

    assert common([one, other]) == () and right_table([one, other], ()).shape == (0, 2)
    with pytest.raises(KeyError):
        other.right(list(one))


def test_copies_are_counted_within_their_class_and_a_file_in_two_classes_is_two_pictures():
    one = answers("xxx", [0, 1, 0], [0.9, 0.8, 0.7])

    assert list(one) == [PictureKey("x", "a", 0), PictureKey("x", "b", 0), PictureKey("x", "a", 1)]
    assert [one[key].right for key in one] == [True, False, True]


def test_the_order_of_the_test_part_changes_nothing_about_a_comparison(outcome):
    a, b = outcome("RRWRWWRRWR" * 3, "finetuned"), outcome("RWWRWRRRRR" * 3)
    order = np.random.default_rng(0).permutation(30)
    moved = shuffled(b, order)

    plain, joined = compare(a, b), compare(a, moved)

    assert joined.fairness.comparable
    assert joined.agreement == plain.agreement and joined.sentence == plain.sentence
    names = [f"{place}.png" for place in range(30)]
    assert as_csv(joined, (a, moved), names) == as_csv(plain, (a, b), names)


def test_the_order_of_the_test_part_changes_nothing_about_a_race_or_the_best_of_it(outcome):
    runs = [outcome(right, way) for right, way in (("RRWR" * 9, "frozen"), ("RWRR" * 9, "finetuned"))]
    third = outcome("WWRR" * 9, "scratch")
    moved = shuffled(third, np.arange(36)[::-1])

    assert race_verdict([*runs, moved]).cochran_p == race_verdict([*runs, third]).cochran_p is not None
    assert best_of([*runs, moved]) == best_of([*runs, third]) is not None
