"""Curves of accuracy: what an axis shows."""

import pytest

from core.training.history import EpochRecord
from pages.components.charts import LEAST_SPAN, accuracy_by_epoch


@pytest.mark.parametrize("accuracies", [[0.875, 0.881, 0.875], [1.0, 1.0], [0.0, 0.01], [0.4, 0.95], []])
def test_an_axis_of_accuracies_spans_ten_points_at_least_and_lies_between_0_and_1(accuracies: list[float]):
    losses = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0}
    epochs = [
        EpochRecord(epoch=place, stage="train", lr=0.1, val_accuracy=accuracy, elapsed_s=1.0, **losses)
        for place, accuracy in enumerate(accuracies, start=1)
    ]

    axis = accuracy_by_epoch([("Frozen", "frozen", epochs)]).layout.yaxis

    low, high = axis.autorangeoptions.include
    assert high - low == pytest.approx(LEAST_SPAN)
    assert low >= 0 and high <= 1
    if accuracies and max(accuracies) - min(accuracies) < LEAST_SPAN:
        assert low <= min(accuracies) + 1e-9 and max(accuracies) <= high + 1e-9
