"""Every way of training, on EfficientNet-Lite0 and drawn pictures: what changed, what was done, what came out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import home_at

from core.augment.pipelines import normalise
from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.models.build import build_model
from core.models.freezing import state_hashes
from core.settings import SCENARIOS, AugmentSettings, ModelSettings, OptimSettings, RunSettings
from core.training.history import Cancelled, EpochRecord, Progress
from core.training.plan import plan_run
from core.training.scenarios import Trained, build_run_loaders, train_run


def settings(scenario: str = "frozen", seed: int = 0, preset: str = "gentle", **optim: object) -> RunSettings:
    return RunSettings(
        model=ModelSettings(scenario=scenario, last_stages=2),
        augment=AugmentSettings(preset=preset),
        optim=OptimSettings(**{"epochs": 1, "probe_epochs": 3, "batch_size": 8, **optim}),
        seed=seed,
    )


@dataclass
class Done:
    """A run and what it reported on the way."""

    settings: RunSettings
    trained: Trained
    progress: list[Progress]
    epochs: list[EpochRecord]


def run(dataset: Dataset, plan: RunSettings) -> Done:
    progress: list[Progress] = []
    epochs: list[EpochRecord] = []
    trained = train_run(plan, dataset, on_progress=progress.append, on_epoch=epochs.append)
    return Done(settings=plan, trained=trained, progress=progress, epochs=epochs)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Dataset]:
    with home_at(tmp_path_factory.mktemp("scenarios")):
        found = ingest(tiny_folder).dataset
        assert len(found.pixels) == 30  # mapped now, while the home is set
        yield found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> dict[str, Done]:
    """Every scenario once, with one seed; each in a home of its own, so that nothing comes from a cache."""
    found = {}
    for scenario in SCENARIOS:
        with home_at(tmp_path_factory.mktemp(scenario)):
            found[scenario] = run(dataset, settings(scenario))
    return found


@pytest.fixture(scope="module")
def start() -> dict[str, str]:
    """The pretrained backbone's tensors, by hash."""
    return state_hashes(build_model("efficientnet_lite0", 3, start="imagenet", seed=0).backbone)


def test_frozen_leaves_every_parameter_and_buffer_of_the_backbone_as_it_was(
    done: dict[str, Done], start: dict[str, str]
):
    trained = done["frozen"].trained

    assert state_hashes(trained.model.backbone) == start
    assert trained.audit.bit_identical and trained.audit.checked == len(start)


def test_last_stages_leaves_the_earlier_stages_as_they_were_and_changes_the_last(
    done: dict[str, Done], start: dict[str, str]
):
    trained = done["last-stages"].trained
    now = state_hashes(trained.model.backbone)
    changed = {name for name in now if now[name] != start[name]}

    assert trained.audit.bit_identical and 0 < trained.audit.checked < len(start)
    assert {name.split(".")[0] for name in changed} == {"blocks", "conv_head", "bn2"}
    assert {name.split(".")[1] for name in changed if name.startswith("blocks.")} == {"6"}


@pytest.mark.parametrize("scenario", ["finetuned", "probe-then-finetune"])
def test_everything_trains_but_pretrained_statistics_are_kept(
    scenario: str, done: dict[str, Done], start: dict[str, str]
):
    trained = done[scenario].trained
    now = state_hashes(trained.model.backbone)
    parameters = [name for name, _ in trained.model.backbone.named_parameters()]

    # where nothing beat the probe, its state is the one that is left
    moved = scenario == "finetuned" or trained.best.epoch > 3
    assert [now[name] != start[name] for name in parameters] == [moved] * len(parameters)
    assert trained.watch.work["optimizer_steps"] == 3
    assert all(now[name] == start[name] for name in start if name not in parameters)
    assert trained.parameters.trained == trained.parameters.total
    assert not trained.audit.bit_identical


def test_from_scratch_starts_from_nothing_and_moves_its_statistics(done: dict[str, Done]):
    model = done["scratch"].trained.model
    fresh = state_hashes(build_model("efficientnet_lite0", 3, start="none", seed=0).backbone)
    now = state_hashes(model.backbone)

    assert model.weights_sha256 is None
    assert all(now[name] != fresh[name] for name in fresh if name.endswith("running_mean"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_work_is_exactly_what_was_planned(scenario: str, done: dict[str, Done]):
    here = done[scenario]
    sizes = [len(here.trained.split.part(part)) for part in ("train", "val", "test")]
    plan, work = plan_run(here.settings, *sizes), here.trained.watch.work

    assert work.get("pictures_forward", 0) == plan.feature_pictures + plan.eval_pictures
    assert work.get("pictures_trained", 0) == plan.train_pictures


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_progress_only_grows_and_ends_at_the_whole(scenario: str, done: dict[str, Done]):
    fractions = [step.fraction for step in done[scenario].progress]

    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0 and fractions[-1] == pytest.approx(1.0)
    assert all(0 <= step.done <= step.total for step in done[scenario].progress)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_epoch_is_recorded_and_reported(scenario: str, done: dict[str, Done]):
    here = done[scenario]
    stages = ["probe"] * 3 + ["train"] if scenario == "probe-then-finetune" else ["train"]

    assert tuple(here.epochs) == here.trained.history
    assert [(row.epoch, row.stage) for row in here.epochs] == list(enumerate(stages, start=1))
    assert here.trained.best.val_loss == min(row.val_loss for row in here.epochs)
    assert here.trained.best.epoch == min(here.epochs, key=lambda row: row.val_loss).epoch


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_probabilities_are_of_the_test_pictures_in_their_order(scenario: str, done: dict[str, Done], dataset: Dataset):
    trained = done[scenario].trained
    targets = np.array([dataset.pictures[index].target for index in trained.split.test])
    probabilities = trained.test.probabilities.numpy()

    assert probabilities.shape == (len(targets), 3)
    assert np.abs(probabilities.sum(1) - 1).max() < 1e-6
    assert trained.test.accuracy == pytest.approx((probabilities.argmax(1) == targets).mean())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_model_that_is_left_gives_the_stored_numbers(scenario: str, done: dict[str, Done], dataset: Dataset):
    here = done[scenario]
    loaders, model = build_run_loaders(here.settings, dataset), here.trained.model.eval()
    with torch.no_grad():
        logits = [model(normalise(images, here.trained.preprocessing)) for images, _, _ in loaders.evaluation("test")]

    assert torch.allclose(torch.cat(logits).softmax(1), here.trained.test.probabilities, atol=1e-5)


def test_scenarios_of_one_seed_share_split_and_head(done: dict[str, Done]):
    assert len({here.trained.split.hash for here in done.values()}) == 1
    assert len({here.trained.head_hash for here in done.values()}) == 1


def test_pretrained_pictures_so_clearly_different_are_told_apart(done: dict[str, Done]):
    assert done["probe-then-finetune"].trained.test.accuracy > 0.8


def test_the_second_frozen_run_computes_no_features_and_is_the_same_if_its_settings_are(
    tiny_dataset: Dataset,
):
    first = run(tiny_dataset, settings("frozen", epochs=3))
    again = run(tiny_dataset, settings("frozen", epochs=3))
    faster = run(tiny_dataset, settings("frozen", epochs=3, lr=0.5))

    assert first.trained.watch.work["feature_sets_computed"] == 4  # two views of train, val, test
    for later in (again, faster):
        assert "pictures_forward" not in later.trained.watch.work
        assert later.trained.watch.work["feature_sets_from_cache"] == 4
    assert numbers(again) == numbers(first) != numbers(faster)
    assert torch.equal(again.trained.test.probabilities, first.trained.test.probabilities)


def numbers(here: Done) -> list[tuple[float, ...]]:
    """The history without its seconds."""
    return [(r.epoch, r.train_loss, r.train_accuracy, r.val_loss, r.val_accuracy, r.lr) for r in here.epochs]


def test_a_frozen_runs_forward_passes_do_not_grow_with_its_epochs(done: dict[str, Done], tiny_dataset: Dataset):
    long = run(tiny_dataset, settings("frozen", epochs=20))
    split = long.trained.split

    expected = 2 * len(split.train) + len(split.val) + len(split.test)
    assert long.trained.watch.work["pictures_forward"] == expected
    assert done["frozen"].trained.watch.work["pictures_forward"] == expected


def test_views_that_do_not_vary_are_computed_once(tiny_dataset: Dataset):
    plain = run(tiny_dataset, settings("frozen", preset="none", views=4))
    split = plain.trained.split

    assert plain.trained.watch.work["pictures_forward"] == len(split.train) + len(split.val) + len(split.test)


def test_another_seed_has_another_split_head_and_views(done: dict[str, Done], tiny_dataset: Dataset):
    other = run(tiny_dataset, settings("frozen", seed=1)).trained

    assert other.split.hash != done["frozen"].trained.split.hash
    assert other.head_hash != done["frozen"].trained.head_hash


def test_equal_settings_give_an_equal_history_whatever_was_drawn_before(done: dict[str, Done], tiny_dataset: Dataset):
    torch.manual_seed(12345)
    torch.rand(100)
    np.random.rand(100)

    again = run(tiny_dataset, settings("finetuned"))

    assert numbers(again) == numbers(done["finetuned"])
    assert torch.equal(again.trained.test.probabilities, done["finetuned"].trained.test.probabilities)
    assert state_hashes(again.trained.model) == state_hashes(done["finetuned"].trained.model)


@pytest.mark.parametrize("scenario", ["frozen", "finetuned"])
def test_a_stop_ends_a_run_before_its_next_batch(scenario: str, tiny_dataset: Dataset):
    steps: list[Progress] = []

    def started() -> bool:
        return any(step.phase in ("features", "train") for step in steps)

    with pytest.raises(Cancelled):
        train_run(settings(scenario, batch_size=4), tiny_dataset, on_progress=steps.append, should_stop=started)
    assert len([step for step in steps if step.phase != "build"]) == 1


def test_seconds_go_to_their_phases(done: dict[str, Done]):
    assert set(done["frozen"].trained.watch.seconds) == {"features", "train", "val", "test"}
    assert set(done["scratch"].trained.watch.seconds) == {"train", "val", "test"}
    assert set(done["probe-then-finetune"].trained.watch.seconds) == {"features", "train", "val", "test"}
