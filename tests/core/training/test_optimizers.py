"""Optimiser and schedule."""

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from core.settings import DEFAULT_RATES, OptimSettings
from core.training.optimizers import SCHEDULES, STEP_FACTOR, WARM_UP, build_optimizer, build_schedule


def build(name: str = "adamw", head: bool = True, backbone: bool = True, **values: float) -> torch.optim.Optimizer:
    parts = [list(nn.Linear(2, 2).parameters()) if wanted else [] for wanted in (head, backbone)]
    values = {"lr": 0.1, "backbone_lr": 0.01, "momentum": 0.9, "weight_decay": 0.02, **values}
    return build_optimizer(name, *parts, **values)


@pytest.mark.parametrize(("name", "kind"), [("adamw", AdamW), ("sgd", SGD)])
def test_head_and_backbone_have_rates_of_their_own(name: str, kind: type):
    optimizer = build(name)

    assert type(optimizer) is kind
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01]
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.02}


def test_a_part_that_does_not_train_has_no_group():
    assert [group["lr"] for group in build(backbone=False).param_groups] == [0.1]


def test_momentum_is_for_sgd():
    assert build("sgd", momentum=0.5).param_groups[0]["momentum"] == 0.5


def test_every_choice_of_the_settings_exists():
    choices = {spec: OptimSettings.__dataclass_fields__[spec].metadata["choices"] for spec in ("schedule", "optimizer")}

    assert set(choices["schedule"]) == set(SCHEDULES)
    assert set(choices["optimizer"]) == set(DEFAULT_RATES)


def rates(name: str, steps: int) -> list[float]:
    """The head's rate at every step of a run, and after the last one."""
    optimizer = build(lr=1.0, backbone_lr=0.1)
    schedule = build_schedule(name, optimizer, steps)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        assert optimizer.param_groups[1]["lr"] == pytest.approx(seen[-1] / 10)
        optimizer.step()
        schedule.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rate_stays_between_nothing_and_what_was_asked(name: str, steps: int):
    assert all(0 <= rate <= 1 for rate in rates(name, steps))
    assert rates(name, steps)[0] > 0


def test_one_cycle_rises_to_the_full_rate_and_falls_to_nothing():
    seen = rates("one-cycle", 100)
    peak = int(WARM_UP * 100)

    assert seen[0] == pytest.approx(0.04) and seen[peak] == 1.0 and seen[-1] == pytest.approx(0.0)
    assert seen[:peak] == sorted(seen[:peak]) and seen[peak:] == sorted(seen[peak:], reverse=True)


def test_one_cycle_is_torchs_own():
    """Torch counts to the last step, we to the step after it, so ours with 100 steps is theirs with 101."""
    optimizer = build(backbone=False)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=101, pct_start=26 / 101, div_factor=25, final_div_factor=1e9, cycle_momentum=False
    )
    expected = []
    for _ in range(101):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        if len(expected) < 101:
            theirs.step()

    assert rates("one-cycle", 100) == pytest.approx(expected, abs=1e-6)


def test_cosine_falls_from_the_full_rate_to_nothing():
    seen = rates("cosine", 50)

    assert seen[0] == 1.0 and seen[25] == pytest.approx(0.5) and seen[-1] == pytest.approx(0.0)
    assert seen == sorted(seen, reverse=True)


def test_step_drops_tenfold_at_half_and_three_quarters():
    assert rates("step", 8) == pytest.approx([1, 1, 1, 1, STEP_FACTOR, STEP_FACTOR, 0.01, 0.01, 0.01])


def test_constant_does_not_change():
    assert set(rates("constant", 9)) == {1.0}
