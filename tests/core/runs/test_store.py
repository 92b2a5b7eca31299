"""The queue: one run at a time, whoever looks heals, and a worker that was given up for dead disturbs nobody."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import REPOSITORY

from core.errors import RunError
from core.runs import store as module
from core.runs.store import MAX_CRASHES, Run, RunStore
from core.settings import ModelSettings, OptimSettings, RunSettings


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


def test_progress_is_seen_by_everyone_and_gone_at_the_end(store: RunStore):
    (id_,) = queue(store)
    run = claim(store)

    assert store.report(run, progress={"fraction": 0.5}, epochs=[{"epoch": 1}])
    seen = RunStore().get(id_)
    assert (seen.progress, seen.epochs) == ({"fraction": 0.5}, [{"epoch": 1}])

    store.end(run, "finished")
    seen = store.get(id_)
    assert (seen.progress, seen.epochs, seen.worker) == (None, [{"epoch": 1}], None)
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
    store.report(run, progress={"fraction": 0.5}, epochs=[{"epoch": 1}])
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
