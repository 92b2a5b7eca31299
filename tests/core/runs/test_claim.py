"""A run is claimed once, in its turn, and stays its worker's as long as that one holds it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import sqlalchemy as sa
from helpers import REPOSITORY, claim_run, queue_runs

from core.runs.store import Run, RunStore


def test_runs_are_claimed_in_order_one_at_a_time(store: RunStore):
    first, second = queue_runs(store, 2)

    run = claim_run(store)
    assert (run.id, run.state, run.attempt) == (first, "running", 1)
    assert store.claim() is None
    assert store.end(run, "finished")
    assert claim_run(store).id == second
    assert store.get(first).state == "finished"
    assert store.claim() is None


def test_only_the_wanted_runs_are_claimed(store: RunStore):
    first, second = queue_runs(store, 2)

    assert store.claim(only=[]) is None
    run = store.claim(only=[second])
    assert run is not None and run.id == second
    assert store.get(first).state == "queued"


def test_a_run_given_back_keeps_its_place_and_nothing_counts_as_a_crash(store: RunStore):
    first, _ = queue_runs(store, 2)
    run = claim_run(store)
    store.report(run, progress={"fraction": 0.5}, epochs=[{"epoch": 1}])
    store.give_back(run)

    waiting = store.get(first)
    assert (waiting.state, waiting.crashes, waiting.progress, waiting.epochs) == ("queued", 0, None, [])
    assert (waiting.started, waiting.ended, waiting.worker) == (None, None, None)
    again = claim_run(store)
    assert (again.id, again.attempt) == (first, 2)


def test_a_worker_that_wakes_after_it_was_given_up_changes_nothing(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue_runs(store)
    stale = die()
    fresh = claim_run(store)
    assert (fresh.id, fresh.attempt) == (stale.id, stale.attempt + 1)

    assert not store.report(stale, progress={"fraction": 0.9})
    assert not store.end(stale, "failed", cause="stale")
    store.give_back(stale)

    assert store.get(id_) == fresh
    assert store.report(fresh) and store.end(fresh, "finished")


CLAIM_ALL = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from core.runs.store import RunStore

def claim_all(number):
    store, mine = RunStore(sys.argv[1]), []
    while store.runs(["queued", "running"], limit=1):
        run = store.claim()
        if run:
            mine.append((run.id, run.attempt))
            assert store.end(run, "finished")
    return mine

with ThreadPoolExecutor(2) as pool:
    print(json.dumps([pair for mine in pool.map(claim_all, range(2)) for pair in mine]))
"""


def test_two_processes_never_claim_the_same_run(database_url: str):
    ids = queue_runs(RunStore(database_url), 200 if database_url.startswith("postgresql") else 40)
    command = [sys.executable, "-c", CLAIM_ALL, database_url]
    start = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in start]

    assert [process.returncode for process in start] == [0, 0]
    assert sorted(pair for text in printed for pair in json.loads(text)) == sorted([id_, 1] for id_ in ids)


def test_a_run_that_is_lost_as_soon_as_it_is_claimed_is_not_mistaken_for_its_next_attempt(database_url: str):
    store, other, taken, looking = RunStore(database_url), RunStore(database_url), list[Run](), threading.Lock()
    queue_runs(store)

    def lose(*args: object) -> None:
        """The worker is halted as soon as its claim is in the database, given up, and its run is claimed again."""
        if looking.acquire(blocking=False):  # our own connections close, too
            if not taken and other.runs(["running"]):
                other.give_up(os.getpid())
                taken.append(claim_run(other))
            looking.release()

    sa.event.listen(sa.pool.Pool, "checkin", lose)
    try:
        mine = store.claim()
    finally:
        sa.event.remove(sa.pool.Pool, "checkin", lose)

    (theirs,) = taken
    assert mine is not None and (mine.attempt, theirs.attempt) == (1, 2)
    assert not store.report(mine) and store.report(theirs)


def test_nobody_takes_a_run_from_a_worker_that_holds_it(database_url: str):
    store = RunStore(database_url)
    (id_,) = queue_runs(store)
    run = claim_run(store)
    taking = threading.Thread(target=RunStore(database_url).give_up, args=(os.getpid(),))

    with store.holding(run) as ours:
        taking.start()
        taking.join(0.3)
        assert ours and taking.is_alive()
    taking.join(60)

    assert store.get(id_).state == "queued"
    with store.holding(run) as ours:
        assert not ours
