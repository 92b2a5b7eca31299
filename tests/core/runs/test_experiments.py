"""Runs gathered into experiments: seeds inside, only what can be compared side by side."""

import sqlite3
from dataclasses import replace

import pytest
from helpers import queue_runs

from core.comparison.experiments import experiment_key
from core.errors import RunError, SettingsError, StorageError
from core.home import thaw_home
from core.runs.database import Label, Run
from core.runs.deletion import delete_experiment, delete_run
from core.runs.experiments import (
    comparable_with,
    experiments_of,
    may_be_compared,
    names_of,
    newest_comparable,
    stored_experiments,
)
from core.runs.race import plan_race, run_more_seeds
from core.runs.store import RunStore
from core.settings.schema import DataSettings, OptimSettings, RunSettings


def ended(number: int, scenario: str, seed: int, *, race: str | None = None, data: str = "mine", **values) -> Run:
    """A finished run; runs with the same seed were divided alike."""
    plan = plan_race(RunSettings(data=DataSettings(dataset=data), optim=OptimSettings(**values)), [scenario], [seed])[0]
    summary = {"test_accuracy": 0.9, "val_accuracy": 0.8 + seed / 100, "dataset": {"fingerprint": data}}
    return Run(
        number=number,
        id=f"run{number}",
        race=race,
        state="finished",
        attempt=1,
        crashes=0,
        settings=plan,
        dataset_title=data,
        decode_s=0.0,
        created=0.0,
        started=0.0,
        ended=0.0,
        summary=summary | {"split": {"hash": f"{data}-{seed}"}},
    )


def test_seeds_of_one_recipe_are_one_experiment_newest_first():
    runs = [ended(1, "frozen", 0), ended(2, "finetuned", 0), ended(3, "frozen", 1), ended(4, "finetuned", 0, epochs=9)]
    found = experiments_of(runs)

    assert [[run.number for run in one.runs] for one in found] == [[4], [3, 1], [2]]
    assert found[1].seeds == (0, 1) and found[1].test_accuracy == 0.9
    assert found[1].best_on_val.number == 3


def test_of_a_seed_that_was_run_twice_the_newest_counts():
    one = experiments_of(
        [ended(1, "frozen", 0), ended(2, "frozen", 0), replace(ended(3, "frozen", 1), state="failed")]
    )[0]

    assert [run.number for run in one.finished] == [2] and one.seeds == (0,)


def test_a_seed_over_folds_counts_when_every_fold_is_there():
    runs = [
        replace(run, settings=replace(run.settings, data=replace(run.settings.data, folds=2, fold=fold)))
        for run, fold in ((ended(1, "frozen", 0), 1), (ended(2, "frozen", 0), 2), (ended(3, "frozen", 1), 1))
    ]
    assert experiments_of(runs)[0].seeds == (0,)


def test_only_experiments_on_the_same_pictures_with_a_seed_in_common_can_be_compared():
    frozen, tuned, other_seed, other_data = (
        experiments_of([run])[0]
        for run in (
            ended(1, "frozen", 0),
            ended(2, "finetuned", 0),
            ended(3, "scratch", 1),
            ended(4, "finetuned", 0, data="yours"),
        )
    )
    assert may_be_compared(frozen, tuned)
    assert not may_be_compared(frozen, other_seed) and not may_be_compared(frozen, other_data)
    assert comparable_with([frozen], [other_data, other_seed, tuned, frozen]) == [tuned, frozen]


def test_a_comparison_opens_with_the_newest_race_alone():
    runs = [ended(1, "scratch", 0), ended(2, "frozen", 0, race="r"), ended(3, "finetuned", 0, race="r")]

    assert [one.newest.number for one in newest_comparable(experiments_of(runs))] == [2, 3]


def test_a_comparison_opens_with_what_was_started_alone_on_the_same_pictures():
    runs = [ended(1, "frozen", 0), ended(2, "finetuned", 0), ended(3, "frozen", 0, data="yours"), ended(4, "frozen", 5)]

    assert [one.newest.number for one in newest_comparable(experiments_of(runs))] == [2, 4]
    assert newest_comparable(experiments_of(runs[2:])) == []


def test_more_seeds_join_the_race_and_fill_what_only_others_have(store: RunStore, tiny_dataset):
    base = RunSettings(data=DataSettings(dataset=tiny_dataset.id))
    ids = store.submit(plan_race(base, ["frozen", "finetuned"], [0, 1])[:3], "tiny", race="r")
    rows = [
        replace(store.get(id_), state="finished", summary={"test_accuracy": 1.0, "val_accuracy": 1.0}) for id_ in ids
    ]
    new = [store.get(id_) for id_ in run_more_seeds(store, experiments_of(rows), 1)]

    assert [(run.settings.model.scenario, run.settings.seed, run.race) for run in new] == [
        ("finetuned", 1, "r"),
        ("frozen", 2, "r"),
        ("finetuned", 2, "r"),
    ]


USUAL = experiment_key(RunSettings())


def test_what_is_noted_about_an_experiment_is_there_for_everybody_and_can_be_taken_back(database_url: str):
    store = RunStore(database_url)
    store.submit(plan_race(RunSettings(), ["frozen", "finetuned"], [0, 1]), "tiny")

    store.label(USUAL, Label(name="  Grund-\x1b[31m linie 漢  ", note="first line\nsecond\x00", archived=True))
    (other,) = stored_experiments(RunStore(database_url))
    both = stored_experiments(RunStore(database_url), archived=True)

    assert other.settings.model.scenario == "finetuned" and names_of(both) == ["Fine-tuned", "Grund-[31m linie 漢"]
    assert both[1].label == Label(name="Grund-[31m linie 漢", note="first line\nsecond", archived=True)
    store.label(USUAL, Label())
    assert store.labels() == {} and len(stored_experiments(store)) == 2


def test_two_experiments_with_one_name_are_told_apart():
    both = experiments_of([ended(1, "frozen", 0), ended(2, "finetuned", 0)])

    assert names_of([replace(one, label=Label(name="mine")) for one in both]) == ["mine (1)", "mine (2)"]


def test_a_name_that_is_none_is_damage(store: RunStore):
    store.label(USUAL, Label(name="mine"))
    with sqlite3.connect(thaw_home() / "thaw.db") as connection:
        connection.execute("UPDATE labels SET name = x'00ff'")

    with pytest.raises(StorageError, match="the name of an experiment in it cannot be read"):
        store.labels()


@pytest.mark.parametrize("label", [Label(name="n" * 61), Label(note="n" * 2001)], ids=["name", "note"])
def test_a_name_has_room_for_a_name(store: RunStore, label: Label):
    with pytest.raises(SettingsError, match=r"characters; .* are the most"):
        store.label(USUAL, label)


def test_an_archived_experiment_comes_back_with_its_next_run(database_url: str):
    store = RunStore(database_url)
    store.submit([RunSettings()], "tiny")
    store.label(USUAL, Label(name="mine", archived=True))
    assert stored_experiments(store) == []

    store.submit([RunSettings(seed=1)], "tiny")

    (one,) = stored_experiments(store)
    assert (one.name, one.archived, len(one.runs)) == ("mine", False, 2)


def end_all(store: RunStore) -> None:
    for run in store.runs():
        store.cancel(run.id)


def test_with_the_last_run_goes_what_was_noted(store: RunStore):
    first, second = queue_runs(store, 2)
    end_all(store)
    store.label(USUAL, Label(note="why"))

    delete_run(store, first)
    assert USUAL in store.labels()
    delete_run(store, second)
    assert store.labels() == {}


def test_an_experiment_is_deleted_whole_or_not_at_all(store: RunStore):
    queue_runs(store, 2)
    store.submit([plan_race(RunSettings(), ["finetuned"], [0])[0]], "tiny")
    _, experiment = stored_experiments(store)

    with pytest.raises(RunError, match="still at work"):
        delete_experiment(store, experiment)
    assert len(store.runs()) == 3

    end_all(store)
    delete_experiment(store, experiment)
    assert [run.settings.model.scenario for run in store.runs()] == ["finetuned"]


def test_what_belongs_to_a_study_is_left_out_where_it_is_not_asked_for(store: RunStore, tiny_dataset):
    own = plan_race(RunSettings(data=DataSettings(dataset=tiny_dataset.id)), ["frozen"], [0])
    store.submit(own, "mine", race=None, decode_s=0.0)
    store.submit([replace(plan, seed=1) for plan in own], "mine", race="sweep-1", decode_s=0.0)

    assert [len(one.runs) for one in stored_experiments(store)] == [2]
    assert [[run.race for run in one.runs] for one in stored_experiments(store, studied=False)] == [[None]]
