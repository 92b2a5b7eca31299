"""Optimiser and schedule."""

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from core.settings.scenarios import SCENARIOS
from core.settings.schema import OptimSettings
from core.training.optimizers import SCHEDULES, STEP_FACTOR, WARM_UP, build_optimizer, build_schedule


def parameters() -> list[nn.Parameter]:
    return list(nn.Linear(2, 2).parameters())


def build(name: str = "adamw", head: bool = True, stages: tuple[bool, ...] = (True,), **values: float) -> Optimizer:
    """`stages`: whether each trains."""
    parts = [parameters() if trains else [] for trains in stages]
    values = {"lr": 0.1, "backbone_lr": 0.01, "stage_decay": 1.0, "momentum": 0.9, "weight_decay": 0.02, **values}
    return build_optimizer(name, parameters() if head else [], parts, **values)


def group_rates(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize(("name", "kind"), [("adamw", AdamW), ("sgd", SGD)])
def test_head_and_backbone_have_rates_of_their_own(name: str, kind: type):
    optimizer = build(name)

    assert type(optimizer) is kind
    assert group_rates(optimizer) == [0.1, 0.01]
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.02}


def test_each_earlier_stage_has_a_share_of_the_next_ones_rate():
    head, stages = parameters(), [parameters() for _ in range(4)]
    optimizer = build_optimizer(
        "adamw", head, stages, lr=1.0, backbone_lr=0.1, stage_decay=0.5, momentum=0.9, weight_decay=0.0
    )
    rate_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}

    assert [rate_of[id(p)] for p in head] == [1.0, 1.0]
    for stage, expected in zip(stages, (0.0125, 0.025, 0.05, 0.1), strict=True):
        assert [rate_of[id(p)] for p in stage] == pytest.approx([expected] * 2)


def test_without_decay_all_stages_have_the_same_rate():
    assert group_rates(build(stages=(True, True, True))) == [0.1, 0.01, 0.01, 0.01]


@pytest.mark.parametrize(
    ("head", "stages", "expected"),
    [
        (True, (), [0.1]),
        (True, (False, False), [0.1]),
        (True, (False, True, True), [0.1, 0.01, 0.005]),
        (False, (True,), [0.01]),
    ],
    ids=["no stages", "all frozen", "the first one frozen", "no head"],
)
def test_a_part_that_does_not_train_has_no_group(head: bool, stages: tuple[bool, ...], expected: list[float]):
    assert group_rates(build(head=head, stages=stages, stage_decay=0.5)) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "plain"), [("adamw", AdamW), ("sgd", SGD)])
def test_fused_steps_are_those_of_the_plain_optimizer(name: str, plain: type):
    """As far as rounding goes."""
    ours, theirs = nn.Parameter(torch.linspace(-1, 1, 40)), nn.Parameter(torch.linspace(-1, 1, 40))
    values = {"lr": 0.1, "weight_decay": 0.02}
    optimizers = [
        build_optimizer(name, [ours], [], backbone_lr=0.0, stage_decay=1.0, momentum=0.9, **values),
        plain([theirs], **values, **({"momentum": 0.9} if name == "sgd" else {}), foreach=False),
    ]
    for _ in range(5):
        for optimizer, parameter in zip(optimizers, (ours, theirs), strict=True):
            optimizer.zero_grad()
            parameter.pow(4).sum().backward()
            optimizer.step()

    assert optimizers[0].defaults["fused"]
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_momentum_is_for_sgd():
    assert build("sgd", momentum=0.5).param_groups[0]["momentum"] == 0.5


def test_every_choice_of_the_settings_exists():
    choices = {spec: OptimSettings.__dataclass_fields__[spec].metadata["choices"] for spec in ("schedule", "optimizer")}

    assert set(choices["schedule"]) == set(SCHEDULES)
    assert all(set(choices["optimizer"]) == set(row.rates) for row in SCENARIOS.values())


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
    optimizer = build(stages=())
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
