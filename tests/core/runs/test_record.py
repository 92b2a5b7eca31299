"""What a finished run keeps in its folder."""

import json
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ENDLESS, FinishedRace, made_up_record

from core.errors import RunError
from core.machine.devices import DeviceUse
from core.runs.record import (
    PREDICTIONS,
    RECORD,
    WEIGHTS,
    HeadRecord,
    PrecisionRecord,
    Predictions,
    RunRecord,
    checked_file,
    delete_files,
    load_predictions,
    load_record,
    run_folder,
    save_run,
)
from core.settings.schema import OptimSettings, RunSettings
from core.training.history import PHASES

NEW_OPTIM = ("l2", "stage_decay", "ema", "train_size", "precision")
"""Fields that settings of version 1 did not have."""


def save(record: RunRecord, with_val: bool = True) -> Predictions:
    row, target = np.array([[0.25, 0.75]], dtype=np.float32), np.array([1], dtype=np.int64)
    predictions = Predictions(
        probabilities=row,
        targets=target,
        val_probabilities=1 - row if with_val else None,
        val_targets=target if with_val else None,
    )
    save_run(record, predictions, lambda path: Path(path).write_bytes(b"weights"))
    return predictions


def test_a_record_comes_back_as_it_was_saved():
    record = made_up_record()
    predictions = save(record)

    loaded_record = load_record("abc")
    assert set(loaded_record.files) == {PREDICTIONS, WEIGHTS}
    assert replace(loaded_record, files={}) == record
    loaded = load_predictions("abc")
    for name in ("probabilities", "targets", "val_probabilities", "val_targets"):
        assert np.array_equal(getattr(loaded, name), getattr(predictions, name))
    assert sorted(path.name for path in run_folder("abc").iterdir()) == sorted([RECORD, PREDICTIONS, WEIGHTS])


def test_predictions_of_an_earlier_version_have_no_val():
    save(made_up_record(), with_val=False)

    assert load_predictions("abc").val_probabilities is None


def test_a_run_that_cannot_be_written_completely_is_not_there():
    def full(path: Path) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        empty = Predictions(probabilities=np.zeros((1, 2), np.float32), targets=np.zeros(1, np.int64))
        save_run(made_up_record(), empty, full)
    with pytest.raises(ValueError, match="JSON"):
        save(made_up_record(duration_s=float("nan")))

    assert list(run_folder("abc").parent.iterdir()) == []


def test_a_second_attempt_replaces_what_the_first_left():
    save(made_up_record(test_accuracy=0.1))
    save(made_up_record(test_accuracy=0.9))

    assert load_record("abc").test_accuracy == 0.9


def test_a_run_without_files_is_named():
    for load in (load_record, load_predictions):
        with pytest.raises(RunError, match="'nosuch'"):
            load("nosuch")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"null", b"3", b'"a"', b'{"version": []}', b'{"version": 1}', b"\xff"],
    ids=repr,
)
def test_a_damaged_record_is_refused_by_name(content: bytes):
    save(made_up_record())
    (run_folder("abc") / RECORD).write_bytes(content)

    with pytest.raises(RunError, match="record of run 'abc' is damaged"):
        load_record("abc")


def rewrite(change: Callable[[dict[str, Any]], object]) -> None:
    """Change the saved record as an earlier version would have written it: without a hash of its own."""
    path = run_folder("abc") / RECORD
    values = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    del values["sha256"]
    change(values)
    path.write_text(json.dumps(values), "utf-8")


def test_a_record_with_settings_that_are_not_allowed_is_refused():
    save(made_up_record())
    rewrite(lambda values: values["settings"]["optim"].update(epochs=0))

    with pytest.raises(RunError, match="damaged"):
        load_record("abc")


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another run's": lambda values: values.update(run="abd"),
    "accuracy in words": lambda values: values.update(test_accuracy="high"),
    "no accuracy": lambda values: values.pop("test_accuracy"),
    "no seconds": lambda values: values.update(timings=None),
    "seconds in words": lambda values: values.update(timings={"train": "long"}),
    "names that are numbers": lambda values: values.update(test_names=[1]),
    "pictures that are names": lambda values: values.update(test_pictures=["a"]),
    "a history of numbers": lambda values: values.update(history=[1, 2]),
    "a matrix that is a number": lambda values: values.update(confusion=5),
    "a matrix of texts": lambda values: values.update(confusion=["ab", "cd"]),
    "a matrix without a row": lambda values: values["confusion"].pop(),
    "a matrix of unequal rows": lambda values: values["confusion"][0].append(1),
    "a network without a number": lambda values: values["parameters"].update(total=0),
    "memory beyond all numbers": lambda values: values["machine"].update(memory_bytes=10**400),
    "a backbone without a name": lambda values: values["settings"]["model"].update(backbone=5),
    "a data set that is a list": lambda values: values.update(dataset=[]),
    "settings that are a list": lambda values: values.update(settings=[]),
    "a hash that is none": lambda values: values["split"].update(hash="abc"),
    "an accuracy above one": lambda values: values.update(test_accuracy=1.5),
    "a part without its field": lambda values: values["dataset"].pop("title"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_record_that_says_what_it_cannot_say_is_refused(change: Callable[[dict[str, Any]], object]):
    save(made_up_record())
    rewrite(change)

    with pytest.raises(RunError, match="record of run 'abc' is damaged"):
        load_record("abc")


def test_what_a_later_version_tells_beside_what_we_know_is_no_damage():
    save(made_up_record())

    def later(values: dict[str, Any]) -> None:
        values["minor"], values["energy_kwh"] = 1, 0.5
        for part in ("dataset", "machine", "costs"):
            values[part]["colour"] = {"red": 1}
        values["history"][0]["colour"] = "red"

    rewrite(later)

    assert replace(load_record("abc"), files={}) == made_up_record()


@pytest.mark.parametrize("seed", range(30))
def test_no_bit_of_a_record_turns_unnoticed(seed: int):
    dice = random.Random(seed)
    save(made_up_record())
    path = run_folder("abc") / RECORD
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content)) if seed else 15] ^= 1 << dice.randrange(8)
    path.write_bytes(content)

    with pytest.raises(RunError, match="record of run 'abc' is damaged"):
        load_record("abc")


@pytest.mark.parametrize("name", ["", "..", "../abc", "a/b", "a\0b", "x" * 3000, "ü", "recorded-" + "x" * 3000])
def test_what_is_no_id_is_no_run_and_no_path(name: str):
    for use in (load_record, load_predictions, run_folder, delete_files):
        with pytest.raises(RunError) as refused:
            use(name)
        assert "no run" in str(refused.value) and len(str(refused.value)) < 200


def test_a_record_from_before_precision_and_solved_heads_still_loads():
    save(
        made_up_record(
            precision=PrecisionRecord(features="bf16", train="bf16"), head=HeadRecord(l2=0.1, path=(), iterations=3)
        )
    )

    def age(values: dict[str, Any]) -> None:
        optim = values["settings"]["optim"]
        for fields_, names in (
            (values, ("precision", "head", "layers", "costs", "files", "imported", "device")),
            (optim, NEW_OPTIM),
        ):
            for name in names:
                del fields_[name]
        values["settings"]["version"], optim["probe_epochs"] = 1, 20

    rewrite(age)
    record = load_record("abc")

    assert record.precision == PrecisionRecord(features="fp32", train="fp32") and record.head is None
    assert record == made_up_record(
        precision=record.precision,
        head=None,
        device=DeviceUse(),
        settings=RunSettings(optim=OptimSettings(precision="fp32")),
    )


def test_a_record_whose_run_had_seconds_says_the_epochs_it_did_in_them():
    """Released up to settings of version 5: `--seconds 9` in the place of `--epochs`."""
    (epoch,) = made_up_record().history
    save(made_up_record(history=(replace(epoch, stage="probe", lr=None), *([epoch] * 17))))

    def age(values: dict[str, Any]) -> None:
        values["settings"]["version"], values["settings"]["optim"]["seconds"] = 5, 9.0

    rewrite(age)

    assert load_record("abc").settings.optim.epochs == 17


def test_a_record_of_another_thaw_is_refused():
    save(made_up_record())
    rewrite(lambda values: values.update(version=99))

    with pytest.raises(RunError, match="another version"):
        load_record("abc")


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"{}"], ids=["empty", "zeros", "JSON"])
def test_damaged_predictions_are_refused_by_name(content: bytes):
    save(made_up_record())
    (run_folder("abc") / PREDICTIONS).write_bytes(content)

    with pytest.raises(RunError, match="predictions of run 'abc'"):
        load_predictions("abc")


def test_deleted_files_are_gone_and_deleting_twice_is_no_error():
    save(made_up_record())
    delete_files("abc")
    delete_files("abc")

    assert not run_folder("abc").exists()


def test_the_record_of_a_real_run_is_complete(finished_race: FinishedRace):
    record = load_record(finished_race.run("frozen"))
    predictions = load_predictions(record.run)
    probabilities, targets = predictions.probabilities, predictions.targets

    assert [len(row) for row in (record.test_pictures, record.test_contents, record.test_names)] == [len(targets)] * 3
    assert np.array(record.confusion).sum() == len(targets) == record.split.test
    assert np.trace(np.array(record.confusion)) / len(targets) == pytest.approx(record.test_accuracy)
    assert probabilities.argmax(1).tolist().count(0) == np.array(record.confusion)[:, 0].sum()
    assert predictions.val_probabilities is not None and predictions.val_targets is not None
    of_val = predictions.val_probabilities.argmax(1) == predictions.val_targets
    assert len(of_val) == record.split.val and of_val.mean() == pytest.approx(record.val_accuracy)
    assert sum(asdict(record.timings).values()) == pytest.approx(record.duration_s)
    assert set(asdict(record.timings)) == set(PHASES)
    assert record.machine.torch and record.threads >= 1
    assert record.weights.origin == "ImageNet, packaged" and len(record.weights.sha256) == 64
    assert record.freeze_audit.bit_identical and record.parameters.trained == 1280 * 3 + 3
    assert record.precision == PrecisionRecord(features="fp32", train="fp32")
    assert str(finished_race.home) not in (run_folder(record.run) / RECORD).read_text("utf-8")


def test_a_record_says_how_the_head_was_solved_for_only_where_it_was(finished_race: FinishedRace):
    frozen, tuned = (load_record(finished_race.run(scenario)) for scenario in ("frozen", "finetuned"))

    assert frozen.head is not None and frozen.head.iterations > 0
    assert frozen.head.l2 == min(frozen.head.path, key=lambda step: step[1])[0]
    assert {row.lr for row in frozen.history} == {None} and frozen.best_epoch == len(frozen.history)
    assert tuned.head is None
    assert [row.lr is None for row in tuned.history] == [False, False]


def test_a_record_says_which_classes_its_parts_lack():
    whole = {"train": (3, 0), "val": (1, 1), "test": (1, 1)}

    assert made_up_record(class_counts=whole).lacks == (
        "The class bees has no picture in train: it can never be named, and its one test picture counts as wrong.",
    )
    assert made_up_record().lacks == (), "of an earlier version, whose test part has both"
    assert made_up_record(confusion=((2, 0), (0, 0))).lacks == (
        "The class bees has no picture in test: nothing is known about how well it is recognised.",
    )


def test_a_trained_run_counts_its_pictures_by_class(finished_race: FinishedRace):
    record = load_record(finished_race.run("frozen"))

    assert {part: sum(numbers) for part, numbers in record.class_counts.items()} == {
        part: getattr(record.split, part) for part in ("train", "val", "test")
    }
    assert [sum(of) for of in zip(*record.class_counts.values(), strict=True)] == [10, 10, 10]
    assert list(record.class_counts["test"]) == [sum(row) for row in record.confusion]
    assert record.lacks == ()


@pytest.mark.parametrize("name", [RECORD, PREDICTIONS, WEIGHTS])
@pytest.mark.parametrize("make", ENDLESS, ids=lambda make: make.__name__)
def test_what_is_no_file_is_damage_and_is_not_read(name: str, make: Callable[[Path], None]):
    save(made_up_record())
    record = load_record("abc")
    path = run_folder("abc") / name
    path.unlink()
    make(path)

    for known in (record, replace(record, files={})):  # runs of earlier versions have no hashes
        with pytest.raises(RunError, match="are missing or damaged"):
            checked_file(known, name)
    if name == RECORD:
        with pytest.raises(RunError, match="has no record"):
            load_record("abc")
