"""Planning a race, and queueing it only if every run can start."""

from itertools import pairwise

import pytest

from core.data.ingest import Ingested
from core.errors import DatasetError, SettingsError
from core.runs.race import MAX_RUNS, plan_race, submit
from core.runs.record import load_predictions
from core.runs.results import load_outcome
from core.runs.store import RunStore
from core.settings.scenarios import SCENARIOS
from core.settings.schema import AugmentSettings, DataSettings, ModelSettings, OptimSettings, RunSettings, differences


def test_a_race_goes_seed_by_seed_in_the_order_of_the_catalogue():
    plans = plan_race(RunSettings(), ["finetuned", "frozen"], [3, 1])

    assert [(plan.seed, plan.model.scenario) for plan in plans] == [
        (1, "frozen"),
        (1, "finetuned"),
        (3, "frozen"),
        (3, "finetuned"),
    ]


def test_runs_differ_in_scenario_and_seed_and_what_these_bring_along():
    base = RunSettings(
        data=DataSettings(val_fraction=0.3),
        augment=AugmentSettings(preset="strong"),
        model=ModelSettings(backbone="resnet18", last_stages=3),
        optim=OptimSettings(epochs=9, batch_size=4),
        seed=99,
    )
    plans = plan_race(base, SCENARIOS, [0])

    for a, b in pairwise(plans):
        changed = {name for name, _, _ in differences(a, b)}
        assert "model.scenario" in changed
        assert changed <= {"model.scenario", "model.weights", "model.batchnorm", "optim.lr", "optim.backbone_lr"}
    assert all(plan.optim == base.optim and plan.data == base.data and plan.augment == base.augment for plan in plans)


def test_a_base_that_fits_only_some_scenarios_is_adjusted_for_the_others():
    base = RunSettings(model=ModelSettings(scenario="finetuned", weights="imagenet", batchnorm="adapted"))
    frozen, tuned, scratch = (plan.model for plan in plan_race(base, ["frozen", "finetuned", "scratch"], [0]))

    assert (frozen.start, frozen.statistics) == ("imagenet", "kept")
    assert (tuned.start, tuned.statistics) == ("imagenet", "adapted")
    assert (scratch.start, scratch.statistics) == ("none", "adapted")


def test_naming_a_scenario_or_seed_twice_runs_it_once():
    assert len(plan_race(RunSettings(), ["frozen", "frozen"], [1, 1])) == 1


@pytest.mark.parametrize(
    ("scenarios", "seeds", "message"),
    [
        (["frozen", "thawed"], [0], "no scenario 'thawed'; choose from: frozen, last-stages"),
        ([], [0], "at least one scenario and one seed"),
        (["frozen"], [], "at least one scenario and one seed"),
        (SCENARIOS, range(20), rf"6 scenarios x 20 seeds are more than {MAX_RUNS} runs"),
        (["frozen"], [-1], "seed is -1"),
    ],
)
def test_a_race_that_makes_no_sense_is_refused(scenarios: list[str], seeds: list[int], message: str):
    with pytest.raises(SettingsError, match=message):
        plan_race(RunSettings(), scenarios, seeds)


def test_a_race_is_queued_in_order_as_one_group(tiny_dataset):
    store = RunStore()
    plans = plan_race(RunSettings(), ["frozen", "finetuned"], [0, 1])

    ids = submit(store, plans, Ingested(dataset=tiny_dataset, decode_s=2.5), as_race=True)

    runs = store.runs()[::-1]
    assert [run.id for run in runs] == ids and {run.state for run in runs} == {"queued"}
    assert len({run.race for run in runs}) == 1 and runs[0].race
    assert [run.decode_s for run in runs] == [2.5, 0.0, 0.0, 0.0]
    assert {run.settings.data.dataset for run in runs} == {tiny_dataset.id}
    assert {run.dataset_title for run in runs} == {tiny_dataset.title}


def test_a_single_run_belongs_to_no_race(tiny_dataset):
    store = RunStore()
    submit(store, [RunSettings()], Ingested(dataset=tiny_dataset, decode_s=0.0), as_race=False)

    assert store.runs()[0].race is None


@pytest.mark.parametrize(
    ("plan", "error", "message"),
    [
        (RunSettings(model=ModelSettings(backbone="resnet9000")), SettingsError, "resnet9000.*choose one of"),
        (
            RunSettings(model=ModelSettings(backbone="resnet18", scenario="last-stages", last_stages=9)),
            SettingsError,
            "last_stages is 9; ResNet-18 has 5 stages",
        ),
        (RunSettings(augment=AugmentSettings(preset="wild")), SettingsError, "preset is 'wild'; choose one of"),
        (
            RunSettings(model=ModelSettings(backbone="vit_b_16"), optim=OptimSettings(train_size=160)),
            SettingsError,
            "train_size is 160; ViT-B/16 takes pictures of one size only",
        ),
    ],
    ids=["backbone", "stages", "preset", "size"],
)
def test_nothing_is_queued_if_one_run_cannot_start(tiny_dataset, plan: RunSettings, error: type, message: str):
    store = RunStore()

    with pytest.raises(error, match=message):
        submit(store, [RunSettings(), plan], Ingested(dataset=tiny_dataset, decode_s=0.0), as_race=True)
    assert store.runs() == []


def test_a_data_set_that_cannot_be_divided_as_asked_is_refused_before_queueing(tiny_dataset, monkeypatch):
    from dataclasses import replace

    small = replace(tiny_dataset, pictures=tiny_dataset.pictures[:2])
    store = RunStore()

    with pytest.raises(DatasetError, match="part is empty"):
        submit(store, [RunSettings()], Ingested(dataset=small, decode_s=0.0), as_race=False)
    assert store.runs() == []


def test_one_class_in_train_is_refused_before_queueing(tiny_dataset):
    """Whatever the seed, and for every run of a race."""
    from dataclasses import replace

    parts = {0: "train", 1: "test", 2: "test"}
    given = tuple(replace(picture, given=parts[picture.target]) for picture in tiny_dataset.pictures)
    one = Ingested(dataset=replace(tiny_dataset, pictures=given), decode_s=0.0)
    store = RunStore()

    for plans in ([RunSettings()], plan_race(RunSettings(), ["frozen", "scratch"], [3, 4])):
        with pytest.raises(DatasetError, match="Only the class discs has pictures in train"):
            submit(store, plans, one, as_race=True)
    assert store.runs() == []


def test_outcomes_of_a_race_are_comparable_by_construction(finished_race):
    frozen, tuned = (load_outcome(finished_race.run(scenario)) for scenario in ("frozen", "finetuned"))

    assert (frozen.label, tuned.label) == ("Frozen", "Fine-tuned")
    for name in ("fingerprint", "split_hash", "head_hash", "weights_hash", "pictures", "class_names", "threads"):
        assert getattr(frozen, name) == getattr(tuned, name)
    assert frozen.targets.tolist() == tuned.targets.tolist()
    assert load_predictions(frozen.run).probabilities.tolist() == frozen.probabilities.tolist()


def test_a_race_over_folds_has_a_run_for_each_of_them():
    plans = plan_race(RunSettings(data=DataSettings(folds=3)), ["frozen", "finetuned"], [0, 1])

    assert [(plan.seed, plan.data.fold, plan.model.scenario) for plan in plans][:4] == [
        (0, 1, "frozen"),
        (0, 1, "finetuned"),
        (0, 2, "frozen"),
        (0, 2, "finetuned"),
    ]
    assert len(plans) == 12 and {plan.data.folds for plan in plans} == {3}
    one = plan_race(RunSettings(data=DataSettings(folds=3, fold=2)), ["frozen"], [0])
    assert [plan.data.fold for plan in one] == [2]


def test_folds_count_to_the_limit_of_runs():
    with pytest.raises(SettingsError, match=r"2 scenarios x 4 seeds x 10 folds are more than 60 runs"):
        plan_race(RunSettings(data=DataSettings(folds=10)), ["frozen", "finetuned"], range(4))


def test_a_run_of_no_fold_in_particular_is_not_queued(tiny_dataset):
    with pytest.raises(SettingsError, match="say which, from 1 to 4, or race all of them"):
        submit(
            RunStore(),
            [RunSettings(data=DataSettings(folds=4))],
            Ingested(dataset=tiny_dataset, decode_s=0),
            as_race=False,
        )
