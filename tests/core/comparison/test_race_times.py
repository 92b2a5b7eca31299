"""How long the runs of a race took, where that can be compared."""

import pytest

from core.comparison.race_verdict import race_verdict


def timed(outcome, scenario: str, seed: int, train_s: float, **changed: object):
    timings = {"decode": 3.0, "features": 1.0, "train": train_s - 2.0, "val": 1.0, "test": 5.0}
    return outcome("RW" * 10, scenario, seed, changed={"timings": timings, **changed})


def test_times_of_first_runs_and_of_runs_with_cached_features_are_never_mixed(outcome):
    frozen = [timed(outcome, "frozen", seed, 10.0) for seed in range(3)]
    frozen.append(timed(outcome, "frozen", 3, 2.5, cached_features=99))
    tuned = [timed(outcome, "finetuned", seed, 40.0 + seed) for seed in range(4)]

    (pair,) = race_verdict([*frozen, *tuned]).pairs

    assert (pair.cold.runs, pair.cold.median) == (3, pytest.approx(10 / 41))
    assert pair.cold.interval.low == pytest.approx(10 / 42) and pair.cold.interval.high == pytest.approx(10 / 40)
    assert (pair.warm.runs, pair.warm.median, pair.warm.interval) == (1, pytest.approx(2.5 / 43), None)
    assert pair.speed == (
        "Frozen trained faster than Fine-tuned (median of 3 paired runs: 4.1 times, 95 % interval 4.0 to 4.2). "
        "With features from the cache, Frozen trained 17.2 times as fast as Fine-tuned (timed once)."
    )


def test_an_interval_around_one_calls_nobody_faster(outcome):
    runs = [timed(outcome, "frozen", seed, 10.0) for seed in range(4)]
    runs += [timed(outcome, "finetuned", seed, seconds) for seed, seconds in enumerate((8.0, 9.0, 12.0, 14.0))]

    (pair,) = race_verdict(runs).pairs

    assert pair.speed.startswith("Neither ") and "was clearly faster" in pair.speed


@pytest.mark.parametrize("changed", [{"machine": "four cores"}, {"threads": 9}], ids=["machine", "threads"])
def test_times_from_elsewhere_are_not_compared(outcome, changed):
    runs = [timed(outcome, "frozen", 0, 10.0, **changed), timed(outcome, "finetuned", 0, 40.0)]

    (pair,) = race_verdict(runs).pairs

    assert (pair.cold, pair.warm, pair.speed) == (None, None, "")
