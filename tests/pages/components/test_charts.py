"""Curves of accuracy: what an axis shows."""

import pytest

from core.training.history import EpochRecord
from pages.components.charts import LEAST_SPAN, MOST_NAMES, accuracy_against_seconds, accuracy_by_epoch, confusion


def history(accuracies: list[float], stage: str = "train") -> list[EpochRecord]:
    losses = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0}
    return [
        EpochRecord(epoch=place, stage=stage, lr=0.1, val_accuracy=accuracy, elapsed_s=float(place), **losses)
        for place, accuracy in enumerate(accuracies, start=1)
    ]


@pytest.mark.parametrize("accuracies", [[0.875, 0.881, 0.875], [1.0, 1.0], [0.0, 0.01], [0.4, 0.95], []])
def test_an_axis_of_accuracies_spans_ten_points_at_least_and_lies_between_0_and_100(accuracies: list[float]):
    epochs = history(accuracies)

    axis = accuracy_by_epoch([("Fine-tuned", "finetuned", epochs)]).layout.yaxis

    low, high = axis.autorangeoptions.include
    assert high - low == pytest.approx(LEAST_SPAN)
    assert low >= 0 and high <= 100
    if accuracies and 100 * (max(accuracies) - min(accuracies)) < LEAST_SPAN:
        assert low <= 100 * min(accuracies) + 1e-9 and 100 * max(accuracies) <= high + 1e-9


def test_a_head_that_is_solved_for_is_a_level_line_beside_the_epochs_of_others():
    """Its iterations are no epochs: 33 of them would squeeze the curves of others."""
    solved, trained = history([0.2] * 32 + [0.8]), history([0.5, 0.9])
    both = [*history([0.3, 0.7], "probe"), *trained]
    figure = accuracy_by_epoch(
        [("A", "frozen", solved), ("B", "finetuned", trained), ("C", "probe-then-finetune", both)]
    )
    points = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}

    assert points == {"A": ([0, 2], [80, 80]), "B": ([1, 2], [50, 90]), "C": ([0, 1, 2], [70, 50, 90])}
    over_time = accuracy_against_seconds(
        [("A", "frozen", [history([0.2, 0.8])]), ("B", "finetuned", [history([0.5] * 9)])]
    )
    assert (list(over_time.data[0].x), list(over_time.data[0].y)) == ([2.0, 9.0], [80, 80])


def test_curves_of_one_strategy_are_told_apart_by_marker_and_tint():
    figure = accuracy_by_epoch([(name, "finetuned", history([0.5])) for name in "ABCDEF"])
    looks = {(trace.marker.symbol, trace.line.color) for trace in figure.data}

    assert len(looks) == 6 and len({symbol for symbol, _ in looks}) >= 4


def test_a_confusion_matrix_of_many_classes_keeps_its_room_for_the_cells():
    def sides(classes: int) -> list[bool]:
        names = [f"class {number}" for number in range(classes)]
        drawn = confusion([[int(row == column) for column in range(classes)] for row in range(classes)], names)
        return [drawn.layout.xaxis.showticklabels, drawn.layout.yaxis.showticklabels]

    assert sides(3) == sides(MOST_NAMES) == [True, True]
    assert sides(MOST_NAMES + 1) == [False, False]


@pytest.mark.parametrize("difference", [False, True])
def test_of_many_classes_empty_cells_are_left_out_and_every_class_has_a_row_that_can_be_read(difference: bool):
    names = [f"class {number}" for number in range(MOST_NAMES)]
    matrix = [[int(row == column) for column in range(MOST_NAMES)] for row in range(MOST_NAMES)]

    drawn, few = confusion(matrix, names, difference=difference), confusion([[1, 0], [0, 2]], ["a", "b"])

    assert {cell for row in drawn.data[0].z for cell in row} == {1, None}, "else they outshine the others in the dark"
    assert [list(row) for row in few.data[0].z] == [[1, 0], [0, 2]]
    assert drawn.layout.height / MOST_NAMES > drawn.layout.yaxis.tickfont.size and drawn.layout.yaxis.dtick == 1


def test_a_difference_of_many_classes_tells_its_two_sides_apart_at_their_weakest():
    names = [str(number) for number in range(20)]
    drawn = confusion([[0] * 20 for _ in range(20)], names, difference=True)

    colours = dict(drawn.data[0].colorscale)
    assert colours[0.499] != colours[0.5]
