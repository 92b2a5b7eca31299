"""One claimed run from start to record, and every way it can end."""

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from core.data.dataset import Dataset
from core.machine.speeds import Speeds, load_speeds
from core.runs import execute as module
from core.runs import finish
from core.runs import record as record_module
from core.runs.deletion import delete_run, sweep_runs
from core.runs.execute import execute
from core.runs.record import HeadRecord, PrecisionRecord, checkpoint_path, load_record, run_folder
from core.runs.store import Run, RunStore
from core.training import checkpoint


def never() -> bool:
    return False


def test_a_run_ends_finished_with_its_record(claimed: Callable[..., tuple[RunStore, Run]]):
    store, run = claimed()

    execute(store, run, never)

    ended, record = store.get(run.id), load_record(run.id)
    assert ended.state == "finished" and ended.cause is None
    assert ended.summary is not None and ended.summary["test_accuracy"] == record.test_accuracy
    assert ended.epochs == list(record.history) and ended.epochs[-1].lr is None
    assert ended.watched is not None and ended.watched.epoch == len(ended.epochs)
    assert not set(ended.watched.pictures) & set(record.test_pictures)
    assert record.timings.decode == 0.5 and record.duration_s > 0.5


def test_a_diverged_run_fails_with_advice_and_leaves_no_folder(claimed: Callable[..., tuple[RunStore, Run]]):
    rates = {"lr": 10.0, "backbone_lr": 10.0, "weight_decay": 1.0, "schedule": "constant"}
    # what is frozen is computed once, and epochs are quick
    store, run = claimed("last-stages", optimizer="sgd", epochs=40, batch_size=2, **rates)

    execute(store, run, never)

    ended = store.get(run.id)
    assert ended.state == "failed" and ended.cause is not None
    assert "Try a tenth of the learning rate" in ended.cause
    assert not run_folder(run.id).exists()


def test_a_data_set_that_has_gone_is_the_cause(claimed: Callable[..., tuple[RunStore, Run]]):
    store, run = claimed()
    gone = replace(run.settings, data=replace(run.settings.data, dataset="0" * 16))

    execute(store, replace(run, settings=gone), never)

    assert store.get(run.id).state == "failed"
    assert "add it again" in str(store.get(run.id).cause)


def test_a_cancelled_run_ends_cancelled_and_leaves_no_folder(claimed: Callable[..., tuple[RunStore, Run]]):
    store, run = claimed("finetuned", epochs=50, batch_size=4)
    store.cancel(run.id)

    execute(store, run, never)

    assert store.get(run.id).state == "cancelled"
    assert not run_folder(run.id).exists()


def test_a_worker_that_is_to_go_gives_its_run_back(claimed: Callable[..., tuple[RunStore, Run]]):
    store, run = claimed("finetuned", epochs=50)

    execute(store, run, lambda: True)

    waiting = store.get(run.id)
    assert (waiting.state, waiting.crashes, waiting.epochs) == ("queued", 0, [])


def test_a_run_that_was_given_back_goes_on_after_its_last_epoch(
    claimed: Callable[..., tuple[RunStore, Run]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checkpoint, "SAVE_EVERY_S", 0.0)
    store, run = claimed("finetuned", epochs=2, batch_size=5, train_size=96)
    path = checkpoint_path(run.id)

    execute(store, run, path.exists)  # asked to stop when the first epoch is kept
    assert store.get(run.id).state == "queued" and path.exists()

    again = store.claim()
    sweep_runs(store)  # a worker starts beside it
    execute(store, again, never)
    record = load_record(run.id)
    assert [epoch.epoch for epoch in record.history] == [1, 2] and not path.exists()
    assert store.get(run.id).epochs == list(record.history)
    assert record.work["optimizer_steps"] == 2 * 2, "those of the first attempt count, none was done twice"
    assert record.timings.train < record.duration_s


def test_what_no_run_needs_any_more_is_swept(claimed: Callable[..., tuple[RunStore, Run]]):
    store, run = claimed()
    for name in (run.id, "0123456789"):
        checkpoint_path(name).write_bytes(b"")

    run_folder("0123456789").mkdir()  # not in the database yet, as of a run that is being brought back
    run_folder(run.id).mkdir()
    sweep_runs(store)
    assert checkpoint_path(run.id).exists() and not checkpoint_path("0123456789").exists()
    assert run_folder(run.id).exists() and run_folder("0123456789").exists()

    store.end(run, "failed", cause="It was killed three times, the last time when its folder was in place.")
    sweep_runs(store)
    assert not run_folder(run.id).exists() and not checkpoint_path(run.id).exists()


def test_what_the_system_does_not_remove_stops_no_run_no_deletion_and_no_worker(
    claimed: Callable[..., tuple[RunStore, Run]],
):
    store, run = claimed()
    for name in (run.id, "0123456789"):
        checkpoint_path(name).mkdir()  # where a file is expected: removing it fails, as on a disk that is ill

    sweep_runs(store)
    checkpoint.Checkpoint(checkpoint_path(run.id)).remove()
    store.end(run, "failed", cause="The disk is ill.")
    delete_run(store, run.id)

    assert store.runs() == []


@pytest.mark.parametrize(
    ("failure", "cause"),
    [(MemoryError(), "memory of the machine is not enough"), (ZeroDivisionError("secret/path"), "ZeroDivisionError")],
)
def test_whatever_a_run_dies_of_is_its_cause_and_no_detail_leaks(
    claimed: Callable[..., tuple[RunStore, Run]], monkeypatch: pytest.MonkeyPatch, failure: Exception, cause: str
):
    store, run = claimed()

    def fail(*args: object, **values: object) -> None:
        raise failure

    monkeypatch.setattr(module, "train_run", fail)
    execute(store, run, never)

    ended = store.get(run.id)
    assert ended.state == "failed" and cause in str(ended.cause) and "secret" not in str(ended.cause)


def test_files_of_an_attempt_that_died_before_the_database_knew_are_replaced(
    claimed: Callable[..., tuple[RunStore, Run]],
):
    store, run = claimed()
    run_folder(run.id).mkdir()
    (run_folder(run.id) / "record.json").write_text("half")

    execute(store, run, never)

    assert load_record(run.id).run == run.id


@pytest.mark.parametrize(
    ("owner", "name"), [(finish, "save_run"), (record_module, "write_atomically")], ids=["before", "after"]
)
def test_a_worker_that_wakes_before_or_after_it_wrote_its_files_leaves_those_of_its_successor(
    claimed: Callable[..., tuple[RunStore, Run]],
    thaw_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
):
    store, halted = claimed(views=1, l2=0.1)
    write, records = getattr(owner, name), []

    def sleep_first(*args: Any, **values: Any) -> Any:
        monkeypatch.setattr(owner, name, write)
        store.give_up(os.getpid())
        successor = store.claim()
        assert successor is not None
        execute(store, successor, never)
        records.append((store.get(halted.id), load_record(halted.id)))
        return write(*args, **values)

    monkeypatch.setattr(owner, name, sleep_first)
    execute(store, halted, never)

    assert records == [(store.get(halted.id), load_record(halted.id))] and not [*(thaw_home / "staging").iterdir()]
    assert (store.get(halted.id).state, store.get(halted.id).attempt) == ("finished", 2)


def seen() -> dict[str, float]:
    speeds = load_speeds("efficientnet_lite0")
    assert isinstance(speeds, Speeds)
    return speeds.seen


def test_the_record_says_how_a_head_was_solved_for_and_in_what_was_computed(
    claimed: Callable[..., tuple[RunStore, Run]],
):
    store, run = claimed(precision="bf16", l2=0.5)
    execute(store, run, never)

    record, summary = load_record(run.id), store.get(run.id).summary
    assert record.head == HeadRecord(l2=0.5, path=(), iterations=record.work["head_iterations"])
    assert record.precision == PrecisionRecord(features="bf16", train="bf16")
    assert summary is not None and summary["precision"] == asdict(record.precision)
    assert summary["epochs"] == len(record.history) and record.best_epoch == len(record.history)


def test_speeds_are_remembered_from_enough_real_work_and_not_spoilt_by_a_cached_run(
    claimed: Callable[..., tuple[RunStore, Run]],
):
    store, run = claimed(views=8)  # 8 x 9 and 3 and 3 pictures go forward
    execute(store, run, never)
    first = seen()

    (again,) = store.submit([run.settings], "pictures")
    second = store.claim(only=[again])
    assert second is not None
    execute(store, second, never)

    assert set(first) == {"forward/fp32"} and first["forward/fp32"] > 0
    assert store.get(again).state == "finished" and "pictures_forward" not in load_record(again).work
    assert seen() == first


def test_little_work_says_nothing_about_speed(claimed: Callable[..., tuple[RunStore, Run]]):
    store, run = claimed(views=1)  # 9 and 3 and 3 pictures
    execute(store, run, never)

    assert load_record(run.id).work["pictures_forward"] == 15 and seen() == {}


def test_a_damaged_data_set_is_not_trained_on(claimed: Callable[..., tuple[RunStore, Run]], few_dataset: Dataset):
    store, run = claimed()
    path = few_dataset.folder / "pixels.u8"
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # nothing but the pixels tells

    execute(store, run, never)

    ended = store.get(run.id)
    assert ended.state == "failed" and f"The files of data set '{few_dataset.id}' are damaged" in str(ended.cause)
