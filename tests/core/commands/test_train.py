"""`train` and `race`: runs with their records, the verdict, and what is said beside it."""

import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from helpers import KINDS, Asked, FinishedRace, Refused, drawn, drawn_classes, noise, write_files

from core.__main__ import main
from core.data.dataset import stored_datasets
from core.data.ingest import ingest
from core.runs.record import load_record
from core.runs.results import load_outcome
from core.runs.store import RunStore

CHEAP = ("--views", "1", "--l2", "0.1")
"""Each picture through the network once, one head solved for: for what is about which pictures, not about training."""
RUN_FIELDS = {
    "run",
    "scenario",
    "backbone",
    "seed",
    "test_accuracy",
    "val_accuracy",
    "duration_s",
    "timings",
    "freeze_audit",
    "parameters",
}


def test_a_race_gives_its_runs_and_a_verdict(finished_race: FinishedRace):
    values = finished_race.values
    runs = values["runs"]

    assert set(values) == {"race", "runs", "verdict"}
    assert [(run["scenario"], run["state"], run["seed"]) for run in runs] == [
        ("frozen", "finished", 0),
        ("finetuned", "finished", 0),
    ]
    assert all(set(run) >= RUN_FIELDS for run in runs)
    assert values["verdict"]["sentence"]
    assert [pair["outcome"] for pair in values["verdict"]["pairs"]] == ["cannot-tell"]  # six test pictures, one seed
    assert len({run["split"]["hash"] for run in runs}) == 1


def test_a_run_says_what_it_did(finished_race: FinishedRace):
    frozen, tuned = finished_race.values["runs"]

    assert 0 <= frozen["test_accuracy"] <= 1 and 0 <= frozen["val_accuracy"] <= 1
    assert sum(frozen["timings"].values()) == pytest.approx(frozen["duration_s"])
    assert frozen["timings"]["decode"] > 0 and tuned["timings"]["decode"] == 0
    assert frozen["freeze_audit"]["bit_identical"] and not tuned["freeze_audit"]["bit_identical"]
    assert frozen["parameters"]["trained"] < 0.01 * frozen["parameters"]["total"]
    assert tuned["parameters"]["trained"] == tuned["parameters"]["total"]
    assert frozen["work"]["pictures_forward"] == 2 * frozen["split"]["train"] + sum(
        frozen["split"][part] for part in ("val", "test")
    )


def test_train_gives_one_run(asked: Asked, few_folder: Path):
    options = ["--scenario", "frozen", "--seed", "4", "--epochs", "2", "--backbone", "efficientnet_lite0"]
    values = asked("train", "--data", str(few_folder), *options)

    assert set(values) >= RUN_FIELDS
    record = load_record(values["run"])
    assert (values["scenario"], values["seed"], values["epochs"]) == ("frozen", 4, len(record.history))
    assert record.settings.optim.epochs == 2 and values["precision"] == asdict(record.precision)
    assert asked("runs")["runs"][0]["run"] == values["run"]


def test_a_run_that_fails_ends_with_its_cause_and_code_2(refused: Refused, tiny_folder: Path, monkeypatch):
    monkeypatch.setenv("THAW_OFFLINE", "1")

    message = refused("train", "--data", str(tiny_folder), "--backbone", "resnet18")

    assert "ResNet-18" in message and "EfficientNet-Lite0" in message and "From scratch" in message


def test_what_trains_is_loaded_while_pictures_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    loading, read, patience_s = threading.Event(), list[bool](), 60.0
    monkeypatch.setattr("core.commands.train.preload", loading.set)
    monkeypatch.setattr(
        "core.commands.data.ingest", lambda where, layout: read.append(loading.wait(patience_s)) or ingest(where)
    )

    for command in ("train", "race"):
        loading.clear()
        assert main([command, "--data", str(tmp_path)]) == 2
    assert read == [True, True]

    loading.clear()
    patience_s = 0.5
    assert main(["data", str(tmp_path)]) == 2
    assert not loading.is_set()


def lacking(tmp_path: Path) -> Path:
    """Stripes are in val alone, which is the test part here."""
    files = {f"train/{name}": data for name, data in drawn_classes(6).items() if not name.startswith("stripes")}
    return write_files(tmp_path / "lacking", files | drawn_classes(4, prefix="val/", first=20))


def test_a_class_that_is_not_in_train_is_said_beside_every_accuracy_and_verdict(
    asked: Asked, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    train = (
        "The class stripes has no picture in train: it can never be named, and all of its 4 test pictures count as "
        "wrong."
    )
    val = (
        "The class stripes has no picture in val: what is chosen there, like the best epoch and the temperature, "
        "is chosen without it."
    )
    folder = str(lacking(tmp_path))

    assert main(["data", folder]) == 0
    told = capsys.readouterr().out
    assert f"warning: {train}" in told and f"warning: {val}" in told
    assert main(["race", "--data", folder, "--scenarios", "frozen", "--seeds", "0,1", *CHEAP]) == 0
    raced = capsys.readouterr().out
    assert raced.count(f"\n  warning: {train}\n  warning: {val}") == 2, "beside both accuracies"
    assert f"nothing to be compared with. {train} {val}" in raced
    runs = asked("runs")["runs"]
    assert [run["lacks"] for run in runs] == [[train, val]] * 2
    assert asked("compare", *(run["run"] for run in runs))["sentence"].endswith(f"{train} {val}")


def test_one_class_in_train_is_refused_in_one_line(
    refused: Refused, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    files = {name: data for name, data in drawn_classes(6, "train/").items() if "discs" in name}
    files |= {name: data for name, data in drawn_classes(6, "test/", 20).items() if "squares" in name}
    folder = str(write_files(tmp_path / "apart", files))

    assert main(["data", folder]) == 0, "it can be looked at and mended"
    capsys.readouterr()
    for command in (["train"], ["race", "--seeds", "0,1"]):
        assert "Only the class discs has pictures in train" in refused(*command, "--data", folder)
    assert RunStore().runs() == []


def bursts(sizes: list[int]) -> dict[str, bytes]:
    """Of each class so many different pictures, each so many times: the same picture as different files."""
    return {
        f"{kind}/{number}-{copy}.png": drawn(kind, number) + b"\0" * copy
        for kind in ("discs", "squares")
        for number, size in enumerate(sizes)
        for copy in range(size)
    }


@pytest.mark.parametrize("sizes", [pytest.param([1, 1, 1, 8], marks=pytest.mark.slow), [1, 1, 6]], ids=str)
def test_no_seed_of_a_race_is_lost_to_a_burst(asked: Asked, tmp_path: Path, sizes: list[int]):
    folder = write_files(tmp_path / "bursts", bursts(sizes))

    values = asked("race", "--data", str(folder), "--scenarios", "frozen", "--seeds", "3,4,5,8,11", *CHEAP)

    assert [run["state"] for run in values["runs"]] == ["finished"] * 5
    assert all(min(run["split"][part] for part in ("train", "val", "test")) >= 2 for run in values["runs"])
    assert all(run["lacks"] == [] for run in values["runs"])


def test_groups_are_told_and_are_what_a_race_divides_by(
    asked: Asked, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    files = {
        f"{kind}/patient{n}_{view}.png": noise(place, n, view)
        for place, kind in enumerate(KINDS)
        for n in range(6)
        for view in range(3)
    }
    folder = str(write_files(tmp_path / "patients", files))
    how = ("--groups", "name:(patient#)_*")

    values = asked("data", folder, *how)
    plain = asked("data", folder)
    assert main(["data", folder, *how]) == 0
    printed = capsys.readouterr().out

    assert (values["groups"]["groups"], values["groups"]["grouped"], plain["groups"]["groups"]) == (6, 54, 0)
    assert values["dataset"] != plain["dataset"] and values["split"] != plain["split"]
    assert "groups by the pattern (patient#)_*: 6 groups of 54 pictures, the largest patient0 with 9" in printed
    assert [finding["kind"] for finding in plain["findings"]] == ["looks-grouped"] and not values["findings"]
    plans = ("--scenarios", "frozen", "--seeds", "0,1", "--weights", "none", *CHEAP)
    runs = asked("race", "--data", folder, *how, *plans)["runs"]
    assert {run["dataset"]["id"] for run in runs} == {values["dataset"]}
    for run in runs:
        record = load_record(run["run"])
        named = [name.split("/")[1].split("_")[0] for name in record.test_names]
        assert len(set(zip(named, record.test_groups, strict=True))) == len(set(named)) == len(set(record.test_groups))
        assert not any("patient" in group for group in record.test_groups)
        assert load_outcome(run["run"]).groups == record.test_groups
    tested = {tuple(sorted(load_record(run["run"]).test_names)) for run in runs}
    assert len(tested) == 1 and len({name.split("/")[1].split("_")[0] for name in tested.pop()}) == 2


def test_a_race_over_folds_tests_every_picture_once_and_says_which_question_that_answers(
    asked: Asked, few_folder: Path
):
    options = ("--scenarios", "frozen", "--seeds", "0,1", "--folds", "2", "--weights", "none", *CHEAP)

    values = asked("race", "--data", str(few_folder), *options)

    records = [load_record(run["run"]) for run in values["runs"]]
    assert [(record.settings.seed, record.settings.data.fold) for record in records] == [
        (seed, fold) for seed in (0, 1) for fold in (1, 2)
    ]
    for seed in (0, 1):
        names = [name for record in records if record.settings.seed == seed for name in record.test_names]
        assert len(names) == len(set(names)) == 15
    assert "Over 2 folds every picture was tested once" in values["verdict"]["question"]
    (arm,) = values["verdict"]["arms"]
    right = [sum(np.trace(r.confusion) for r in records if r.settings.seed == seed) / 15 for seed in (0, 1)]
    assert arm["accuracies"] == pytest.approx(right)


def test_what_no_seed_can_divide_is_refused_on_taking_in(asked: Asked, refused: Refused, tmp_path: Path):
    reason = refused("data", str(write_files(tmp_path / "one", bursts([12]))))

    assert "The 12 pictures of discs are all copies of one" in reason
    assert asked("runs") == {"runs": []} and not list(stored_datasets())


def test_a_device_that_is_not_here_is_refused_before_anything_is_queued(refused: Refused, tiny_folder: Path):
    said = refused("train", "--data", str(tiny_folder), "--device", "cuda")

    assert "device is cuda; this machine has no graphics card" in said
    assert RunStore().runs() == []
