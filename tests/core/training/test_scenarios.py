"""Every way of training, on EfficientNet-Lite0 and drawn pictures: what changed, what was done, what came out."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import drawn, drawn_classes, home_at, write_files
from trainings import SMALL, Done, numbers, run, settings, sizes

from core.augment.pipelines import normalise
from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.data.loaders import EpochBatches
from core.models.build import build_model
from core.models.freezing import state_hashes
from core.settings.scenarios import SCENARIOS
from core.training.history import Cancelled, EpochRecord
from core.training.plan import plan_run
from core.training.scenarios import build_run_loaders, train_run

CASES = {
    **{scenario: settings(scenario, **SMALL) for scenario in SCENARIOS},
    "frozen": settings("frozen"),
    "scratch": settings("scratch"),
    "last-stages, cached": settings("last-stages", epochs=3),  # more epochs than views
    "frozen, bf16": settings("frozen", precision="bf16"),
    "small, bf16": settings("finetuned", **SMALL, precision="bf16"),
    "small, averaged": settings("finetuned", **SMALL, ema=0.5),
    "small, decayed": settings("finetuned", **SMALL, stage_decay=0.1),
}
SOLVED = ("frozen", "frozen, bf16")
"""Cases that are a solved head and nothing else."""
each_case = pytest.mark.parametrize("case", CASES)


class Runs(dict[str, Done]):
    """The cases, each trained when first asked for, in a home of its own: nothing comes from a cache."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        super().__init__()
        self._dataset, self._folder = dataset, folder

    def __missing__(self, case: str) -> Done:
        with home_at(self._folder / case):
            self[case] = run(self._dataset, CASES[case])
        return self[case]

    def lend_cache(self, case: str, home: Path) -> None:
        """Put the features that a case left behind into another home."""
        assert self[case].settings == CASES[case]  # trained by now
        shutil.copytree(self._folder / case / "cache", home / "cache")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Runs:
    return Runs(dataset, tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="module")
def start() -> dict[str, str]:
    """The pretrained backbone's tensors, by hash."""
    return state_hashes(build_model("efficientnet_lite0", 3, start="imagenet", seed=0).backbone)


@pytest.mark.parametrize("case", SOLVED)
def test_frozen_leaves_every_parameter_and_buffer_of_the_backbone_as_it_was(
    case: str, done: Runs, start: dict[str, str]
):
    trained = done[case].trained

    assert state_hashes(trained.model.backbone) == start
    assert trained.audit.bit_identical and trained.audit.checked == len(start)


@pytest.mark.parametrize("case", ["last-stages", "last-stages, cached"])
def test_last_stages_leaves_the_earlier_stages_as_they_were_and_changes_the_last(
    case: str, done: Runs, start: dict[str, str]
):
    trained = done[case].trained
    now = state_hashes(trained.model.backbone)
    changed = {name for name in now if now[name] != start[name]}

    assert trained.audit.bit_identical and 0 < trained.audit.checked < len(start)
    assert {name.split(".")[0] for name in changed} == {"blocks", "conv_head", "bn2"}
    assert {name.split(".")[1] for name in changed if name.startswith("blocks.")} == {"6"}


@pytest.mark.parametrize("case", ["finetuned", "probe-then-finetune", "small, averaged"])
def test_everything_trains_but_pretrained_statistics_are_kept(case: str, done: Runs, start: dict[str, str]):
    trained = done[case].trained
    now = state_hashes(trained.model.backbone)
    parameters = [name for name, _ in trained.model.backbone.named_parameters()]

    # where nothing beat the probe, its state is the one that is left
    moved = case != "probe-then-finetune" or trained.best.epoch > 1
    assert [now[name] != start[name] for name in parameters] == [moved] * len(parameters)
    steps = len(EpochBatches(len(trained.split.train), 5, seed=0, epoch=1))
    assert trained.watch.work["optimizer_steps"] == steps > 1
    assert all(now[name] == start[name] for name in start if name not in parameters)
    assert trained.parameters.trained == trained.parameters.total
    assert not trained.audit.bit_identical


def test_from_scratch_starts_from_nothing_and_moves_its_statistics(done: Runs):
    model = done["scratch"].trained.model
    fresh = state_hashes(build_model("efficientnet_lite0", 3, start="none", seed=0).backbone)
    now = state_hashes(model.backbone)

    assert model.weights_sha256 is None
    assert all(now[name] != fresh[name] for name in fresh if name.endswith("running_mean"))


@each_case
def test_work_is_exactly_what_was_planned(case: str, done: Runs):
    here = done[case]
    plan, work = plan_run(here.settings, *sizes(here)), here.trained.watch.work

    assert work.get("pictures_forward", 0) == plan.feature_pictures + plan.eval_pictures
    assert work.get("pictures_trained", 0) == plan.train_pictures
    assert plan.caches_boundary == (case == "last-stages, cached")
    assert ("head_iterations" in work) == plan.head


@each_case
def test_progress_only_grows_and_ends_at_the_whole(case: str, done: Runs):
    fractions = [step.fraction for step in done[case].progress]

    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0 and fractions[-1] == pytest.approx(1.0)
    assert all(0 <= step.done <= step.total for step in done[case].progress)


@each_case
def test_every_epoch_is_recorded_and_reported(case: str, done: Runs):
    here = done[case]
    trained, probes = here.trained, int(case == "probe-then-finetune")
    epochs = trained.watch.work["head_iterations"] + 1 if case in SOLVED else here.settings.optim.epochs

    assert tuple(here.epochs) == trained.history
    expected = ["probe"] * probes + ["train"] * epochs
    assert [(row.epoch, row.stage) for row in here.epochs] == list(enumerate(expected, start=1))
    best = here.epochs[-1] if case in SOLVED else min(here.epochs, key=lambda row: row.val_loss)
    assert (trained.best.epoch, trained.best.val_loss) == (best.epoch, best.val_loss)


@each_case
def test_what_is_watched_are_the_answers_of_each_epoch_on_validation_pictures(case: str, done: Runs):
    here, best = done[case], done[case].trained.best
    split, said = here.trained.split, best.val_probabilities
    (shown,) = [one for one in here.watched if one.epoch == best.epoch]
    rows = said[[split.val.index(index) for index in shown.pictures]]

    assert [epoch.epoch for epoch in here.epochs if epoch.lr is not None] == [
        one.epoch for one in here.watched if here.epochs[one.epoch - 1].lr is not None
    ]
    assert [guess for guess, _ in shown.said] == rows.argmax(1).tolist()
    assert [sure for _, sure in shown.said] == pytest.approx(rows.max(1).values.tolist(), abs=1e-4)


@each_case
def test_there_is_no_rate_where_the_head_is_solved_for(case: str, done: Runs):
    here = done[case]

    for row in here.epochs:
        assert (row.lr is None) == (case in SOLVED or row.stage == "probe")
    assert (here.trained.head is not None) == (case in SOLVED or case == "probe-then-finetune")


def test_the_penalty_is_the_one_that_did_best_on_held_out_training_pictures(done: Runs):
    head = done["frozen"].trained.head

    assert head is not None and len(head.path) > 1
    assert head.l2 == min(head.path, key=lambda step: step[1])[0]
    assert torch.equal(head.weight, done["frozen"].trained.model.head.weight)


@each_case
def test_probabilities_are_of_the_test_pictures_in_their_order(case: str, done: Runs, dataset: Dataset):
    trained = done[case].trained
    targets = np.array([dataset.pictures[index].target for index in trained.split.test])
    probabilities = trained.test.probabilities.numpy()

    assert probabilities.shape == (len(targets), 3)
    assert np.abs(probabilities.sum(1) - 1).max() < 1e-6
    assert trained.test.accuracy == pytest.approx((probabilities.argmax(1) == targets).mean())


@each_case
def test_the_model_that_is_left_gives_the_stored_numbers_in_float32(case: str, done: Runs, dataset: Dataset):
    here = done[case]
    loaders, model = build_run_loaders(here.settings, dataset), here.trained.model.eval()
    with torch.no_grad():
        logits = [model(normalise(images, here.trained.preprocessing)) for images, _, _ in loaders.evaluation("test")]

    assert torch.allclose(torch.cat(logits).softmax(1), here.trained.test.probabilities, atol=1e-5)


def test_scenarios_of_one_seed_share_split_and_head(done: Runs):
    assert len({done[case].trained.split.hash for case in CASES}) == 1
    assert len({done[case].trained.head_hash for case in CASES}) == 1


@pytest.mark.parametrize("case", [*SOLVED, "probe-then-finetune"])
def test_pretrained_pictures_so_clearly_different_are_told_apart(case: str, done: Runs):
    assert done[case].trained.test.accuracy > 0.8


@pytest.mark.parametrize("l2", [None, 0.5], ids=["the same", "another penalty"])
def test_a_second_frozen_run_sends_nothing_through_the_network(
    l2: float | None, done: Runs, dataset: Dataset, thaw_home: Path
):
    first = done["frozen"]
    done.lend_cache("frozen", thaw_home)

    again = run(dataset, settings("frozen", epochs=9, l2=l2))

    assert "pictures_forward" not in again.trained.watch.work
    assert again.trained.watch.work["features_from_cache"] == 2 * len(first.trained.split.train) + sum(sizes(first)[1:])
    assert (numbers(again) == numbers(first)) == (l2 is None)
    assert again.progress[-1].fraction == pytest.approx(1.0)
    if l2 is None:
        assert torch.equal(again.trained.test.probabilities, first.trained.test.probabilities)


def test_another_seed_computes_only_what_it_has_not_seen(done: Runs, dataset: Dataset, thaw_home: Path):
    first = done["frozen"].trained
    done.lend_cache("frozen", thaw_home)

    other = run(dataset, settings("frozen", seed=1)).trained

    assert other.split.hash != first.split.hash and other.head_hash != first.head_hash
    # plain, every picture was seen, in whatever part; augmented, those of the first run's train
    assert other.watch.work["pictures_forward"] == len(set(other.split.train) - set(first.split.train))


def test_other_scenarios_use_the_same_features(done: Runs, dataset: Dataset, thaw_home: Path):
    done.lend_cache("frozen", thaw_home)

    here = run(dataset, settings("probe-then-finetune", **SMALL))

    split = here.trained.split
    assert here.trained.watch.work["pictures_forward"] == len(split.val) + len(split.test)  # by the whole network
    assert here.epochs[0].val_loss == done["frozen"].trained.best.val_loss
    assert here.progress[-1].fraction == pytest.approx(1.0)


def test_a_random_backbone_shares_no_features_with_another_one(done: Runs, dataset: Dataset, thaw_home: Path):
    done.lend_cache("frozen", thaw_home)
    here = run(dataset, settings("frozen", weights="none", views=1))
    again = run(dataset, settings("frozen", weights="none", views=1, seed=1))

    assert here.trained.watch.work["pictures_forward"] == again.trained.watch.work["pictures_forward"] == 15


def test_views_that_do_not_vary_are_computed_once(dataset: Dataset):
    plain = run(dataset, settings("frozen", preset="none", views=4))

    assert plain.trained.watch.work["pictures_forward"] == sum(sizes(plain))


def test_exact_copies_are_computed_once_and_progress_still_ends_at_the_whole(tmp_path: Path):
    files = {f"{kind}/{n}.png": drawn(kind, n % 6) for kind in ("discs", "stripes") for n in range(10)}
    dataset = ingest(write_files(tmp_path / "copies", files)).dataset

    here = run(dataset, settings("frozen", views=1, l2=0.5))

    assert here.trained.watch.work["pictures_forward"] <= 12 < sum(sizes(here))
    assert here.progress[-1].fraction == pytest.approx(1.0)


@pytest.mark.parametrize("count", [3, 4])
def test_a_head_is_solved_for_on_as_few_pictures_as_a_data_set_may_have(tmp_path: Path, count: int):
    dataset = ingest(write_files(tmp_path / "few", drawn_classes(count))).dataset

    here = run(dataset, settings("frozen", views=1))

    assert sizes(here) == [3 * (count - 2), 3, 3]
    assert here.trained.head is not None and here.epochs[-1].train_accuracy == 1.0


def test_val_has_no_say_in_the_solved_head(done: Runs, dataset: Dataset, thaw_home: Path):
    done.lend_cache("frozen", thaw_home)
    split = done["frozen"].trained.split
    given = {index: part for part in ("train", "val", "test") for index in split.part(part)}
    pictures = [replace(picture, given=given[index]) for index, picture in enumerate(dataset.pictures)]
    for index in split.val:
        pictures[index] = replace(pictures[index], target=(pictures[index].target + 1) % 3)

    twisted = run(replace(dataset, pictures=tuple(pictures)), settings("frozen")).trained

    assert twisted.split.hash == split.hash
    assert twisted.best.val_accuracy < done["frozen"].trained.best.val_accuracy
    assert state_hashes(twisted.model) == state_hashes(done["frozen"].trained.model)


def test_a_probe_that_nothing_beats_is_what_is_left(done: Runs, dataset: Dataset, thaw_home: Path, start: dict):
    done.lend_cache("frozen", thaw_home)

    here = run(dataset, settings("probe-then-finetune", **SMALL, lr=1.0, backbone_lr=0.1))

    trained = here.trained
    assert [row.stage for row in here.epochs] == ["probe", "train"]
    assert here.epochs[1].val_loss > here.epochs[0].val_loss == trained.best.val_loss and trained.best.epoch == 1
    assert state_hashes(trained.model.backbone) == start
    assert trained.head is not None and torch.equal(trained.model.head.weight, trained.head.weight)


def test_the_cache_changes_no_number_of_a_run_that_sees_what_is_tested_on(dataset: Dataset):
    common = {"preset": "centre-crop", "epochs": 2, "last_stages": 1}
    cached = run(dataset, settings("last-stages", **common))
    through = run(dataset, settings("last-stages", **common, train_size=224))  # said aloud, it is not cached

    assert "features_from_cache" in cached.trained.watch.work
    assert "features_from_cache" not in through.trained.watch.work
    for one, other in zip(numbers(cached), numbers(through), strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert torch.allclose(cached.trained.test.probabilities, through.trained.test.probabilities, atol=1e-3)


def test_a_second_run_of_last_stages_takes_what_frozen_stages_say_from_the_cache(
    done: Runs, dataset: Dataset, thaw_home: Path
):
    done.lend_cache("last-stages, cached", thaw_home)

    again = run(dataset, CASES["last-stages, cached"])

    assert again.trained.watch.work["pictures_forward"] == len(again.trained.split.test)
    assert numbers(again) == numbers(done["last-stages, cached"])


def test_smaller_squares_are_for_training_only(dataset: Dataset):
    loaders = build_run_loaders(settings("finetuned", train_size=96), dataset)
    some = loaders.split.train[:3]
    batches = {"train": loaders.train(1), "view": loaders.view(1, some), "plain": loaders.view(0, some)}
    batches |= {part: loaders.evaluation(part) for part in ("val", "test")}

    sides = {name: {tuple(images.shape[1:]) for images, _, _ in found} for name, found in batches.items()}

    full = {(3, 224, 224)}
    assert sides == {"train": {(3, 96, 96)}, "view": full, "plain": full, "val": full, "test": full}


def test_averaged_weights_are_other_weights_of_the_same_steps(done: Runs):
    plain, averaged = done["finetuned"], done["small, averaged"]

    assert averaged.epochs[0].train_loss == plain.epochs[0].train_loss
    assert averaged.epochs[0].val_loss != plain.epochs[0].val_loss
    assert not torch.equal(averaged.trained.model.head.weight, plain.trained.model.head.weight)


def test_earlier_stages_move_less_where_their_rate_decays(done: Runs):
    begun = build_model("efficientnet_lite0", 3, start="imagenet", seed=0).backbone.state_dict()

    def moved(case: str, name: str) -> float:
        return float((done[case].trained.model.backbone.state_dict()[name] - begun[name]).abs().mean())

    assert moved("small, decayed", "conv_stem.weight") < 1e-3 * moved("finetuned", "conv_stem.weight")
    assert moved("small, decayed", "conv_head.weight") > 0.5 * moved("finetuned", "conv_head.weight")


def test_another_precision_is_near_but_not_the_same(done: Runs):
    exact, rough = done["finetuned"].epochs[-1].train_loss, done["small, bf16"].epochs[-1].train_loss
    assert exact != rough and rough == pytest.approx(exact, rel=0.2)
    # a solved head has next to no loss here, and how little depends on the penalty that is chosen
    difference = done["frozen"].trained.test.probabilities - done["frozen, bf16"].trained.test.probabilities
    assert 0 < difference.abs().max() < 0.05
    compute = done["small, bf16"].trained.compute
    assert (compute.features, compute.train) == ("bf16", "bf16")
    assert (done["finetuned"].trained.compute.features, done["finetuned"].trained.compute.train) == ("fp32", "fp32")


@pytest.mark.parametrize("case", ["small, averaged", pytest.param("small, bf16", marks=pytest.mark.slow)])
def test_equal_settings_give_an_equal_history_whatever_was_drawn_before(case: str, done: Runs, dataset: Dataset):
    expected = done[case]
    torch.manual_seed(12345)
    torch.rand(100)
    np.random.rand(100)

    again = run(dataset, CASES[case])

    assert numbers(again) == numbers(expected)
    assert torch.equal(again.trained.test.probabilities, expected.trained.test.probabilities)
    assert state_hashes(again.trained.model) == state_hashes(expected.trained.model)


def test_a_stop_ends_a_run_between_two_solutions(done: Runs, dataset: Dataset, thaw_home: Path):
    done.lend_cache("frozen", thaw_home)
    epochs: list[EpochRecord] = []
    asked = iter([False] * 3)

    with pytest.raises(Cancelled):
        train_run(settings("frozen"), dataset, on_epoch=epochs.append, should_stop=lambda: next(asked, True))
    assert epochs == []


@pytest.mark.parametrize(
    ("case", "phases"),
    [
        ("frozen", {"features", "train", "test"}),
        ("scratch", {"train", "val", "test"}),
        ("last-stages", {"train", "val", "test"}),
        ("last-stages, cached", {"features", "train", "val", "test"}),
        ("probe-then-finetune", {"features", "train", "val", "test"}),
    ],
)
def test_seconds_go_to_their_phases(case: str, phases: set[str], done: Runs):
    assert set(done[case].trained.watch.seconds) == phases


def test_a_run_says_what_it_was_computed_on(done: Runs):
    found = done["frozen"].trained
    assert found.device.kind == found.compute.device == "cpu" and found.device.name
    assert found.model.head.weight.device.type == "cpu"
