"""What a study is said to take beforehand: the work of all its runs, each part of it once."""

import pytest

from core.advice.plans import plan_sweep
from core.runs.studies import SHIFT_S, estimate_study
from core.settings.schema import RunSettings
from core.training.plan import LOOK_HEAD_S, estimate_look


def seconds(kind, plans, dataset) -> float:
    found = estimate_study(kind, plans, dataset)
    assert found is not None
    return found.seconds


def test_a_sweep_also_looks_at_shifted_test_pictures(tiny_dataset):
    plans = plan_sweep(RunSettings(), [0, 9], [0])
    tested = len(tiny_dataset.split(0).test)

    more = seconds("sweep", plans, tiny_dataset) - seconds("check", plans, tiny_dataset)

    assert more == pytest.approx(2 * 5 * tested * (SHIFT_S + 1 / 50))  # 50 pictures a second, as the tests' machine has


@pytest.mark.parametrize(("depth", "times"), [(0, 1), (9, 3)])
def test_what_frozen_stages_say_of_shifted_pictures_is_counted_once(tiny_dataset, depth: int, times: int):
    one, three = (plan_sweep(RunSettings(), [depth], seeds) for seeds in ([0], [0, 1, 2]))

    alone, together = (
        seconds("sweep", plans, tiny_dataset) - seconds("check", plans, tiny_dataset) for plans in (one, three)
    )

    assert together == pytest.approx(times * alone)


def test_features_that_several_runs_need_are_counted_once(tiny_dataset):
    one, three = (plan_sweep(RunSettings(), [0], seeds) for seeds in ([0], [0, 0, 0]))

    alone = seconds("check", one, tiny_dataset)

    assert seconds("check", three, tiny_dataset) < 3 * alone


def test_a_look_takes_one_pass_and_heads_for_every_stage():
    few, many = (estimate_look(RunSettings(), pictures) for pictures in (100, 300))
    assert few is not None and many is not None

    assert many.seconds - few.seconds == pytest.approx(200 / 50, rel=0.1)
    assert few.seconds > 9 * LOOK_HEAD_S
