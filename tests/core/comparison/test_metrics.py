"""Counts and numbers of one run: those of scikit-learn, which takes longer to load than `compare` to answer."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from core.comparison.calibration import brier
from core.comparison.metrics import accuracy, balanced_accuracy, confusion_matrix, log_loss, recall_per_class
from core.errors import RunError


def one_hot(predicted: list[int], num_classes: int) -> np.ndarray:
    return np.eye(num_classes, dtype=np.float32)[predicted]


def test_confusion_matrix_counts_true_class_by_row_and_predicted_class_by_column():
    matrix = confusion_matrix(np.array([0, 0, 0, 1, 2]), one_hot([0, 0, 1, 1, 0], 3))

    assert matrix.tolist() == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("num_classes", [2, 5])
def test_scikit_learn_finds_the_same(num_classes: int):
    random = np.random.default_rng(num_classes)
    targets = random.integers(0, num_classes, 300)
    probabilities = random.dirichlet(np.ones(num_classes), 300).astype(np.float32)
    probabilities[0] = np.eye(num_classes)[(targets[0] + 1) % num_classes]  # sure and wrong
    guesses, labels = probabilities.argmax(axis=1), list(range(num_classes))

    matrix = confusion_matrix(targets, probabilities)

    assert (matrix == reference.confusion_matrix(targets, guesses, labels=labels)).all()
    assert accuracy(matrix) == pytest.approx(reference.accuracy_score(targets, guesses))
    assert recall_per_class(matrix) == pytest.approx(reference.recall_score(targets, guesses, average=None))
    assert balanced_accuracy(matrix) == pytest.approx(reference.balanced_accuracy_score(targets, guesses))
    rows = probabilities / probabilities.sum(axis=1, keepdims=True)
    assert log_loss(targets, rows) == pytest.approx(reference.log_loss(targets, rows, labels=labels))
    brier_score = reference.brier_score_loss(targets, rows, labels=labels, scale_by_half=False)
    assert brier(targets, rows) == pytest.approx(brier_score)


def test_balanced_accuracy_is_not_fooled_by_always_saying_the_common_class():
    matrix = confusion_matrix(np.array([0] * 90 + [1] * 10), one_hot([0] * 100, 2))

    assert accuracy(matrix) == 0.9
    assert recall_per_class(matrix) == (1.0, 0.0)
    assert balanced_accuracy(matrix) == 0.5


def test_a_class_without_pictures_has_no_recall_and_does_not_count_in_the_mean():
    matrix = confusion_matrix(np.array([0, 0, 2]), one_hot([0, 1, 2], 3))

    assert recall_per_class(matrix) == (0.5, None, 1.0)
    assert balanced_accuracy(matrix) == 0.75


def test_without_pictures_nothing_is_defined():
    targets, probabilities = np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.float32)
    matrix = confusion_matrix(targets, probabilities)

    assert accuracy(matrix) is None
    assert balanced_accuracy(matrix) is None
    assert recall_per_class(matrix) == (None, None)
    assert log_loss(targets, probabilities) is None


def test_log_loss_of_a_probability_of_zero_is_large_and_finite():
    assert log_loss(np.array([1]), one_hot([0], 2)) == pytest.approx(-math.log(2**-23))


@pytest.mark.parametrize(
    ("targets", "probabilities", "says"),
    [
        (np.array([0, 1]), np.ones((3, 2)), r"\(2,\) and probabilities \(3, 2\)"),
        (np.array([0, 2]), np.ones((2, 2)), "only 2 classes"),
        (np.array([-1, 0]), np.ones((2, 2)), "from -1 to 0"),
        (np.array([0.0, 1.0]), np.ones((2, 2)), "class numbers"),
        (np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, 0.5]]), "not finite"),
    ],
    ids=["lengths", "class too large", "class negative", "targets not whole", "not a number"],
)
def test_damaged_predictions_are_refused_in_words(targets, probabilities, says):
    with pytest.raises(RunError, match=says):
        confusion_matrix(targets, probabilities)
