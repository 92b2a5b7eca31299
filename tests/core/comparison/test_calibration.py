"""Probabilities at their word."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from core.comparison.calibration import brier, calibration_error, reliability, seconds_to
from core.errors import RunError
from core.training.history import EpochRecord


def test_a_bin_holds_what_lies_in_it_and_empty_ones_are_left_out():
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.5, 0.5]])
    targets = np.array([0, 1, 1, 0])

    bins = reliability(targets, probabilities)

    # 0.9 belongs to the bin that ends there; 0.5 to the one that ends at 0.5
    assert [(one.low, one.count, one.accuracy) for one in bins] == [(0.4, 1, 1), (0.5, 1, 1), (0.8, 1, 1), (0.9, 1, 0)]
    assert bins[3].confidence == pytest.approx(0.95)
    assert sum(one.count for one in bins) == 4


def test_scikit_learn_finds_the_same_bins():
    random = np.random.default_rng(0)
    targets, probabilities = random.integers(0, 3, 400), random.dirichlet(np.full(3, 0.4), 400)
    right, sure = probabilities.argmax(axis=1) == targets, probabilities.max(axis=1)

    bins = reliability(targets, probabilities)
    accuracies, confidences = calibration_curve(right, sure, n_bins=10)

    assert [one.accuracy for one in bins] == pytest.approx(accuracies)
    assert [one.confidence for one in bins] == pytest.approx(confidences)


def test_who_is_as_often_right_as_he_says_is_calibrated():
    probabilities = np.tile([0.75, 0.25], (8, 1))
    targets = np.array([0] * 6 + [1] * 2)

    assert calibration_error(reliability(targets, probabilities)) == 0.0
    assert calibration_error(reliability(1 - targets, probabilities)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("row", "target", "expected"),
    [([1.0, 0.0], 0, 0.0), ([1.0, 0.0], 1, 2.0), ([0.5, 0.5], 0, 0.5), ([0.7, 0.2, 0.1], 0, 0.14)],
    ids=["sure and right", "sure and wrong", "unsure", "three classes"],
)
def test_brier_is_the_squared_distance_from_the_truth(row: list[float], target: int, expected: float):
    assert brier(np.array([target]), np.array([row])) == pytest.approx(expected)


def test_nothing_is_said_of_no_pictures():
    nothing = np.array([], dtype=np.int64), np.empty((0, 2))

    assert brier(*nothing) is None
    assert calibration_error(reliability(*nothing)) is None


def test_damaged_predictions_are_refused():
    with pytest.raises(RunError, match="damaged"):
        reliability(np.array([0, 1]), np.array([[1.0, 0.0]]))


def test_seconds_count_to_the_first_epoch_that_is_good_enough():
    losses = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0}
    history = [
        EpochRecord(epoch=1, stage="train", lr=0.1, val_accuracy=accuracy, elapsed_s=seconds, **losses)
        for accuracy, seconds in ((0.5, 1.0), (0.86, 2.0), (0.8, 3.0), (0.9, 4.0))
    ]

    assert seconds_to(history, 0.95) == 2.0
    assert seconds_to(history, 1.0) == 4.0
    assert seconds_to(history, 0.0) == 1.0
    assert seconds_to([], 0.9) is None
