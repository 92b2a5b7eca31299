"""Runs where nothing more can be written: they end well or say why, and leave nothing half."""

import errno
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers import drawn_classes, files_no_longer_than, write_files
from safetensors import SafetensorError

from core import home
from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.errors import StorageError
from core.machine import speeds
from core.runs import execute as module
from core.runs import finish
from core.runs import record as record_module
from core.runs.deletion import delete_run
from core.runs.execute import execute
from core.runs.record import delete_files, load_predictions, load_record, run_folder
from core.runs.store import Run, RunStore
from core.storage import FULL_SENTENCE, explain
from core.training import features


def never() -> bool:
    return False


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
            (finish, "save_model"),
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


@pytest.fixture
def few_dataset(tmp_path: Path) -> Dataset:
    """As few pictures as there may be: one test trains anew for every time that something is written."""
    files = {name: content for name, content in drawn_classes(3).items() if "stripes" not in name}
    return ingest(write_files(tmp_path / "fewest", files)).dataset


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
    assert ends == {"finished", "failed"}


def test_progress_that_cannot_be_written_stops_nobody(
    claimed: Callable[..., tuple[RunStore, Run]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "REPORT_EVERY_S", 0.0)
    store, run = claimed("finetuned", epochs=2)
    report, told = store.report, Counter[str]()

    def sometimes(*args: Any, **values: Any) -> bool:
        what = "".join(values)  # progress, epochs, or nothing but a sign of life: each kind is refused every other time
        told[what] += 1
        if told[what] % 2:
            raise StorageError("The database is locked.")
        return report(*args, **values)

    monkeypatch.setattr(store, "report", sometimes)
    execute(store, run, never)

    assert store.get(run.id).state == "finished" and store.get(run.id).epochs


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

    assert (store.get(run.id).state, store.get(run.id).cause) == ("failed", FULL_SENTENCE)


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
