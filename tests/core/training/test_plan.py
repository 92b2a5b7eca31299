"""How much work a run is, and how long that takes here."""

from pathlib import Path

import pytest

from core.machine.speeds import Speeds, load_speeds, save_speeds
from core.models.catalogue import BACKBONES
from core.models.splitting import stage_costs
from core.settings.scenarios import SCENARIOS
from core.settings.schema import AugmentSettings, ModelSettings, OptimSettings, RunSettings
from core.training.plan import (
    BOUNDARY_BYTES,
    HEAD_S,
    OVERHEAD_S,
    TRAIN_COST,
    VIEW_S,
    Plan,
    estimate,
    plan_run,
    views_of,
)

SIZES = (100, 20, 50)
LITE0 = "efficientnet_lite0"
PROBED = {
    "forward/fp32": 10.0,
    "forward/bf16": 8.0,
    "train-kept/fp32": 2.0,
    "train-kept/bf16": 4.0,
    "train-adapted/fp32": 1.0,
    "train-adapted/bf16": 0.5,
}
"""Pictures per second: bf16 pays for steps that keep statistics, and for nothing else."""


def settings(scenario: str, epochs: int = 3, preset: str = "gentle", **changes: object) -> RunSettings:
    """Settings with changed fields of the model or the optimiser, each of which only one of the two has."""
    model = {name: changes.pop(name) for name in ("last_stages", "backbone") if name in changes}
    return RunSettings(
        model=ModelSettings(scenario=scenario, **model),
        augment=AugmentSettings(preset=preset),
        optim=OptimSettings(epochs=epochs, **changes),
    )


def counts(plan: Plan) -> tuple[int, int, int]:
    return plan.feature_pictures, plan.train_pictures, plan.eval_pictures


def test_a_frozen_run_sees_every_training_picture_once_per_view_however_many_epochs():
    for epochs in (1, 50):
        plan = plan_run(settings("frozen", epochs), *SIZES)

        assert counts(plan) == (2 * 100, 0, 20 + 50)
        assert plan.head and plan.units == 270


@pytest.mark.parametrize("scenario", ["last-stages", "finetuned", "scratch"])
def test_a_run_that_trains_pictures_sees_each_in_every_epoch(scenario: str):
    plan = plan_run(settings(scenario, epochs=2), *SIZES)

    assert counts(plan) == (0, 200, 2 * 20 + 50)
    assert not plan.head and not plan.caches_boundary


def test_probe_then_finetune_is_both():
    plan = plan_run(settings("probe-then-finetune"), *SIZES)

    assert counts(plan) == (200, 300, 20 + 3 * 20 + 50)
    assert plan.head and plan.trained_share == 1.0


def test_one_view_is_enough_where_nothing_varies():
    assert views_of(RunSettings(augment=AugmentSettings(preset="centre-crop"))) == (0,)
    assert views_of(RunSettings(augment=AugmentSettings(preset="none"))) == (1,)
    assert views_of(RunSettings(augment=AugmentSettings(preset="gentle"))) == (0, 1)


def test_frozen_stages_are_cached_where_there_are_more_epochs_than_views():
    plan = plan_run(settings("last-stages", epochs=3), *SIZES)

    assert plan.caches_boundary
    assert counts(plan) == (2 * 100, 300, 20 + 50)
    assert plan.forward_share == plan.trained_share == pytest.approx(stage_costs(LITE0)[-1])


@pytest.mark.parametrize(
    ("plan", "sizes"),
    [
        (settings("last-stages", epochs=2), SIZES),
        (settings("last-stages", epochs=8, views=8), SIZES),
        (settings("last-stages", epochs=9, train_size=96), SIZES),
        (settings("last-stages", epochs=9, last_stages=9), SIZES),
        (settings("last-stages", epochs=9), (BOUNDARY_BYTES // 31360 // 2, 1, 1)),  # 4 x 7 x 7 numbers each
        (settings("finetuned", epochs=9), SIZES),
    ],
    ids=["few epochs", "many views", "other size", "nothing frozen", "too large", "finetuned"],
)
def test_frozen_stages_are_not_cached_where_that_saves_nothing_or_does_not_fit(plan: RunSettings, sizes: tuple):
    found = plan_run(plan, *sizes)

    assert not found.caches_boundary
    assert found.feature_pictures == 0 and found.forward_share == 1.0


def test_frozen_stages_are_cached_up_to_what_fits():
    most = BOUNDARY_BYTES // 31360  # float16 activations of Lite0 before its last stage
    plan = settings("last-stages", epochs=9, views=1)

    assert plan_run(plan, most - 2, 1, 1).caches_boundary
    assert not plan_run(plan, most - 1, 1, 1).caches_boundary


def test_where_nothing_varies_one_view_of_the_frozen_stages_is_cached():
    plan = plan_run(settings("last-stages", epochs=2, preset="none"), *SIZES)

    assert plan.caches_boundary and counts(plan) == (100, 200, 70)


@pytest.mark.parametrize("stages", [1, 4, 8])
def test_caching_is_never_planned_as_more_work_than_going_through_all(stages: int):
    cached = plan_run(settings("last-stages", last_stages=stages), *SIZES)
    through = plan_run(settings("last-stages", last_stages=stages, train_size=224), *SIZES)

    assert cached.caches_boundary and not through.caches_boundary
    assert cached.units < through.units


def test_more_stages_and_more_epochs_are_more_work():
    by_stages = [plan_run(settings("last-stages", 2, last_stages=k), *SIZES).units for k in range(1, 10)]
    by_epochs = [plan_run(settings("finetuned", epochs), *SIZES).units for epochs in (1, 2, 5)]

    assert by_stages == sorted(set(by_stages)) and by_epochs == sorted(set(by_epochs))
    assert by_stages[-1] == pytest.approx(plan_run(settings("finetuned", 2), *SIZES).units)


def test_smaller_squares_are_less_work_by_their_pixels():
    full, half = (plan_run(settings("finetuned", train_size=side), *SIZES) for side in (None, 112))

    assert full.step_cost == TRAIN_COST and half.step_cost == TRAIN_COST / 4
    assert half.eval_pictures == full.eval_pictures
    assert half.units == 300 * TRAIN_COST / 4 + 110


def test_looks_frozen_goes_forward_in_every_epoch_and_never_back():
    plan = plan_run(settings("looks-frozen"), *SIZES)

    assert (plan.train_pictures, plan.feature_pictures, plan.step_cost) == (300, 0, 1.0)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_a_plan(scenario: str):
    assert plan_run(settings(scenario), *SIZES).units > 0


@pytest.fixture
def unmeasured(thaw_home: Path) -> None:
    """A machine on which nothing was ever timed."""
    (thaw_home / "speeds.json").unlink()


@pytest.fixture
def measured(unmeasured: None) -> None:
    """Lite0 was timed, and nothing else."""
    save_speeds(LITE0, Speeds(threads=1, probed=PROBED))


def seconds(plan: RunSettings) -> float:
    found = estimate(plan_run(plan, *SIZES), plan)
    assert found is not None and found.measured
    return found.seconds - OVERHEAD_S


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("backbone", BACKBONES)
def test_nothing_is_estimated_before_anything_was_measured(backbone: str):
    plan = settings("finetuned", backbone=backbone)

    assert estimate(plan_run(plan, *SIZES), plan) is None


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (settings("frozen"), HEAD_S + 200 * (1 / 10 + VIEW_S) + 70 / 10),
        (settings("finetuned"), 300 * (1 / 4 + VIEW_S) + 110 / 10),
        (settings("finetuned", precision="fp32"), 300 * (1 / 2 + VIEW_S) + 110 / 10),
        (settings("finetuned", train_size=112), 300 * (1 / 4 / 4 + VIEW_S) + 110 / 10),
        (settings("scratch"), 300 * (1 / 1 + VIEW_S) + 110 / 10),
        (settings("scratch", precision="bf16"), 300 * (1 / 0.5 + VIEW_S) + 110 / 10),
        (settings("frozen", precision="bf16"), HEAD_S + 200 * (1 / 8 + VIEW_S) + 70 / 10),
        (
            settings("probe-then-finetune"),
            HEAD_S + 200 * (1 / 10 + VIEW_S) + 300 * (1 / 4 + VIEW_S) + (20 + 60 + 50) / 10,
        ),
    ],
    ids=["frozen", "finetuned", "fp32", "small", "scratch", "scratch bf16", "frozen bf16", "probe"],
)
def test_an_estimate_follows_from_measured_speeds(plan: RunSettings, expected: float):
    assert seconds(plan) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("plan", "slower"),
    [
        (settings("frozen"), 0.0),
        (settings("finetuned"), 0.0),
        (settings("looks-frozen"), 3 * 100 * (1 / 8 - 1 / 20)),
        (settings("last-stages", epochs=9), 2 * 100 * (1 / 8 - 1 / 20)),
    ],
    ids=["frozen", "finetuned", "looks-frozen", "last-stages"],
)
def test_what_only_torch_computes_is_estimated_at_its_pace(plan: RunSettings, slower: float):
    work, probed = plan_run(plan, *SIZES), {**PROBED, "forward/fp32": 20.0, "train-kept/bf16": 1.5}
    save_speeds(LITE0, Speeds(threads=1, probed=probed))
    before = estimate(work, plan)
    save_speeds(LITE0, Speeds(threads=1, probed=probed, engines={"torch": 8.0, "onnxruntime": 20.0}))
    after = estimate(work, plan)

    assert before is not None and after is not None
    assert after.seconds - before.seconds == pytest.approx(slower * work.feature_share)


@pytest.mark.usefixtures("measured")
def test_last_stages_go_back_through_their_share_only():
    share = stage_costs(LITE0)[-1]
    plan = settings("last-stages", epochs=2, precision="fp32")

    step = 1 / 10 + (1 / 2 - 1 / 10) * share
    assert seconds(plan) == pytest.approx(200 * (step + VIEW_S) + 90 / 10)


@pytest.mark.usefixtures("measured")
def test_what_a_run_saw_counts_more_than_what_was_probed():
    plan = settings("finetuned", precision="fp32")
    save_speeds(LITE0, Speeds(threads=1, probed=PROBED, seen={"train-kept/fp32": 1.5}))

    assert seconds(plan) == pytest.approx(300 * (1 / 1.5 + VIEW_S) + 110 / 10)


@pytest.mark.usefixtures("measured")
def test_another_backbone_is_scaled_by_its_operations_and_said_to_be_rough():
    plan = settings("finetuned", precision="fp32", backbone="resnet18")
    scale = BACKBONES["resnet18"].forward_gflop / BACKBONES[LITE0].forward_gflop

    found = estimate(plan_run(plan, *SIZES), plan)

    assert found is not None and not found.measured
    assert found.seconds == pytest.approx(OVERHEAD_S + 300 * (scale / 2 + VIEW_S) + scale * 110 / 10)
    assert load_speeds("resnet18") is None
