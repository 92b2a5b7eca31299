"""Rows: what was asked is what is there, everybody sees it, and what has ended stays as it is."""

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict

import pytest
from helpers import claim_run, queue_runs

from core.errors import RunError, StorageError
from core.home import thaw_home
from core.runs import life
from core.runs.database import Database
from core.runs.healing import SILENCE_S
from core.runs.store import Run, RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.settings.versions import to_dict
from core.storage import DATABASE
from core.training.history import EpochRecord, Progress

HALF = Progress(phase="train", done=1, total=2, fraction=0.5)
LOSSES = {"train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
EPOCH = EpochRecord(epoch=1, stage="train", lr=0.1, elapsed_s=1.0, **LOSSES)


def test_a_queued_run_is_what_was_asked(store: RunStore):
    plan = RunSettings(model=ModelSettings(scenario="finetuned"), optim=OptimSettings(epochs=7), seed=5)
    (id_,) = store.submit([plan], "Bilder ü 漢", race="r", decode_s=1.5)

    run = store.get(id_)

    assert (run.settings, run.dataset_title, run.race, run.decode_s) == (plan, "Bilder ü 漢", "r", 1.5)
    assert (run.state, run.attempt, run.crashes, run.cancel, run.is_active) == ("queued", 0, 0, False, True)


def test_what_is_asked_again_is_looked_up_again_once_somebody_has_written(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
):
    first, second = queue_runs(store, 2)
    looked, look = list[str](), Database.read
    monkeypatch.setattr(Database, "read", lambda self, query: looked.append("") or look(self, query))

    for _ in range(3):
        _let_time_pass()
        assert [run.id for run in store.runs(states=["queued"])] == [second, first]
    assert len(looked) == 3, "each time the file had another time"
    for _ in range(3):
        store.runs(states=["queued"]).clear()
        assert store.get(first).state == "queued"
    assert len(looked) == 4, "once more for the run by its id"

    RunStore().cancel(first)

    assert [run.id for run in store.runs(states=["queued"])] == [second] and store.get(first).state == "cancelled"


def _let_time_pass() -> None:
    """As if the database had been written a second ago."""
    os.utime(thaw_home() / DATABASE, (time.time() - 1, time.time() - 1))


def test_runs_are_found_by_the_beginning_of_their_id(store: RunStore):
    ids = queue_runs(store, 40)
    shared = next(a[:1] for a in ids if sum(b.startswith(a[:1]) for b in ids) > 1)

    assert store.get(ids[0][:9]).id == ids[0]
    with pytest.raises(RunError, match=f"several runs {shared!r}"):
        store.get(shared)


@pytest.mark.parametrize("unknown", ["", "nosuch", "%", "_", "' OR 1=1 --"])
def test_an_unknown_run_is_named(store: RunStore, unknown: str):
    queue_runs(store)

    with pytest.raises(RunError, match="is no run"):
        store.get(unknown)


def test_runs_are_listed_newest_first_and_by_state_and_race(store: RunStore):
    first, second = queue_runs(store, 2)
    (third,) = store.submit([RunSettings()], "pictures", race="r")
    claim_run(store)

    assert [run.id for run in store.runs()] == [third, second, first]
    assert [run.id for run in store.runs(states=("running",))] == [first]
    assert [run.id for run in store.runs(race="r")] == [third]
    assert [run.id for run in store.runs(limit=1)] == [third]
    assert [run.id for run in store.runs(ids=[first, third, "gone"])] == [third, first]


def test_progress_is_seen_by_everyone_and_gone_at_the_end(store: RunStore):
    (id_,) = queue_runs(store)
    run = claim_run(store)

    assert store.report(run, progress=asdict(HALF), epochs=[asdict(EPOCH)])
    seen = RunStore().get(id_)
    assert (seen.progress, seen.epochs) == (HALF, [EPOCH])

    store.end(run, "finished")
    seen = store.get(id_)
    assert (seen.progress, seen.epochs, seen.worker) == (None, [EPOCH], None)
    assert seen.ended is not None and seen.ended >= (seen.started or 0) >= seen.created


def test_what_comes_before_the_queue_is_told_to_the_next_run_until_it_is_taken(store: RunStore):
    first, second = queue_runs(store, 2)

    store.tell_waiting("torch")

    assert [store.get(id_).progress for id_ in (first, second)] == [Progress(phase="torch"), None]
    assert claim_run(store).progress is None
    store.tell_waiting("timing")
    assert store.get(first).progress is None and store.get(second).progress == Progress(phase="timing")


def test_a_queued_run_is_cancelled_at_once(store: RunStore):
    (id_,) = queue_runs(store)
    store.cancel(id_)

    assert store.get(id_).state == "cancelled"
    assert store.claim() is None


def test_a_running_run_learns_of_its_cancelling_at_its_next_report(store: RunStore):
    (id_,) = queue_runs(store)
    run = claim_run(store)
    assert store.report(run)

    store.cancel(id_)

    assert store.get(id_).state == "running"
    assert not store.report(run)
    assert store.end(run, "cancelled") and store.get(id_).state == "cancelled"


@pytest.mark.parametrize("state", ["finished", "failed", "cancelled"])
def test_an_ended_run_stays_as_it_is(store: RunStore, state: str):
    (id_,) = queue_runs(store)
    run = claim_run(store)
    store.end(run, state, cause="why")
    before = store.get(id_)

    store.cancel(id_)
    assert not store.report(run, progress={"fraction": 1})
    assert not store.end(run, "failed", cause="other")
    store.give_back(run)

    assert store.get(id_) == before


def test_an_ended_run_can_be_forgotten_and_others_not(store: RunStore):
    first, second = queue_runs(store, 2)
    run = claim_run(store)
    for active in (first, second, "nosuch"):
        with pytest.raises(RunError, match="still at work or unknown"):
            store.delete(active)

    store.end(run, "finished")
    store.delete(first)

    assert [run.id for run in store.runs()] == [second]


def test_a_database_can_be_chosen(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_DATABASE", f"sqlite:///{tmp_path / 'other.db'}")
    queue_runs(RunStore())

    assert (tmp_path / "other.db").is_file()
    assert RunStore(f"sqlite:///{tmp_path / 'third.db'}").runs() == []


def test_looks_at_test_pictures_are_counted_once_per_run_and_outlive_the_run(store: RunStore):
    queue_runs(store, 3)
    ends = (("finished", "x"), ("failed", None), ("finished", "y"))
    first, failed, other = (claim_and_end(store, *end) for end in ends)
    assert not store.end(first, "finished", test_part="x"), "it has ended already"

    store.delete(first.id)

    assert {failed.id, other.id} == {run.id for run in store.runs()}
    assert (store.evaluations("x"), store.evaluations("y"), store.evaluations("z")) == (1, 1, 0)


def claim_and_end(store: RunStore, state: str, test_part: str | None) -> Run:
    run = claim_run(store)
    store.end(run, state, test_part=test_part)
    return run


OLD_SCHEMA = """
CREATE TABLE runs (number INTEGER NOT NULL, id VARCHAR(32) NOT NULL, race VARCHAR(32), state VARCHAR(16) NOT NULL,
attempt INTEGER NOT NULL, crashes INTEGER NOT NULL, settings JSON NOT NULL, dataset_title VARCHAR(255) NOT NULL,
decode_s FLOAT NOT NULL, created FLOAT NOT NULL, started FLOAT, ended FLOAT, worker JSON, beat FLOAT,
cancel BOOLEAN NOT NULL, progress JSON, epochs JSON, cause TEXT, summary JSON, PRIMARY KEY (number), UNIQUE (id))
"""
"""As Thaw made it before workers beat."""


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 + 1], ids=["alive", "gone"])
def test_a_database_of_an_older_thaw_is_brought_up_to_date(pid: int, pass_time: Callable[..., list[str]]):
    row = {"state": "running", "attempt": 1, "crashes": 0, "settings": json.dumps(to_dict(RunSettings(seed=3)))}
    row |= {"dataset_title": "old", "decode_s": 0.0, "created": 1.0, "cancel": 0, "id": "a"}
    row |= {"worker": json.dumps({"host": life.identity()["host"], "pid": pid, "born": 1.0})}
    path = thaw_home() / "thaw.db"
    old = sqlite3.connect(path)
    with old:
        old.execute(OLD_SCHEMA)
        old.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
    old.close()

    store = RunStore()
    (run,) = store.runs()
    assert (run.settings.seed, run.dataset_title, run.beats, run.stopping, run.owner) == (3, "old", 0, False, None)
    assert pass_time(store, SILENCE_S + 2) == ["a"], "its worker does not beat"
    assert claim_run(RunStore()).attempt == 2


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("summary", '{"test_accuracy": 0.5}'),
        ("summary", '{"test_accuracy": "high"}'),
        ("summary", "[]"),
        ("summary", "[" * 100_000),
        ("settings", "[" * 100_000),
    ],
)
def test_a_row_that_says_what_it_cannot_say_is_damage(store: RunStore, column: str, text: str):
    queue_runs(store, 1)
    with closing(sqlite3.connect(thaw_home() / "thaw.db")) as connection, connection:
        connection.execute(f"UPDATE runs SET {column} = ?", [text])

    with pytest.raises(StorageError, match="is damaged"):
        store.runs()
