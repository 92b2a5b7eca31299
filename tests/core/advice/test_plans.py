"""What is trained for an answer: as deep, on as many pictures and with as many steps as it says."""

from dataclasses import replace

import pytest

from core.advice.plans import (
    FEWEST_EPOCHS,
    FEWEST_STEPS,
    depths_to_try,
    enough_steps,
    plan_check,
    plan_crossing,
    plan_later,
    plan_rates,
    plan_sweep,
    sizes_to_try,
    thawed,
    with_thawed,
)
from core.data.dataset import Dataset
from core.data.loaders import EpochBatches
from core.settings.schema import DataSettings, RunSettings


def test_a_depth_is_the_strategy_that_trains_so_many_stages():
    assert [thawed(with_thawed(RunSettings(), depth)) for depth in range(10)] == list(range(10))
    assert depths_to_try(RunSettings()) == (0, 1, 2, 3, 9)
    plans = plan_sweep(RunSettings(), [9, 0, 9], [4, 5])
    assert [(plan.seed, thawed(plan)) for plan in plans] == [(4, 0), (4, 9), (5, 0), (5, 9)]


def test_a_check_trains_what_was_advised_and_its_rivals_with_enough_steps():
    plans = plan_check(RunSettings(), 4, [0], pictures=20)

    assert [thawed(plan) for plan in plans] == [0, 2, 4, 9]
    assert {plan.optim.epochs for plan in plans} == {12}, "20 pictures are two batches of at most 16: 24 steps"


def test_fewer_pictures_get_more_epochs_and_many_the_fewest():
    for pictures in (10, 17, 20, 100, 195, 10_000):
        optim = enough_steps(RunSettings(), pictures).optim
        each = len(EpochBatches(pictures, optim.batch_size, 0, 1))
        assert optim.epochs * each >= FEWEST_STEPS > (optim.epochs - 1) * each or optim.epochs == FEWEST_EPOCHS
    assert enough_steps(RunSettings(), 10_000).optim.epochs == 2


def test_sizes_end_with_all_and_leave_room_between():
    assert [sizes_to_try(fewest) for fewest in (5, 40, 97)] == [(None,), (10, 20, None), (10, 40, None)]
    for fewest in (200, 1000):
        sizes = sizes_to_try(fewest)
        assert sizes[-1] is None and 2 <= len(sizes) <= 3 and max(sizes[:-1]) <= fewest / 1.5


def test_a_crossing_has_every_strategy_at_every_size():
    plans = plan_crossing(RunSettings(), (10, None), [0, 1], counts=[50, 40])

    assert len(plans) == len(set(plans)) == 16
    assert {plan.data.train_per_class for plan in plans} == {10, None}
    assert len({plan.model.scenario for plan in plans}) == 4


def test_one_rate_and_a_tenth_differ_in_nothing_else():
    tenth, one_rate = plan_rates(RunSettings(), [0])

    assert (
        tenth.rates[1] == pytest.approx(tenth.rates[0] / 10)
        and one_rate.rates[1] == one_rate.rates[0] == tenth.rates[0]
    )
    assert replace(one_rate, optim=tenth.optim) == tenth


def test_from_scratch_gets_ten_times_as_long():
    head, short, long = plan_later(RunSettings(), 50)

    assert thawed(head) == 0
    assert (short.optim.epochs, long.optim.epochs) == (5, 50) and long.model.start == "none"


def test_few_pictures_of_each_class_are_among_more_and_validation_and_test_stay(tiny_dataset: Dataset):
    whole, three, two = (tiny_dataset.split(1, DataSettings(train_per_class=most)) for most in (None, 3, 2))

    assert set(two.train) < set(three.train) < set(whole.train)
    assert (two.val, two.test) == (whole.val, whole.test) and two.hash != whole.hash
    assert set(tiny_dataset.counts(three)["train"].values()) == {3}
