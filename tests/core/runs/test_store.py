"""The queue: one run at a time, whoever looks heals, and a worker that was given up for dead disturbs nobody."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import psutil
import pytest
from helpers import REPOSITORY

from core.errors import RunError
from core.home import thaw_home
from core.runs import life
from core.runs import store as module
from core.runs.store import CANCEL_WITHIN_S, MAX_CRASHES, SILENCE_S, STILL_S, Run, RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.settings.versions import to_dict
from core.training.history import EpochRecord, Progress


@pytest.fixture
def store() -> RunStore:
    return RunStore()


def queue(store: RunStore, count: int = 1) -> list[str]:
    return store.submit([RunSettings(seed=seed) for seed in range(count)], "pictures")


def claim(store: RunStore) -> Run:
    run = store.claim()
    assert run is not None
    return run


def python(code: str) -> str:
    """What another process says."""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def die(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Run]:
    """Claim a run as a process that is gone: our own number, but born at another time."""

    def claim_and_die() -> Run:
        with monkeypatch.context() as patch:
            mine = module._identity()
            patch.setattr(module, "_identity", lambda: {**mine, "born": mine["born"] - 1000})
            return claim(store)

    return claim_and_die


def test_a_queued_run_is_what_was_asked(store: RunStore):
    plan = RunSettings(model=ModelSettings(scenario="finetuned"), optim=OptimSettings(epochs=7), seed=5)
    (id_,) = store.submit([plan], "Bilder ü 漢", race="r", decode_s=1.5)

    run = store.get(id_)

    assert (run.settings, run.dataset_title, run.race, run.decode_s) == (plan, "Bilder ü 漢", "r", 1.5)
    assert (run.state, run.attempt, run.crashes, run.cancel, run.is_active) == ("queued", 0, 0, False, True)


def test_a_run_is_there_after_a_restart(store: RunStore):
    (id_,) = queue(store)

    assert RunStore().get(id_).state == "queued"


def test_runs_are_found_by_the_beginning_of_their_id(store: RunStore):
    ids = queue(store, 40)
    shared = next(a[:1] for a in ids if sum(b.startswith(a[:1]) for b in ids) > 1)

    assert store.get(ids[0][:9]).id == ids[0]
    with pytest.raises(RunError, match=f"several runs {shared!r}"):
        store.get(shared)


@pytest.mark.parametrize("unknown", ["", "nosuch", "%", "_", "' OR 1=1 --"])
def test_an_unknown_run_is_named(store: RunStore, unknown: str):
    queue(store)

    with pytest.raises(RunError, match="is no run"):
        store.get(unknown)


def test_runs_are_listed_newest_first_and_by_state_and_race(store: RunStore):
    first, second = queue(store, 2)
    (third,) = store.submit([RunSettings()], "pictures", race="r")
    claim(store)

    assert [run.id for run in store.runs()] == [third, second, first]
    assert [run.id for run in store.runs(states=("running",))] == [first]
    assert [run.id for run in store.runs(race="r")] == [third]
    assert [run.id for run in store.runs(limit=1)] == [third]


def test_runs_are_claimed_in_order_one_at_a_time(store: RunStore):
    first, second = queue(store, 2)

    run = claim(store)
    assert (run.id, run.state, run.attempt) == (first, "running", 1)
    assert store.claim() is None
    assert store.end(run, "finished", summary={"test_accuracy": 0.5})
    assert claim(store).id == second
    assert store.get(first).summary == {"test_accuracy": 0.5}


def test_an_empty_queue_gives_nothing(store: RunStore):
    assert store.claim() is None


def test_only_the_wanted_runs_are_claimed(store: RunStore):
    first, second = queue(store, 2)

    assert store.claim(only=[]) is None
    run = store.claim(only=[second])
    assert run is not None and run.id == second
    assert store.get(first).state == "queued"


def test_threads_never_claim_the_same_run(store: RunStore):
    ids, claimed, errors = queue(store, 20), [], []

    def work() -> None:
        mine = RunStore()
        try:
            while any(run.is_active for run in mine.runs()):
                run = mine.claim()
                if run:
                    claimed.append(run.id)
                    assert mine.end(run, "finished")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert errors == []
    assert sorted(claimed) == sorted(ids)


def test_processes_never_claim_the_same_run(store: RunStore):
    ids = queue(store, 12)
    code = (
        "import json\nfrom core.runs.store import RunStore\nstore, mine = RunStore(), []\n"
        "while any(run.is_active for run in store.runs()):\n"
        "    run = store.claim()\n"
        "    if run:\n        mine.append(run.id)\n        assert store.end(run, 'finished')\n"
        "print(json.dumps(mine))"
    )
    start = [subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE) for _ in range(3)]
    printed = [process.communicate(timeout=120)[0] for process in start]

    assert [process.returncode for process in start] == [0, 0, 0]
    assert sorted(id_ for text in printed for id_ in json.loads(text)) == sorted(ids)


HALF = Progress(phase="train", done=1, total=2, fraction=0.5)
EPOCH = EpochRecord(
    epoch=1,
    stage="train",
    train_loss=1.0,
    train_accuracy=0.5,
    val_loss=1.0,
    val_accuracy=0.5,
    lr=0.1,
    elapsed_s=1.0,
)


def test_progress_is_seen_by_everyone_and_gone_at_the_end(store: RunStore):
    (id_,) = queue(store)
    run = claim(store)

    assert store.report(run, progress=asdict(HALF), epochs=[asdict(EPOCH)])
    seen = RunStore().get(id_)
    assert (seen.progress, seen.epochs) == (HALF, [EPOCH])

    store.end(run, "finished")
    seen = store.get(id_)
    assert (seen.progress, seen.epochs, seen.worker) == (None, [EPOCH], None)
    assert seen.ended is not None and seen.ended >= (seen.started or 0) >= seen.created


def test_a_queued_run_is_cancelled_at_once(store: RunStore):
    (id_,) = queue(store)
    store.cancel(id_)

    assert store.get(id_).state == "cancelled"
    assert store.claim() is None


def test_a_running_run_learns_of_its_cancelling_at_its_next_report(store: RunStore):
    (id_,) = queue(store)
    run = claim(store)
    assert store.report(run)

    store.cancel(id_)

    assert store.get(id_).state == "running"
    assert not store.report(run)
    assert store.end(run, "cancelled") and store.get(id_).state == "cancelled"


@pytest.mark.parametrize("state", ["finished", "failed", "cancelled"])
def test_an_ended_run_stays_as_it_is(store: RunStore, state: str):
    (id_,) = queue(store)
    run = claim(store)
    store.end(run, state, cause="why")
    before = store.get(id_)

    store.cancel(id_)
    assert not store.report(run, progress={"fraction": 1})
    assert not store.end(run, "failed", cause="other")
    store.give_back(run)

    assert store.get(id_) == before


def test_an_ended_run_can_be_forgotten_and_others_not(store: RunStore):
    first, second = queue(store, 2)
    run = claim(store)
    for active in (first, second, "nosuch"):
        with pytest.raises(RunError, match="still at work or unknown"):
            store.delete(active)

    store.end(run, "finished")
    store.delete(first)

    assert [run.id for run in store.runs()] == [second]


def test_a_run_given_back_keeps_its_place_and_nothing_counts_as_a_crash(store: RunStore):
    first, _ = queue(store, 2)
    run = claim(store)
    store.report(run, progress=asdict(HALF), epochs=[asdict(EPOCH)])
    store.give_back(run)

    waiting = store.get(first)
    assert (waiting.state, waiting.crashes, waiting.progress, waiting.epochs) == ("queued", 0, None, [])
    assert (waiting.started, waiting.ended, waiting.worker) == (None, None, None)
    again = claim(store)
    assert (again.id, again.attempt) == (first, 2)


def test_a_living_worker_is_not_disturbed(store: RunStore):
    (id_,) = queue(store)
    claim(store)

    assert store.heal() == []
    assert store.get(id_).state == "running"


def test_a_run_whose_process_really_ended_is_done_by_the_next(store: RunStore):
    (id_,) = queue(store)
    python("from core.runs.store import RunStore; assert RunStore().claim()")
    assert store.get(id_).state == "running"

    run = claim(store)

    assert (run.id, run.attempt, run.crashes) == (id_, 2, 1)


def test_a_process_number_that_is_used_again_is_not_taken_for_the_worker(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue(store)
    die()

    assert store.heal() == [id_]
    healed = store.get(id_)
    assert (healed.state, healed.crashes, healed.worker, healed.progress) == ("queued", 1, None, None)


def test_a_healed_run_keeps_its_place(store: RunStore, die: Callable[[], Run]):
    first, _ = queue(store, 2)
    die()

    assert claim(store).id == first


def test_a_run_that_kills_every_worker_fails_with_its_cause(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue(store)
    for _ in range(MAX_CRASHES + 1):
        assert store.get(id_).state == "queued"
        die()
        store.heal()

    run = store.get(id_)
    assert (run.state, run.crashes) == ("failed", MAX_CRASHES + 1)
    assert run.cause is not None and "ended unexpectedly" in run.cause and run.ended is not None
    assert store.claim() is None


def test_a_cancelled_run_whose_worker_died_is_cancelled_not_repeated(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue(store)
    die()
    store.cancel(id_)
    store.heal()

    assert store.get(id_).state == "cancelled"


def test_a_worker_that_wakes_after_it_was_given_up_changes_nothing(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue(store)
    stale = die()
    fresh = claim(store)
    assert (fresh.id, fresh.attempt) == (stale.id, stale.attempt + 1)

    assert not store.report(stale, progress={"fraction": 0.9})
    assert not store.end(stale, "failed", cause="stale")
    store.give_back(stale)

    assert store.get(id_) == fresh
    assert store.report(fresh) and store.end(fresh, "finished")


def test_a_worker_elsewhere_is_believed_as_long_as_it_gives_signs_of_life(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
):
    (id_,) = queue(store)
    elsewhere: dict[str, Any] = {"host": "elsewhere", "pid": 1, "born": 0.0}
    with monkeypatch.context() as patch:
        patch.setattr(module, "_identity", lambda: elsewhere)
        claim(store)

    assert store.heal() == []
    monkeypatch.setattr(module, "SILENCE_S", -1.0)
    assert store.heal() == [id_]


def progress(fraction: float, phase: str = "train", epoch: int = 1) -> Progress:
    return Progress(phase=phase, epoch=epoch, fraction=fraction)


def crash_at(store: RunStore, die: Callable[[], Run], *places: Progress) -> Run:
    """The run after its worker was killed at these places, one after the other."""
    for place in places:
        run = die()
        store.report(run, progress=asdict(place))
        store.heal()
    return store.get(run.id)


def test_a_run_whose_worker_was_asked_to_stop_never_fails_however_the_worker_ends(store: RunStore):
    (id_,) = queue(store)
    for _ in range(MAX_CRASHES + 2):
        code = "import os; from core.runs.store import RunStore; assert RunStore().claim(); print(os.getpid()); input()"
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as worker:
            assert worker.stdout is not None
            pid = int(worker.stdout.readline())
            store.ask_to_stop(pid)
            worker.kill()
        assert store.heal() == [id_]

    run = store.get(id_)
    assert (run.state, run.attempt, run.crashes, run.cause) == ("queued", MAX_CRASHES + 2, 0, None)
    claim(store)
    assert not store.get(id_).stopping


def test_only_the_worker_that_was_asked_is_excused(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue(store)
    die()
    store.ask_to_stop(os.getppid())
    store.heal()

    assert store.get(id_).crashes == 1


def test_a_stop_that_is_noted_while_somebody_finds_the_worker_dead_still_counts(
    store: RunStore, die: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
):
    (id_,) = queue(store)
    run = die()
    found = store._loss

    def noted_meanwhile(*args: Any) -> str | None:
        store.beat(run, stopping=True)
        return found(*args)

    monkeypatch.setattr(store, "_loss", noted_meanwhile)
    store.heal()
    monkeypatch.setattr(store, "_loss", found)
    store.heal()

    assert (store.get(id_).state, store.get(id_).crashes) == ("queued", 0)


def test_a_crash_further_on_than_ever_is_the_first_of_its_kind(store: RunStore, die: Callable[[], Run]):
    queue(store)
    places = [progress(0.1 * epoch, epoch=epoch) for epoch in range(1, 10)]

    run = crash_at(store, die, *places)

    assert (run.state, run.crashes, run.reached) == ("queued", 1, places[-1])


def test_a_crash_at_the_same_place_each_time_fails_whatever_was_written_last(store: RunStore, die: Callable[[], Run]):
    queue(store)
    nearly_the_same = [progress(0.50, epoch=5), progress(0.51, epoch=5), progress(0.52, epoch=5)]

    run = crash_at(store, die, *nearly_the_same)

    assert (run.state, run.crashes) == ("failed", MAX_CRASHES + 1)
    assert run.cause is not None and "3 times without getting further" in run.cause


def test_crashes_before_the_furthest_place_count(store: RunStore, die: Callable[[], Run]):
    queue(store)

    run = crash_at(store, die, progress(0.6, epoch=6), progress(0.2, epoch=2), progress(0.4, epoch=4))

    assert run.state == "failed" and run.reached == progress(0.6, epoch=6)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Let seconds pass by the clock that is never set, while somebody looks every few of them."""
    now = time.monotonic()
    monkeypatch.setattr(life.time, "monotonic", lambda: now)

    def wait(store: RunStore, seconds: float, every: float = 1.0, meanwhile: Callable[[], object] = list) -> list[str]:
        nonlocal now
        end, healed = now + seconds, []
        while now < end:
            now += every
            meanwhile()
            healed += store.heal()
        return healed

    return wait


Wait = Callable[..., list[str]]


def test_a_living_worker_without_a_sign_of_life_is_given_up_and_cannot_disturb(store: RunStore, pass_time: Wait):
    (id_,) = queue(store)
    stopped = claim(store)

    assert pass_time(store, SILENCE_S) == []
    assert pass_time(store, 5) == [id_]

    run = store.get(id_)
    assert (run.state, run.crashes) == ("queued", 1) and "stopped answering" in (run.cause or "")
    fresh = claim(store)
    assert not store.beat(stopped) and not store.report(stopped) and not store.end(stopped, "failed", cause="stale")
    assert store.get(id_) == fresh


def test_slow_work_goes_on_as_long_as_its_worker_beats_and_is_only_spoken_of(store: RunStore, pass_time: Wait):
    queue(store)
    run = claim(store)
    store.report(run, progress=asdict(progress(0.1)))
    assert store.standstill(run) is None

    assert pass_time(store, 2 * STILL_S, every=5, meanwhile=lambda: store.beat(run)) == []

    said = store.standstill(store.get(run.id))
    assert said is not None and said.startswith("no progress for 20 minutes")
    store.report(run, progress=asdict(progress(0.2)))
    assert store.standstill(store.get(run.id)) is None


def test_a_watcher_that_was_stopped_itself_has_seen_nothing_meanwhile(store: RunStore, pass_time: Wait):
    queue(store)
    claim(store)

    assert pass_time(store, 36_000, every=12_000) == []


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_changes_nothing(store: RunStore, monkeypatch: pytest.MonkeyPatch, step: float):
    (id_,) = queue(store)
    run, real, boot = claim(store), time.time, psutil.boot_time()
    monkeypatch.setattr(time, "time", lambda: real() + step)
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + step)  # as the kernel tells it then
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + step, raising=False)

    assert store.heal() == [] and store.report(run)
    assert "[]" in python("from core.runs.store import RunStore; print(RunStore().heal())")
    assert store.get(id_).attempt == 1 and store.end(run, "finished")


def test_a_machine_that_was_restarted_is_no_crash(store: RunStore, monkeypatch: pytest.MonkeyPatch):
    (id_,) = queue(store)
    with monkeypatch.context() as patch:
        mine = module._identity()
        patch.setattr(module, "_identity", lambda: {**mine, "boot": "before"})
        claim(store)

    assert store.heal() == [id_]
    run = store.get(id_)
    assert (run.state, run.crashes) == ("queued", 0) and "machine was restarted" in (run.cause or "")


def test_another_container_with_our_name_is_judged_by_its_beats(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, pass_time: Wait
):
    (id_,) = queue(store)
    with monkeypatch.context() as patch:
        mine = module._identity()
        patch.setattr(module, "_identity", lambda: {**mine, "space": "pid:[1]", "born": 0})
        claim(store)

    assert store.heal() == [] and pass_time(store, SILENCE_S + 1) == [id_]


def test_a_cancelled_run_whose_worker_goes_on_beating_ends_all_the_same(store: RunStore, pass_time: Wait):
    (id_,) = queue(store)
    run = claim(store)
    store.cancel(id_)

    assert pass_time(store, CANCEL_WITHIN_S, meanwhile=lambda: store.beat(run)) == []
    assert pass_time(store, 2, meanwhile=lambda: store.beat(run)) == [id_]
    assert store.get(id_).state == "cancelled" and not store.beat(run)


@pytest.fixture
def gone() -> life.Identity:
    """A process that has ended."""
    return json.loads(python("import json; from core.runs.life import identity; print(json.dumps(identity()))"))


def test_a_run_ends_with_the_process_it_belongs_to(store: RunStore, gone: life.Identity):
    (id_,) = store.submit([RunSettings()], "pictures", owner=gone)
    (ours,) = store.submit([RunSettings()], "pictures", owner=life.identity())

    assert store.heal() == [id_] and claim(store).id == ours
    run = store.get(id_)
    assert run.state == "cancelled" and "command that trained it was ended" in (run.cause or "") and run.ended


def test_a_worker_learns_that_the_command_it_trains_for_was_ended(store: RunStore, gone: life.Identity):
    (id_,) = store.submit([RunSettings()], "pictures", owner=life.identity())
    run = claim(store)
    with store._write() as connection:
        connection.execute(module.sa.update(module._runs).values(owner=gone))
    store.heal()

    assert store.get(id_).state == "running" and not store.report(run)
    store.end(run, "cancelled")
    assert "command that trained it was ended" in (store.get(id_).cause or "")


def test_a_run_whose_owner_trained_it_and_was_killed_is_not_trained_by_the_next(store: RunStore):
    python(
        "from core.runs.life import identity; from core.runs.store import RunStore; from core.settings.schema import "
        "RunSettings\nRunStore().submit([RunSettings()], 'x', owner=identity()); assert RunStore().claim()"
    )

    assert store.claim() is None
    (run,) = store.runs()
    assert run.state == "cancelled" and "command that trained it was ended" in (run.cause or "")


def test_an_owner_elsewhere_is_known_by_its_beats(store: RunStore, pass_time: Wait):
    elsewhere = {**life.identity(), "host": "elsewhere", "pid": 1}
    (id_,) = store.submit([RunSettings()], "pictures", owner=elsewhere)

    assert pass_time(store, 3 * SILENCE_S, meanwhile=lambda: store.beat_owner([id_])) == []
    assert pass_time(store, SILENCE_S + 2) == [id_]


OLD_SCHEMA = """
CREATE TABLE runs (number INTEGER NOT NULL, id VARCHAR(32) NOT NULL, race VARCHAR(32), state VARCHAR(16) NOT NULL,
attempt INTEGER NOT NULL, crashes INTEGER NOT NULL, settings JSON NOT NULL, dataset_title VARCHAR(255) NOT NULL,
decode_s FLOAT NOT NULL, created FLOAT NOT NULL, started FLOAT, ended FLOAT, worker JSON, beat FLOAT,
cancel BOOLEAN NOT NULL, progress JSON, epochs JSON, cause TEXT, summary JSON, PRIMARY KEY (number), UNIQUE (id))
"""
"""As Thaw made it before workers beat."""


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 + 1], ids=["alive", "gone"])
def test_a_database_of_an_older_thaw_is_brought_up_to_date(pid: int, pass_time: Wait):
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
    assert claim(RunStore()).attempt == 2


def test_two_healers_count_one_crash(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue(store)
    die()
    threads = [threading.Thread(target=RunStore().heal) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.get(id_).crashes == 1


def test_a_database_can_be_chosen(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_DATABASE", f"sqlite:///{tmp_path / 'other.db'}")
    queue(RunStore())

    assert (tmp_path / "other.db").is_file()
    assert RunStore(f"sqlite:///{tmp_path / 'third.db'}").runs() == []


def test_looks_at_test_pictures_are_counted_once_per_run_and_outlive_the_run(store: RunStore):
    queue(store, 3)
    ends = (("finished", "x"), ("failed", None), ("finished", "y"))
    first, failed, other = (claim_and_end(store, *end) for end in ends)
    assert not store.end(first, "finished", test_part="x"), "it has ended already"

    store.delete(first.id)

    assert {failed.id, other.id} == {run.id for run in store.runs()}
    assert (store.looks("x"), store.looks("y"), store.looks("z")) == (1, 1, 0)


def claim_and_end(store: RunStore, state: str, test_part: str | None) -> Run:
    run = claim(store)
    store.end(run, state, test_part=test_part)
    return run
