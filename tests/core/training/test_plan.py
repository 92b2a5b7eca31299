"""How much work a run is, and how long that takes here."""

import pytest

from core.machine import save_rate
from core.models.catalogue import BACKBONES
from core.settings import SCENARIOS, AugmentSettings, ModelSettings, OptimSettings, RunSettings
from core.training.plan import OVERHEAD_S, Plan, estimate, plan_run, views_of

SIZES = (100, 20, 50)


def settings(scenario: str, epochs: int = 3, **model: object) -> RunSettings:
    return RunSettings(
        model=ModelSettings(scenario=scenario, **model), optim=OptimSettings(epochs=epochs, probe_epochs=4)
    )


def test_a_frozen_run_sees_every_picture_once_per_view_however_many_epochs():
    plans = [plan_run(settings("frozen", epochs), *SIZES) for epochs in (1, 50)]

    for plan in plans:
        assert (plan.feature_pictures, plan.train_pictures, plan.eval_pictures) == (2 * 100 + 20, 0, 50)


@pytest.mark.parametrize("scenario", ["last-stages", "finetuned", "scratch"])
def test_a_run_that_trains_sees_every_picture_in_every_epoch(scenario: str):
    plan = plan_run(settings(scenario), *SIZES)

    assert (plan.feature_pictures, plan.train_pictures, plan.eval_pictures) == (0, 300, 3 * 20 + 50)


def test_probe_then_finetune_is_both():
    plan = plan_run(settings("probe-then-finetune"), *SIZES)

    assert (plan.feature_pictures, plan.train_pictures, plan.eval_pictures) == (220, 300, 110)
    assert plan.head_epochs == 4


def test_one_view_is_enough_where_nothing_varies():
    assert views_of(RunSettings(augment=AugmentSettings(preset="none"))) == 1
    assert views_of(RunSettings(augment=AugmentSettings(preset="gentle"))) == OptimSettings().views


def test_more_stages_and_more_epochs_are_more_work():
    by_stages = [plan_run(settings("last-stages", last_stages=k), *SIZES).units for k in range(1, 10)]
    by_epochs = [plan_run(settings("finetuned", epochs), *SIZES).units for epochs in (1, 2, 5)]

    assert by_stages == sorted(set(by_stages)) and by_epochs == sorted(set(by_epochs))
    assert by_stages[-1] == plan_run(settings("finetuned"), *SIZES).units


def any_plan() -> Plan:
    return plan_run(settings("finetuned"), *SIZES)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_nothing_is_estimated_before_anything_was_measured(backbone: str):
    assert estimate(any_plan(), backbone) is None


def test_an_estimate_follows_from_measured_rates():
    save_rate("efficientnet_lite0", "features", 10.0)
    save_rate("efficientnet_lite0", "train", 2.0)

    found = estimate(any_plan(), "efficientnet_lite0")

    assert found is not None and found.measured
    assert found.seconds == pytest.approx(110 / 10 + 300 / 2 + OVERHEAD_S)


def test_a_frozen_run_is_estimated_by_the_forward_rate_alone():
    save_rate("efficientnet_lite0", "features", 10.0)
    save_rate("efficientnet_lite0", "train", 0.001)

    found = estimate(plan_run(settings("frozen"), *SIZES), "efficientnet_lite0")

    assert found is not None and found.seconds < 270 / 10 + OVERHEAD_S + 1


def test_another_backbone_is_scaled_by_its_operations_and_said_to_be_rough():
    save_rate("efficientnet_lite0", "features", 10.0)
    save_rate("efficientnet_lite0", "train", 2.0)
    known, other = (estimate(any_plan(), name) for name in ("efficientnet_lite0", "resnet18"))

    assert known is not None and other is not None and not other.measured
    scale = BACKBONES["resnet18"].forward_gflop / BACKBONES["efficientnet_lite0"].forward_gflop
    assert other.seconds - OVERHEAD_S == pytest.approx(scale * (known.seconds - OVERHEAD_S))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_a_plan(scenario: str):
    assert plan_run(settings(scenario), *SIZES).units > 0
