"""The stopwatch of a run."""

import pytest

from core.training.history import Stopwatch


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
