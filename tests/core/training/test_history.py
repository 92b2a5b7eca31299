"""The stopwatch of a run, and its records."""

import json
from dataclasses import asdict

import pytest

from core.training.history import EpochRecord, Stopwatch, curve_by_epoch, last_epoch


def test_seconds_add_up_by_phase_and_never_exceed_the_whole():
    watch = Stopwatch()
    for _ in range(3):
        with watch.phase("train"):
            sum(range(10_000))
    with watch.phase("val"):
        pass

    assert set(watch.seconds) == {"train", "val"}
    assert watch.seconds["train"] > 0
    assert sum(watch.seconds.values()) <= watch.elapsed()


def test_a_phase_that_fails_still_counts():
    watch = Stopwatch()
    with pytest.raises(ValueError), watch.phase("train"):
        raise ValueError

    assert "train" in watch.seconds


def test_work_is_counted():
    watch = Stopwatch()
    for number in (16, 16, 5):
        watch.count("pictures_trained", number)
        watch.count("optimizer_steps")

    assert watch.work == {"pictures_trained": 37, "optimizer_steps": 3}


def test_paces_add_up_by_work_and_precision():
    watch = Stopwatch()
    watch.paced("forward", "fp32", 10, 2.0)
    watch.paced("forward", "bf16", 10, 1.0)
    watch.paced("forward", "fp32", 6, 0.5)
    watch.paced("train-kept", "fp32", 3, 4.0)

    assert watch.paces == {
        ("forward", "fp32"): (16, 2.5),
        ("forward", "bf16"): (10, 1.0),
        ("train-kept", "fp32"): (3, 4.0),
    }
    assert watch.work == {} and watch.seconds == {}


@pytest.mark.parametrize("lr", [None, 0.01], ids=["solved", "trained"])
def test_an_epoch_survives_json_whether_or_not_there_is_a_rate(lr: float | None):
    losses = {"train_loss": 0.5, "train_accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.5}
    record = EpochRecord(epoch=1, stage="train", lr=lr, elapsed_s=2.5, **losses)

    assert EpochRecord(**json.loads(json.dumps(asdict(record)))) == record


def curve(*rates: float | None) -> list[EpochRecord]:
    """A history with these rates; None where the head is solved for."""
    known = {"train_loss": 0.5, "train_accuracy": 0.5, "val_loss": 0.5, "elapsed_s": 1.0}
    return [
        EpochRecord(epoch=epoch, stage="probe" if rate is None else "train", lr=rate, val_accuracy=epoch / 10, **known)
        for epoch, rate in enumerate(rates, start=1)
    ]


@pytest.mark.parametrize(
    ("history", "points"),
    [
        pytest.param(curve(0.1, 0.1), [(1, 0.1), (2, 0.2)], id="epochs"),
        pytest.param(curve(*[None] * 7), [(0, 0.7), (5, 0.7)], id="a solved head is level, however many iterations"),
        pytest.param(curve(None, 0.1, 0.1), [(0, 0.1), (1, 0.2), (2, 0.3)], id="probe, then epochs"),
        pytest.param([], [], id="nothing yet"),
    ],
)
def test_a_curve_counts_epochs_of_the_network_only(history, points):
    assert curve_by_epoch(history, 5) == points
    assert last_epoch([history]) == sum(record.lr is not None for record in history)
