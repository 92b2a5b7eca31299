"""Train: the form makes the settings, the table and the result come from the store."""

from dataclasses import replace
from typing import Any

import pytest
from helpers import drawn_classes, write_files

from core.__main__ import main
from core.comparison.experiments import experiment_key
from core.comparison.wording import per_cent
from core.data.dataset import delete_stored
from core.data.ingest import ingest
from core.machine.devices import Device
from core.runs.record import run_folder
from core.runs.store import Label, RunStore
from core.settings.recipes import RECIPES
from core.settings.schema import DataSettings, RunSettings

NOT_THERE = {f"discs/{number}.png" for number in range(5, 10)}


def test_the_form_makes_the_run_that_is_queued_and_says_what_has_to_be_fetched_first(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)

    at.radio(key="train.scenario").set_value("last-stages").run()
    at.slider(key="train.last_stages").set_value(3)
    at.number_input(key="train.epochs").set_value(2)
    at.number_input(key="train.lr").set_value(0.005).run()
    at.button(key="train.start").click().run()

    assert not at.exception and not at.error
    settings = RunStore().runs()[0].settings
    assert (settings.model.scenario, settings.model.last_stages) == ("last-stages", 3)
    assert (settings.optim.epochs, settings.rates[0]) == (2, 0.005)
    assert settings.data.dataset == tiny_dataset.id

    at.selectbox(key="train.backbone").set_value("resnet18").run()
    assert any("not here" in caption.value for caption in at.caption)
    at.radio(key="train.scenario").set_value("scratch").run()
    assert not any("not here" in caption.value for caption in at.caption)


def test_the_loaders_come_from_the_cache_the_second_time(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)
    at.session_state["train.loaders"] = True
    at.run()
    assert any("Built just now" in markdown.value for markdown in at.markdown)

    at.selectbox(key="train.precision").set_value("fp32").run()

    assert any("From the cache" in markdown.value for markdown in at.markdown), (
        "precision changes nothing about loaders"
    )


def test_a_device_is_offered_only_where_there_is_a_choice(start, tiny_dataset, monkeypatch):
    assert "train.device" not in [box.key for box in start("train.py", data=tiny_dataset.id).selectbox]

    card = Device(kind="cuda", name="A card", memory_bytes=8 * 1024**3)
    monkeypatch.setattr("core.machine.devices._may_have_more", lambda: True)
    monkeypatch.setattr("core.machine.devices._accelerators", lambda: (card,))
    at = start("train.py", data=tiny_dataset.id)

    assert at.selectbox(key="train.device").options == ["auto", "cpu", "cuda"]
    at.selectbox(key="train.device").set_value("cpu").run()
    assert not at.exception and at.selectbox(key="train.device").value == "cpu"


def table(at, column: str) -> Any:
    """The table on the page that has this column."""
    return next(shown.value for shown in at.dataframe if column in shown.value)


def keys(elements) -> list[str]:
    return [element.key for element in elements]


def open_all(at) -> None:
    """Open everything that is folded."""
    for name in ("format_list_numbered", "show_chart", "grid_on", "image_search"):
        at.session_state[f"train.evidence.{name}"] = True
    at.run()


def test_the_one_part_that_trains_is_in_sight_and_its_numbers_are_a_click_away(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)
    badges = [markdown.value for markdown in at.markdown if "-badge[" in markdown.value]
    assert any("ac_unit: Stages 1 to 9: kept frozen" in badge for badge in badges)
    assert any("local_fire_department: Head trains" in badge for badge in badges)
    assert table(at, "requires_grad")["requires_grad"].tolist() == ["False"] * 9 + ["True"]

    at.radio(key="train.scenario").set_value("finetuned").run()

    assert any("Stages 1 to 9 and head train" in markdown.value for markdown in at.markdown)
    assert table(at, "requires_grad")["requires_grad"].tolist() == ["True"] * 10


def test_a_recipe_fills_the_form_until_something_is_changed(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id, scenario="finetuned")
    assert at.number_input(key="train.epochs").value == 5

    at.selectbox(key="train.recipe.usual").set_value("tutorial-finetuned").run()

    tutorial = RECIPES["tutorial-finetuned"]
    assert at.selectbox(key="train.recipe.tutorial-finetuned").value == "tutorial-finetuned"
    shown = {key: at.number_input(key=f"train.{key}").value for key in ("epochs", "batch_size", "lr")}
    assert shown == {key: tutorial.changes[f"optim.{key}"] for key in shown}
    assert at.selectbox(key="train.backbone").value == tutorial.changes["model.backbone"]
    said = next(text for text in captions(at) if text.startswith("Sets "))
    assert "25 epochs, batches of 4" in said and tutorial.source in said
    at.number_input(key="train.epochs").set_value(3).run()
    assert at.selectbox(key="train.recipe.own").value == "own"
    at.button(key="train.start").click().run()

    assert not at.exception
    plain = RunSettings(data=DataSettings(dataset=tiny_dataset.id))
    made = tutorial.apply(replace(plain, model=replace(plain.model, scenario="finetuned")))
    assert RunStore().runs()[0].settings == replace(made, optim=replace(made.optim, epochs=3))


def test_start_answers_with_where_it_stands_and_what_is_before_it(start, tiny_dataset):
    RunStore().submit([RunSettings(data=DataSettings(dataset=tiny_dataset.id))], "tiny")
    at = start("train.py", data=tiny_dataset.id, scenario="finetuned")

    at.number_input(key="train.repeats").set_value(3).run()
    at.button(key="train.start").click().run()

    runs = RunStore().runs()
    assert not at.exception and sorted(run.settings.seed for run in runs[:3]) == [0, 1, 2] and runs[0].race
    said = [markdown.value for markdown in at.markdown]
    assert any("Starts in" in text and "1 run is before it" in text for text in said)
    assert [seed for seed in range(3) if any(f"seed {seed}: waiting" in text for text in said)] == [0, 1, 2]
    assert at.query_params["experiment"] in (key := experiment_key(runs[0].settings), [key])
    assert table(at, "experiment")["state"].tolist() == ["waiting", "waiting"]


def test_an_experiment_answers_first_and_keeps_its_evidence_folded(start, tiny_dataset, finish):
    wrong = finish(tiny_dataset, "scratch", seed=0).settings
    tuned = [finish(tiny_dataset, "finetuned", seed, wrong=range(8)) for seed in range(3)]
    at = start("train.py", data=tiny_dataset.id)
    accuracy = tuned[0].summary["test_accuracy"]

    assert not at.exception and wrong.seed == 0
    assert at.header[0].value == "Newest experiment"
    assert at.header[1].value.replace("\\", "").replace("\u00a0", " ").startswith(f"Fine-tuned: {per_cent(accuracy)}")
    assert any("3 seeds, 6 test pictures" in text.value.replace("\\", "") for text in at.markdown)
    assert table(at, "experiment")["experiment"].tolist() == ["Fine-tuned", "From scratch"]
    assert table(at, "experiment")["seeds"].tolist() == ["0, 1, 2", "0"]
    links = [link.proto.label.replace("\\", "") for link in at.get("page_link")]
    assert "Classify with Fine-tuned" in links and "Compare with From scratch" in links
    assert not at.get("image") and not at.get("plotly_chart"), "folded"
    open_all(at)
    assert not at.exception and len(at.get("image")) == 6 and at.get("plotly_chart")
    assert table(at, "validation accuracy")["run"].tolist() == ["#4", "#3", "#2"]


def test_what_was_started_is_shown_and_not_what_was_clicked_before(start, tiny_dataset, finish):
    finish(tiny_dataset, "scratch")
    finish(tiny_dataset, "frozen")
    at = start("train.py", data=tiny_dataset.id)

    at.session_state["train.experiments.2.2"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    at.radio(key="train.scenario").set_value("finetuned").run()
    at.button(key="train.start").click().run()

    assert not at.exception and at.header[1].value == "Fine\\-tuned"


@pytest.mark.parametrize("asked", ["run", "experiment"])
def test_an_address_shows_what_it_asks_for_or_says_that_it_is_gone(start, tiny_dataset, finish, asked: str):
    first, second = finish(tiny_dataset, "scratch"), finish(tiny_dataset, "frozen")
    address = {"run": first.id, "experiment": experiment_key(first.settings)}

    at = start("train.py", data=tiny_dataset.id, **{asked: address[asked]})
    assert at.header[0].value == "An earlier experiment" and at.header[1].value.startswith("From scratch")
    RunStore().delete(first.id)  # in another window
    at.run()

    assert not at.exception and at.header[1].value.startswith("Frozen")
    assert any("is gone" in warning.value for warning in at.warning)
    assert second.id in [run.id for run in RunStore().runs()]


def test_an_experiment_gets_a_name_and_a_note_and_goes_into_the_archive(start, tiny_dataset, finish):
    run = finish(tiny_dataset)
    finish(tiny_dataset, "scratch")
    key = experiment_key(run.settings)
    at = start("train.py", data=tiny_dataset.id, run=run.id)

    at.session_state[f"train.keep.{key}"] = True
    at.run()
    at.text_input[0].set_value("*baseline*")
    at.text_area[0].set_value("as taught")
    next(button for button in at.button if button.label == "Save").click().run()
    assert not at.session_state[f"train.keep.{key}"] and [toast.value for toast in at.toast] == [
        "Name and note are saved."
    ]
    assert table(at, "experiment")["experiment"].tolist() == ["From scratch", "*baseline*"]
    assert [text.value for text in at.text] == ["as taught"]
    at.button(key="train.archive").click().run()
    assert table(at, "experiment")["experiment"].tolist() == ["From scratch"]
    assert RunStore().labels()[key] == Label(name="*baseline*", note="as taught", archived=True)
    at.checkbox(key="train.archived").check().run()
    assert table(at, "experiment")["state"].tolist() == ["finished", "archived"]
    at.button(key="train.archive").click().run()

    assert not at.exception and not RunStore().labels()[key].archived


def test_an_experiment_is_deleted_only_after_a_question_that_says_what_goes(start, tiny_dataset, finish):
    other = finish(tiny_dataset, "scratch", race="r")
    runs = [finish(tiny_dataset, "frozen", seed, race="r") for seed in (0, 1)]
    at = start("train.py", data=tiny_dataset.id)

    at.button(key="train.delete").click().run()
    assert len(RunStore().runs()) == 3, "the first click only asks"
    assert any("**Frozen** on" in text.value and "all 2 runs" in text.value for text in at.markdown)
    assert any("1 other run raced with this" in text for text in captions(at))
    at.button(key="train.delete.keep").click().run()
    assert len(RunStore().runs()) == 3
    at.button(key="train.delete").click().run()
    at.run()  # what is redrawn meanwhile does not close the question
    at.button(key="train.delete.really").click().run()

    assert not at.exception and [run.id for run in RunStore().runs()] == [other.id]
    assert not any(run_folder(run.id).exists() for run in runs)
    assert "train.delete.really" not in keys(at.button), "nothing is asked about the next one"


def test_one_run_is_deleted_and_the_others_of_its_experiment_stay(start, tiny_dataset, finish):
    first, second = (finish(tiny_dataset, seed=seed) for seed in (0, 1))
    at = start("train.py", data=tiny_dataset.id, run=first.id)
    open_all(at)

    at.button(key="train.delete_run").click().run()
    assert any(f"\\#{first.number} Frozen" in text.value for text in at.markdown)
    RunStore().delete(first.id)  # in another window
    at.button(key="train.delete_run.really").click().run()

    assert not at.exception and [run.id for run in RunStore().runs()] == [second.id]


def test_what_came_to_nothing_says_why_and_can_be_started_again(start, tiny_dataset, finish):
    finish(tiny_dataset)
    store = RunStore()
    settings = RunSettings(data=DataSettings(dataset=tiny_dataset.id))
    failed, stopped = store.submit([replace(settings, seed=1), replace(settings, seed=2)], "tiny")
    store.cancel(stopped)
    store.end(store.claim([failed]), "failed", cause="The loss became nan: take a lower learning rate.")

    at = start("train.py", data=tiny_dataset.id)
    assert any("lower learning rate" in error.value for error in at.error)
    assert any("was stopped" in text for text in captions(at)) and at.header[1].value.startswith("Frozen")
    at.button(key="stopped.again").click().run()

    assert not at.exception and sorted((run.settings.seed, run.state) for run in store.runs()) == [
        (0, "finished"),
        (1, "queued"),
        (2, "queued"),
    ]


def test_an_experiment_whose_pictures_are_gone_is_still_shown(start, tiny_dataset, tmp_path, finish):
    other = ingest(write_files(tmp_path / "other", drawn_classes(10, first=500))).dataset
    finish(tiny_dataset)
    delete_stored(tiny_dataset.id)

    at = start("train.py", data=other.id)
    open_all(at)

    assert not at.exception and any("not here any more" in text for text in captions(at))


def test_choices_survive_other_pages_and_are_taken_over_from_them(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)
    at.radio(key="train.scenario").set_value("finetuned").run()
    at.number_input(key="train.epochs").set_value(9).run()

    at.switch_page("augment.py").run()
    at.pills(key="augment.preset").set_value("strong").run()
    at.switch_page("train.py").run()

    assert not at.exception
    assert at.radio(key="train.scenario").value == "finetuned"
    assert at.number_input(key="train.epochs").value == 9
    assert at.selectbox(key="train.augment").value == "strong"


def test_a_frozen_run_has_a_penalty_and_no_epochs_and_a_trained_one_the_other_way_round(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)

    def shown() -> set[str]:
        return {*keys(at.number_input), *keys(at.selectbox)}

    assert "train.l2" in shown() and not {"train.epochs", "train.lr", "train.ema", "train.batchnorm"} & shown()
    at.number_input(key="train.l2").set_value(0.5).run()
    at.radio(key="train.scenario").set_value("looks-frozen").run()
    assert "train.batchnorm" not in shown(), "it is what that strategy is about"
    at.radio(key="train.scenario").set_value("finetuned").run()
    assert {"train.epochs", "train.lr", "train.ema", "train.train_size", "train.batchnorm"} <= shown()
    assert "train.l2" not in shown()
    at.number_input(key="train.train_size").set_value(160)
    at.selectbox(key="train.batchnorm").set_value("adapted").run()
    at.button(key="train.start").click().run()

    assert not at.exception
    settings = RunStore().runs()[0].settings
    assert (settings.optim.train_size, settings.model.statistics) == (160, "adapted")


def captions(at) -> list[str]:
    """What the captions say, without what keeps them literal."""
    return [caption.value.replace("\\", "") for caption in at.caption]


def test_the_form_says_what_class_weights_do_on_these_pictures(start, tmp_path):
    files = {name: content for name, content in drawn_classes(10).items() if name not in NOT_THERE}
    uneven = ingest(write_files(tmp_path / "uneven", files)).dataset

    at = start("train.py", data=uneven.id)
    assert not any("Weight of a training picture by class" in text for text in captions(at))
    at.selectbox(key="train.class_weights").set_value("balanced").run()

    train = uneven.counts(uneven.split(0, DataSettings()))["train"]
    said = next(text for text in captions(at) if "Weight of a training picture by class" in text)
    assert all(f"{name} " in said and f"({count})" in said for name, count in train.items())
    even = ingest(write_files(tmp_path / "even", drawn_classes(10, first=20))).dataset
    assert any("No effect here" in text for text in captions(start("train.py", data=even.id, class_weights="balanced")))


def test_a_balanced_run_shows_balanced_accuracy_and_says_how_it_was_chosen(start, tiny_folder, capsys):
    assert main(["train", "--data", str(tiny_folder), "--class-weights", "balanced"]) == 0
    assert "(balanced " in capsys.readouterr().out
    run = RunStore().runs()[0]

    at = start("train.py", run=run.id, data=run.settings.data.dataset)

    at.session_state["train.evidence.format_list_numbered"] = True
    at.run()
    assert not at.exception
    said = [caption.value for caption in at.caption]
    assert any("balanced accuracy" in text for text in said) and any(
        "classes weighing the same" in text for text in said
    )


def test_folds_become_a_race_in_which_every_picture_is_tested_once(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)

    at.number_input(key="train.folds").set_value(5).run()
    said = " ".join(caption.value for caption in at.caption)
    assert "Over 5 folds every picture was tested once" in said and "learns from 4 of 5 parts" in said
    at.number_input(key="train.repeats").set_value(2).run()
    at.button(key="train.start").click().run()

    assert not at.exception and not at.error
    runs = RunStore().runs()
    assert sorted((run.settings.seed, run.settings.data.fold) for run in runs) == [
        (seed, fold) for seed in (0, 1) for fold in range(1, 6)
    ]
    assert len({run.race for run in runs}) == 1 and {run.settings.data.folds for run in runs} == {5}
    assert table(at, "experiment")["seeds"].tolist() == ["0, 1"]


def test_more_folds_than_the_pictures_allow_is_said_and_can_be_taken_back(start, tmp_path):
    dataset = ingest(write_files(tmp_path / "few", drawn_classes(3))).dataset
    at = start("train.py", data=dataset.id, class_weights="balanced")

    at.number_input(key="train.folds").set_value(10).run()
    assert not at.exception and "too few for 10 folds" in at.error[0].value

    at.number_input(key="train.folds").set_value(None).run()
    assert not at.exception and not at.error
