"""Train: the form makes the settings, the table and the result come from the store."""

from helpers import drawn_classes, write_files

from core.__main__ import main
from core.data.ingest import ingest
from core.machine.devices import Device
from core.runs.record import run_folder
from core.runs.store import RunStore
from core.settings.schema import DataSettings, RunSettings

NOT_THERE = {f"discs/{number}.png" for number in range(5, 10)}


def test_the_form_makes_the_run_that_is_queued(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)

    at.radio(key="train.scenario").set_value("last-stages").run()
    at.slider(key="train.last_stages").set_value(3).run()
    at.number_input(key="train.epochs").set_value(2).run()
    at.number_input(key="train.lr").set_value(0.005).run()
    at.button(key="train.start").click().run()

    assert not at.exception and not at.error
    settings = RunStore().runs()[0].settings
    assert (settings.model.scenario, settings.model.last_stages) == ("last-stages", 3)
    assert (settings.optim.epochs, settings.rates[0]) == (2, 0.005)
    assert settings.data.dataset == tiny_dataset.id


def test_the_defaults_are_the_settings_own(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)

    at.button(key="train.start").click().run()

    settings, default = RunStore().runs()[0].settings, RunSettings()
    assert (settings.model, settings.optim, settings.augment) == (default.model, default.optim, default.augment)


def test_several_seeds_become_a_race(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)

    at.number_input(key="train.repeats").set_value(3).run()
    at.button(key="train.start").click().run()

    runs = RunStore().runs()
    assert sorted(run.settings.seed for run in runs) == [0, 1, 2]
    assert len({run.race for run in runs}) == 1 and runs[0].race


def test_what_trains_is_counted_on_the_network(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)
    frozen = at.dataframe[0].value

    at.radio(key="train.scenario").set_value("finetuned").run()

    assert frozen["trains"].tolist() == ["stays frozen"] * 9 + ["trains"]
    assert at.dataframe[0].value["trains"].tolist() == ["trains"] * 10


def test_weights_that_are_not_here_are_announced_before_the_run(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)

    at.selectbox(key="train.backbone").set_value("resnet18").run()
    assert any("not here" in caption.value for caption in at.caption)

    at.radio(key="train.scenario").set_value("scratch").run()
    assert not any("not here" in caption.value for caption in at.caption)


def test_a_finished_run_is_shown_with_its_pictures_and_small_print(start, finished_race):
    run = finished_race.run("finetuned")
    at = start("train.py", run=run, data=finished_race.values["runs"][0]["dataset"]["id"])

    assert not at.exception
    values = next(row for row in finished_race.values["runs"] if row["run"] == run)
    assert at.metric[0].value == f"{values['test_accuracy']:.1%}"
    assert any("predicted and true" in markdown.value for markdown in at.markdown)
    assert len(at.get("image")) == min(12, values["split"]["test"])


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


def test_a_run_is_deleted_only_after_a_question_that_names_it(start, tiny_dataset, finish):
    first, second = (finish(tiny_dataset, scenario, race="r") for scenario in ("frozen", "scratch"))
    at = start("train.py", data=tiny_dataset.id)

    at.button(key="train.delete").click().run()
    assert len(RunStore().runs()) == 2, "the first click only asks"
    assert any(f"\\#{second.number} From scratch" in markdown.value for markdown in at.markdown)
    assert any("one of the 2 runs of a race" in caption.value for caption in at.caption)
    at.run()  # what is redrawn meanwhile does not close the question
    at.button(key="train.delete.really").click().run()

    assert not at.exception
    assert [run.id for run in RunStore().runs()] == [first.id] and not run_folder(second.id).exists()
    assert "train.delete.really" not in [button.key for button in at.button], "nothing is asked about the next run"


def test_a_run_that_is_kept_is_kept(start, tiny_dataset, finish):
    run = finish(tiny_dataset)
    at = start("train.py", data=tiny_dataset.id)

    at.button(key="train.delete").click().run()
    at.button(key="train.delete.keep").click().run()

    assert RunStore().runs() == [run] and run_folder(run.id).exists()
    assert "train.delete.really" not in [button.key for button in at.button]


def test_a_run_that_was_deleted_in_another_window_meanwhile_does_no_harm(start, tiny_dataset, finish):
    finish(tiny_dataset)
    run = finish(tiny_dataset, "scratch")
    at = start("train.py", data=tiny_dataset.id, run=run.id)
    at.button(key="train.delete").click().run()
    RunStore().delete(run.id)

    at.button(key="train.delete.really").click().run()

    assert not at.exception and len(RunStore().runs()) == 1, "the question was not about the one that is shown now"


def test_a_stopped_run_can_be_started_again(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id)
    at.number_input(key="train.l2").set_value(0.5).run()
    at.button(key="train.start").click().run()
    at.button(key="header.stop").click().run()
    assert any("was stopped" in caption.value for caption in at.caption)

    at.button(key="stopped.again").click().run()

    (run,) = RunStore().runs()
    assert not at.exception and run.state == "queued" and run.settings.optim.l2 == 0.5
    assert "header.stop" in [button.key for button in at.button]


def test_a_click_in_the_table_shows_that_run_and_no_other_once_the_table_has_grown(start, tiny_dataset, finish):
    runs = [finish(tiny_dataset, seed=seed) for seed in range(3)]
    at = start("train.py", data=tiny_dataset.id)
    key = f"train.runs.{runs[-1].number}.3"

    at.session_state[key] = {"selection": {"rows": [2], "columns": [], "cells": []}}
    at.run()
    at.button(key="train.start").click().run()

    newest = RunStore().runs()[0]
    assert not at.exception and at.query_params["run"] in (newest.id, [newest.id])
    assert "header.stop" in [button.key for button in at.button], "the run that was started is shown"


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

    def keys() -> set[str]:
        return {widget.key for widget in at.number_input}

    assert "train.l2" in keys() and not {"train.epochs", "train.lr", "train.ema"} & keys()
    at.number_input(key="train.l2").set_value(0.5).run()
    at.radio(key="train.scenario").set_value("finetuned").run()
    assert {"train.epochs", "train.lr", "train.ema", "train.train_size"} <= keys() and "train.l2" not in keys()
    at.number_input(key="train.train_size").set_value(160).run()
    at.button(key="train.start").click().run()

    assert not at.exception
    assert RunStore().runs()[0].settings.optim.train_size == 160


def test_a_solved_head_says_how_it_was_found(start, finished_race):
    frozen = next(run for run in finished_race.values["runs"] if run["scenario"] == "frozen")

    at = start("train.py", run=frozen["run"], data=frozen["dataset"]["id"])

    assert any("The head was solved for in" in caption.value for caption in at.caption)


def test_what_happens_to_batchnorm_can_be_chosen_where_something_trains(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id, scenario="finetuned")

    at.selectbox(key="train.batchnorm").set_value("adapted").run()
    at.button(key="train.start").click().run()

    assert not at.exception and RunStore().runs()[0].settings.model.statistics == "adapted"
    frozen = start("train.py", data=tiny_dataset.id, scenario="looks-frozen")
    assert "train.batchnorm" not in [box.key for box in frozen.selectbox]


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
    table = next(shown.value for shown in at.dataframe if "fold" in shown.value)
    assert sorted(table["fold"]) == sorted([*range(1, 6)] * 2)


def test_more_folds_than_the_pictures_allow_is_said_and_can_be_taken_back(start, tmp_path):
    dataset = ingest(write_files(tmp_path / "few", drawn_classes(3))).dataset
    at = start("train.py", data=dataset.id, class_weights="balanced")

    at.number_input(key="train.folds").set_value(10).run()
    assert not at.exception and "too few for 10 folds" in at.error[0].value

    at.number_input(key="train.folds").set_value(None).run()
    assert not at.exception and not at.error
