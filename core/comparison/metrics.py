"""What one run's predictions are worth, as numbers. The confusion matrix is the single source of every count.

N pictures, K classes. A number that is not defined, like the recall of a class without pictures, is None and never 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import RunError

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Two ends, both included, in the unit of what they enclose."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A share of pictures (fraction 0-1), the ends of its interval, and the counts it was made from."""

    value: float
    low: float
    high: float
    correct: int
    total: int


def confusion_matrix(targets: Array, probabilities: Array) -> Array:
    """Pictures counted by true class (row) and predicted class (column).

    Args:
        targets: (N,) whole numbers from 0 to K - 1.
        probabilities: (N, K), finite; the first of several equally likely classes is the predicted one.

    Returns:
        (K, K) int64.

    Raises:
        RunError: the two do not fit together, or hold values that no run can have written.
    """
    check_predictions(targets, probabilities)
    num_classes = probabilities.shape[1]
    cells = targets.astype(np.int64) * num_classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def check_predictions(targets: Array, probabilities: Array) -> None:
    """Raise RunError unless targets (N,) and probabilities (N, K) can belong to the same pictures."""
    if targets.ndim != 1 or probabilities.ndim != 2 or len(targets) != len(probabilities):
        raise RunError(
            f"targets have shape {targets.shape} and probabilities {probabilities.shape}; "
            "they must be (N,) and (N, K). The run's predictions are damaged: train it again."
        )
    num_classes = probabilities.shape[1]
    if num_classes == 0 or not np.issubdtype(targets.dtype, np.integer):
        raise RunError(f"targets are {targets.dtype} over {num_classes} classes; they must be class numbers.")
    if len(targets) and not (targets.min() >= 0 and targets.max() < num_classes):
        raise RunError(f"targets go from {targets.min()} to {targets.max()}; there are only {num_classes} classes.")
    if not np.isfinite(probabilities).all():
        raise RunError("probabilities hold values that are not finite: this run diverged. Train it with a lower rate.")


def accuracy(matrix: Array) -> float | None:
    """Share of pictures on the diagonal; None without pictures."""
    total = int(matrix.sum())
    return int(np.trace(matrix)) / total if total else None


def recall_per_class(matrix: Array) -> tuple[float | None, ...]:
    """Share of each class's pictures that were recognised; None for a class without pictures."""
    return tuple(
        int(correct) / int(total) if total else None
        for correct, total in zip(np.diagonal(matrix), matrix.sum(axis=1), strict=True)
    )


def balanced_accuracy(matrix: Array) -> float | None:
    """Mean recall over the classes that have pictures; None without pictures."""
    recalls = [recall for recall in recall_per_class(matrix) if recall is not None]
    return sum(recalls) / len(recalls) if recalls else None


def log_loss(targets: Array, probabilities: Array) -> float | None:
    """Mean over the pictures of `log_losses`; None without pictures."""
    check_predictions(targets, probabilities)
    return float(log_losses(targets, probabilities).mean()) if len(targets) else None


def log_losses(targets: Array, probabilities: Array) -> Array:
    """Negative natural logarithm of each picture's true class's probability, (N,) float64.

    Probabilities are kept above float32's epsilon, so that one picture that a softmax rounded to 0 costs 15.9 and
    not infinity.
    """
    of_truth = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    losses: Array = -np.log(np.clip(of_truth, np.finfo(np.float32).eps, 1.0))
    return losses
