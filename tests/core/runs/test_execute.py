"""One claimed run from start to record, and every way it can end."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from helpers import files_no_longer_than
from safetensors import SafetensorError

from core import home
from core.data.ingest import Ingested
from core.errors import StorageError
from core.machine import speeds
from core.machine.speeds import Speeds, load_speeds
from core.runs import execute as module
from core.runs import record as record_module
from core.runs.deletion import delete_run
from core.runs.execute import execute
from core.runs.race import submit
from core.runs.record import (
    HeadRecord,
    PrecisionRecord,
    delete_files,
    load_predictions,
    load_record,
    run_folder,
)
from core.runs.store import Run, RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.storage import FULL_SENTENCE, explain
from core.training import features


@pytest.fixture
def claimed(tiny_dataset) -> Callable[..., tuple[RunStore, Run]]:
    """Queue and claim a run on the drawn pictures."""

    def make(scenario: str = "frozen", **optim: object) -> tuple[RunStore, Run]:
        store = RunStore()
        plan = RunSettings(
            model=ModelSettings(scenario=scenario), optim=OptimSettings(**{"epochs": 1, "batch_size": 8, **optim})
        )
        submit(store, [plan], Ingested(dataset=tiny_dataset, decode_s=0.5), as_race=False)
        run = store.claim()
        assert run is not None
        return store, run

    return make


def never() -> bool:
    return False


def test_a_run_ends_finished_with_its_record(claimed: Callable[..., tuple[RunStore, Run]]):
    store, run = claimed()

    execute(store, run, never)

    ended, record = store.get(run.id), load_record(run.id)
    assert ended.state == "finished" and ended.cause is None
    assert ended.summary is not None and ended.summary["test_accuracy"] == record.test_accuracy
    assert ended.epochs == list(record.history) and ended.epochs[-1].lr is None
    assert record.timings.decode == 0.5 and record.duration_s > 0.5


def test_a_diverged_run_fails_with_advice_and_leaves_no_folder(claimed: Callable[..., tuple[RunStore, Run]]):
    rates = {"lr": 10.0, "backbone_lr": 10.0, "weight_decay": 1.0, "schedule": "constant"}
    store, run = claimed("finetuned", optimizer="sgd", epochs=40, train_size=96, **rates)

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


@pytest.mark.parametrize(
    ("failure", "cause"), [(MemoryError(), "out of memory"), (ZeroDivisionError("secret/path"), "ZeroDivisionError")]
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
    store, run = claimed(views=4)  # 4 x 18 and 6 and 6 pictures go forward
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
    store, run = claimed(views=1)  # 18 and 6 and 6 pictures
    execute(store, run, never)

    assert load_record(run.id).work["pictures_forward"] == 30 and seen() == {}


class Disk:
    """Refuses writing from the n-th time on, as a disk that is full: files, folders and tensors, and the database."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: int, forgiving: bool) -> None:
        self.allowed, self.forgiving, self.asked = allowed, forgiving, 0
        for owner, name in (
            (home, "write_atomically"),
            (record_module, "write_atomically"),
            (speeds, "write_atomically"),
            (tempfile, "mkdtemp"),
            (record_module, "save_file"),
            (module, "save_model"),
            (features, "save_file"),
            (RunStore, "end"),
        ):
            monkeypatch.setattr(owner, name, self.guarded(getattr(owner, name)))

    def guarded(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def guard(*args: Any, **values: Any) -> Any:
            self.asked += 1
            is_full = self.asked == self.allowed + 1 if self.forgiving else self.asked > self.allowed
            if is_full and write.__name__ == "end":
                raise StorageError(FULL_SENTENCE, full=True)
            if is_full and write.__name__.startswith("save_"):
                raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
            if is_full and write.__name__ == "write_atomically":
                raise explain(OSError(errno.ENOSPC, "No space left on device"))
            if is_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(*args, **values)

        return guard


def left_behind(thaw_home: Path) -> list[Path]:
    """Half files and folders."""
    runs = [path for path in (thaw_home / "runs").glob("*") if not (path / "record.json").is_file()]
    return [*runs, *thaw_home.rglob("*.part"), *thaw_home.rglob(".*"), *(thaw_home / "staging").glob("*")]


@pytest.mark.parametrize("forgiving", [True, False], ids=["for a moment", "from then on"])
def test_wherever_the_disk_is_full_a_run_ends_well_or_says_so_and_leaves_nothing_half(
    claimed: Callable[..., tuple[RunStore, Run]], thaw_home: Path, monkeypatch: pytest.MonkeyPatch, forgiving: bool
):
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    store, run = claimed(views=1, l2=0.1)
    ends, allowed = set(), 0
    while True:
        with monkeypatch.context() as patch:
            disk = Disk(patch, allowed, forgiving)
            with suppress(StorageError):  # the end could not be written down in time
                execute(store, run, never, patience_s=0.05)
        if store.get(run.id).is_active:
            assert not forgiving and store.end(run, "failed", cause=FULL_SENTENCE)
        ended = store.get(run.id)
        assert ended.state == "finished" or ended.cause == FULL_SENTENCE
        assert left_behind(thaw_home) == []
        if ended.state == "finished":
            assert load_record(run.id).test_accuracy == (ended.summary or {})["test_accuracy"]
            load_predictions(run.id)
        else:
            assert forgiving is False or not run_folder(run.id).exists()
        ends.add(ended.state)
        if disk.asked <= allowed:
            break
        delete_files(run.id)
        shutil.rmtree(thaw_home / "cache", ignore_errors=True)
        (again,) = store.submit([run.settings], "pictures")
        claimed_again = store.claim(only=[again])
        assert claimed_again is not None
        run, allowed = claimed_again, allowed + 1
    assert allowed > 6 and ends == {"finished", "failed"}


def test_progress_that_cannot_be_written_stops_nobody(
    claimed: Callable[..., tuple[RunStore, Run]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "REPORT_EVERY_S", 0.0)
    store, run = claimed("finetuned", epochs=2)
    report, told = store.report, []

    def sometimes(*args: Any, **values: Any) -> bool:
        told.append(values)
        if len(told) % 2:
            raise StorageError("The database is locked.")
        return report(*args, **values)

    monkeypatch.setattr(store, "report", sometimes)
    execute(store, run, never)

    assert store.get(run.id).state == "finished" and len(told) > 4


def test_a_run_whose_weights_do_not_fit_fails_with_the_sentence(
    claimed: Callable[..., tuple[RunStore, Run]], thaw_home: Path
):
    store, run = claimed(views=1)

    with files_no_longer_than(9_000_000):  # of 16
        execute(store, run, never)

    assert (store.get(run.id).state, store.get(run.id).cause) == ("failed", FULL_SENTENCE)
    assert left_behind(thaw_home) == []


def test_an_end_that_cannot_be_written_down_is_written_as_soon_as_it_can(
    claimed: Callable[..., tuple[RunStore, Run]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    store, run = claimed()
    end, tries = store.end, []

    def reluctant(*args: Any, **values: Any) -> bool:
        tries.append(args)
        if len(tries) < 5:
            raise StorageError(FULL_SENTENCE, full=True)
        return end(*args, **values)

    def full(*args: object, **values: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/path")

    monkeypatch.setattr(module, "train_run", full)
    monkeypatch.setattr(store, "end", reluctant)
    execute(store, run, never)

    assert (store.get(run.id).state, store.get(run.id).cause, len(tries)) == ("failed", FULL_SENTENCE, 5)


def test_a_damaged_data_set_is_not_trained_on(claimed: Callable[..., tuple[RunStore, Run]], tiny_dataset):
    store, run = claimed()
    path = tiny_dataset.folder / "pixels.u8"
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # nothing but the pixels tells

    execute(store, run, never)

    ended = store.get(run.id)
    assert ended.state == "failed" and f"The files of data set '{tiny_dataset.id}' are damaged" in str(ended.cause)


def test_a_run_can_be_deleted_on_a_full_disk(
    claimed: Callable[..., tuple[RunStore, Run]], monkeypatch: pytest.MonkeyPatch
):
    store, run = claimed(views=1)
    execute(store, run, never)
    delete = store.delete

    def wants_room(run_id: str) -> None:
        if run_folder(run_id).exists():
            raise StorageError(FULL_SENTENCE, full=True)
        delete(run_id)

    monkeypatch.setattr(store, "delete", wants_room)
    delete_run(store, run.id)

    assert store.runs() == [] and not run_folder(run.id).exists()


def test_a_run_at_work_keeps_its_files_whatever_the_disk_is_like(
    claimed: Callable[..., tuple[RunStore, Run]], monkeypatch: pytest.MonkeyPatch
):
    store, run = claimed()
    (run_folder(run.id)).mkdir()

    def full(run_id: str) -> None:
        raise StorageError(FULL_SENTENCE, full=True)

    monkeypatch.setattr(store, "delete", full)
    with pytest.raises(StorageError):
        delete_run(store, run.id)

    assert run_folder(run.id).exists()
