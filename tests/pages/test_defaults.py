"""What a page opens with is what somebody who knows the field would choose."""

from dataclasses import replace

import numpy as np
import pytest
import streamlit as st
from helpers import drawn_classes, write_files

from core.comparison.experiments import experiment_key
from core.data.ingest import ingest
from core.runs.example import example_runs
from core.runs.experiments import MOST_COMPARED
from core.runs.record import delete_files
from core.runs.store import RunStore
from core.settings.schema import OptimSettings, RunSettings

WAYS = ("frozen", "finetuned", "scratch")


@pytest.fixture
def other_dataset(tmp_path):
    return ingest(write_files(tmp_path / "other", drawn_classes(10, first=500))).dataset


def compared(at) -> list[str]:
    assert not at.exception and not at.error
    return at.query_params["experiments"].split(",")


def experiments(*runs) -> list[str]:
    """What an address calls the experiments of these runs."""
    return list(dict.fromkeys(experiment_key(run.settings) for run in runs))


def test_compare_opens_with_the_newest_race_and_not_with_what_came_after_it(start, finish, tiny_dataset, other_dataset):
    race = [finish(tiny_dataset, way, race="r") for way in WAYS]
    finish(other_dataset)

    assert compared(start("compare.py")) == experiments(*race)


def test_compare_opens_with_the_newest_single_runs_that_may_be_compared(start, finish, tiny_dataset, other_dataset):
    frozen = finish(tiny_dataset, "frozen")
    finish(tiny_dataset, "scratch", seed=7)  # no seed in common
    tuned = finish(tiny_dataset, "finetuned")
    finish(other_dataset, "scratch")

    assert compared(start("compare.py")) == experiments(frozen, tuned)


def test_compare_opens_two_models_with_the_first_seed_that_both_have(start, finish, tiny_dataset):
    ways = (("frozen", range(3)), ("scratch", range(1, 4)))
    runs = {(way, seed): finish(tiny_dataset, way, seed, race=way).id for way, seeds in ways for seed in seeds}

    at = start("compare.py", **{"compare.models": "true"})

    assert len(compared(at)) == 2
    pair = [at.selectbox(key=f"compare.{side}").value for side in "ab"]
    assert pair == [runs["frozen", 1], runs["scratch", 1]], "the same seed, so the same test pictures"


@pytest.mark.parametrize("runs", [0, 1, 2])
def test_compare_shows_the_recorded_race_where_no_two_experiments_may_be_compared(
    start, finish, tiny_dataset, other_dataset, runs
):
    for dataset in (tiny_dataset, other_dataset)[:runs]:
        finish(dataset)

    at = start("compare.py", data=tiny_dataset.id)

    assert {name.removeprefix("recorded-") for name in compared(at)} == set(experiments(*example_runs()))
    said = " ".join(markdown.value for markdown in at.markdown)
    assert ("No two of your experiments have" if runs == 2 else "A comparison needs two finished experiments") in said


def test_compare_leaves_out_runs_whose_files_are_gone(start, finish, tiny_dataset):
    frozen, tuned = finish(tiny_dataset, "frozen"), finish(tiny_dataset, "finetuned")
    for way in ("frozen", "scratch"):  # a race of which nothing is left
        gone = finish(tiny_dataset, way, race="r", settings=RunSettings(optim=OptimSettings(l2=0.5)))
        delete_files(gone.id)

    at = start("compare.py")
    assert compared(at) == experiments(frozen, tuned) and "cannot be read" in at.warning[0].value


def test_compare_takes_no_more_experiments_than_it_can_show(start, finish, tiny_dataset):
    runs = [
        finish(tiny_dataset, "finetuned", settings=RunSettings(optim=OptimSettings(epochs=epochs)))
        for epochs in range(1, 9)
    ]

    assert compared(start("compare.py", runs=",".join(run.id for run in runs))) == experiments(*runs[:MOST_COMPARED])


def asked(at) -> tuple[str, str]:
    """The network that Classify opens with, and the line that says why."""
    assert not at.exception and not at.error
    line = next(text.value for text in at.markdown if "validation accuracy" in text.value)
    return at.selectbox(key="classify.network").value, line.replace("\\", "").replace("\u00a0", " ")


def test_classify_opens_with_the_best_on_val_and_not_with_the_newest(start, finish, tiny_dataset, other_dataset):
    finish(tiny_dataset, "frozen", val_accuracy=0.90, wrong=range(30))  # worst on test, which must not be asked
    best = finish(tiny_dataset, "finetuned", val_accuracy=0.95, wrong=range(20))
    finish(tiny_dataset, "scratch", val_accuracy=0.40)
    finish(other_dataset, "frozen", val_accuracy=1.0)

    network, line = asked(start("classify.py", data=tiny_dataset.id))

    assert network == experiment_key(best.settings)
    assert line == "**Fine-tuned · " + best.dataset_title + "**, the best of 3 networks, validation accuracy 95.0 %"


def test_of_an_experiment_the_seed_that_is_best_on_val_is_asked_and_the_others_can_be(start, finish, tiny_dataset):
    runs = [finish(tiny_dataset, "frozen", seed, val_accuracy=0.9 + seed / 100) for seed in range(3)]
    other = finish(tiny_dataset, "scratch", val_accuracy=0.99)

    at = start("classify.py", data=tiny_dataset.id)
    assert asked(at) == (
        experiment_key(other.settings),
        "**From scratch**, the best of 4 networks, validation accuracy 99.0 %",
    )
    at.selectbox(key="classify.network").set_value(experiment_key(runs[0].settings)).run()
    assert asked(at)[1] == "**Frozen, seed 2**, validation accuracy 92.0 %"
    at.selectbox(key="classify.run").set_value(runs[0].id).run()
    assert asked(at)[1] == "**Frozen, seed 0**, validation accuracy 90.0 %"
    assert at.query_params["run"] == runs[0].id

    at = start("classify.py", run=runs[1].id)
    assert asked(at)[1] == "**Frozen, seed 1**, validation accuracy 91.0 %, trained on tiny", "others are chosen"


def test_classify_opens_with_the_pictures_of_the_newest_run_where_none_are_chosen(
    start, finish, tiny_dataset, other_dataset
):
    finish(tiny_dataset, val_accuracy=1.0)
    best = finish(other_dataset, "finetuned", val_accuracy=0.9)
    finish(other_dataset, "scratch", val_accuracy=0.5)

    assert asked(start("classify.py"))[0] == experiment_key(best.settings)


def test_equally_good_networks_are_told_apart_by_how_sure_they_are_on_val(start, finish, tiny_dataset, monkeypatch):
    runs = [finish(tiny_dataset, way, val_accuracy=1.0) for way in WAYS]
    start("classify.py", data=tiny_dataset.id)
    from components.classify import networks

    found = networks.run_predictions

    def surer(home: str, run_id: str):
        said = found(home, run_id)
        truth = np.eye(3, dtype=np.float32)[said.val_targets]
        return replace(said, val_probabilities=truth) if run_id == runs[1].id else said

    monkeypatch.setattr(networks, "run_predictions", surer)
    st.cache_data.clear()

    assert asked(start("classify.py", data=tiny_dataset.id))[0] == experiment_key(runs[1].settings)


def words(at) -> str:
    """Markdown and captions, without what keeps it literal."""
    return "\n".join(shown.value for shown in (*at.markdown, *at.caption)).replace("\\", "").replace("\u00a0", " ")


def test_home_opens_with_the_race_on_the_chosen_pictures(start, finish, tiny_dataset, other_dataset):
    mine = [finish(tiny_dataset, way, race="mine") for way in WAYS[:2]]
    finish(other_dataset, race="other", wrong=range(30))

    at = start("home.py", data=tiny_dataset.id)
    assert f"{mine[0].settings.model.row.label} 100.0" in words(at) and "chosen now" not in words(at)

    at = start("home.py", data=tiny_dataset.id, race="other")
    assert at.header[0].value.replace("\\", "").replace("\u00a0", " ") == "Frozen: 0.0 % test accuracy"
    assert f"chosen now: {tiny_dataset.title}" in words(at)


def test_home_watches_a_race_that_is_going_on_whatever_is_chosen(start, finish, tiny_dataset, other_dataset):
    finish(tiny_dataset, race="mine")
    settings = RunSettings(data=replace(RunSettings().data, dataset=other_dataset.id))
    RunStore().submit([settings], "other", race="other")

    at = start("home.py", data=tiny_dataset.id)

    assert at.button(key="header.stop") and "on **other**" in words(at)


def test_where_nothing_was_timed_yet_it_is_said_when_that_will_be(start, tiny_dataset, thaw_home):
    (thaw_home / "speeds.json").unlink()

    for page, said in (("home.py", "before this machine is timed"), ("train.py", "timed as soon as nothing trains")):
        assert said in words(start(page, data=tiny_dataset.id))
