"""Workers that end: a run is tried again as long as that may help, and nobody is blamed who was asked to stop."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from helpers import REPOSITORY, claim_run, python, queue_runs

import core.runs.store
from core.runs import healing, life
from core.runs.healing import MAX_CRASHES
from core.runs.store import Run, RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training.history import Progress


def test_a_living_worker_is_not_disturbed(store: RunStore):
    (id_,) = queue_runs(store)
    claim_run(store)

    assert store.heal() == []
    assert store.get(id_).state == "running"


def test_a_run_whose_process_really_ended_is_done_by_the_next(store: RunStore):
    (id_,) = queue_runs(store)
    python("from core.runs.store import RunStore; assert RunStore().claim()")
    assert store.get(id_).state == "running"

    run = claim_run(store)

    assert (run.id, run.attempt, run.crashes) == (id_, 2, 1)


def test_a_process_number_that_is_used_again_is_not_taken_for_the_worker(store: RunStore, die: Callable[[], Run]):
    id_, _ = queue_runs(store, 2)
    die()

    assert store.heal() == [id_]
    healed = store.get(id_)
    assert (healed.state, healed.crashes, healed.worker, healed.progress) == ("queued", 1, None, None)
    assert claim_run(store).id == id_, "it has kept its place"


def test_a_run_that_kills_every_worker_fails_with_its_cause(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue_runs(store)
    for _ in range(MAX_CRASHES + 1):
        assert store.get(id_).state == "queued"
        die()
        store.heal()

    run = store.get(id_)
    assert (run.state, run.crashes) == ("failed", MAX_CRASHES + 1)
    assert run.cause is not None and "ended unexpectedly" in run.cause and run.ended is not None
    assert store.claim() is None


@pytest.mark.parametrize(
    ("after", "state", "said"), [(3, "failed", "Try a batch size of 16 or a smaller"), (2, "queued", "taken up again")]
)
def test_a_worker_that_the_kernel_ended_for_want_of_memory_is_not_tried_again(
    store: RunStore,
    die: Callable[[], Run],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    after: int,
    state: str,
    said: str,
):
    told = tmp_path / "memory.events"
    monkeypatch.setattr(life, "_memory_files", lambda: [str(tmp_path / "nothing"), str(told)])
    told.write_text("oom 7\noom_kill 2\noom_group_kill 0\n")
    optim = OptimSettings(batch_size=32)
    (id_,) = store.submit([RunSettings(model=ModelSettings(scenario="finetuned"), optim=optim)], "pictures")
    die()

    told.write_text(f"oom 9\noom_kill {after}\noom_group_kill 0\n")
    store.heal()

    run = store.get(id_)
    assert run.state == state and run.cause is not None and said in run.cause


def test_a_cancelled_run_whose_worker_died_is_cancelled_not_repeated(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue_runs(store)
    die()
    store.cancel(id_)
    store.heal()

    assert store.get(id_).state == "cancelled"


def test_two_healers_count_one_crash(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue_runs(store)
    die()
    threads = [threading.Thread(target=RunStore().heal) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.get(id_).crashes == 1


def test_a_machine_that_was_restarted_is_no_crash(store: RunStore, monkeypatch: pytest.MonkeyPatch):
    (id_,) = queue_runs(store)
    with monkeypatch.context() as patch:
        mine = life.identity()
        patch.setattr(core.runs.store, "identity", lambda: {**mine, "boot": "before"})
        claim_run(store)

    assert store.heal() == [id_]
    run = store.get(id_)
    assert (run.state, run.crashes) == ("queued", 0) and "machine was restarted" in (run.cause or "")


def test_a_run_whose_worker_was_asked_to_stop_never_fails_however_the_worker_ends(store: RunStore):
    (id_,) = queue_runs(store)
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
    claim_run(store)
    assert not store.get(id_).stopping


def test_only_the_worker_that_was_asked_is_excused(store: RunStore, die: Callable[[], Run]):
    (id_,) = queue_runs(store)
    die()
    store.ask_to_stop(os.getppid())
    store.heal()

    assert store.get(id_).crashes == 1


def test_a_stop_that_is_noted_while_somebody_finds_the_worker_dead_still_counts(
    store: RunStore, die: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
):
    (id_,) = queue_runs(store)
    run, after_loss = die(), healing.after_loss

    def noted_meanwhile(*args: Any) -> dict[str, Any]:
        store.report(run, stopping=True)
        return after_loss(*args)

    monkeypatch.setattr(healing, "after_loss", noted_meanwhile)
    store.heal()
    store.heal()

    assert (store.get(id_).state, store.get(id_).crashes) == ("queued", 0)


def progress(fraction: float, phase: str = "train", epoch: int = 1) -> Progress:
    return Progress(phase=phase, done=0, total=0, epoch=epoch, fraction=fraction)


def crash_at(store: RunStore, die: Callable[[], Run], *places: Progress) -> Run:
    """The run after its worker was killed at these places, one after the other."""
    for place in places:
        run = die()
        store.report(run, progress=asdict(place))
        store.heal()
    return store.get(run.id)


def test_a_crash_further_on_than_ever_is_the_first_of_its_kind(store: RunStore, die: Callable[[], Run]):
    queue_runs(store)
    places = [progress(0.1 * epoch, epoch=epoch) for epoch in range(1, 10)]

    run = crash_at(store, die, *places)

    assert (run.state, run.crashes, run.reached) == ("queued", 1, places[-1])


def test_a_crash_at_the_same_place_each_time_fails_whatever_was_written_last(store: RunStore, die: Callable[[], Run]):
    queue_runs(store)
    nearly_the_same = [progress(0.50, epoch=5), progress(0.51, epoch=5), progress(0.52, epoch=5)]

    run = crash_at(store, die, *nearly_the_same)

    assert (run.state, run.crashes) == ("failed", MAX_CRASHES + 1)
    assert run.cause is not None and "3 times without getting further" in run.cause


def test_crashes_before_the_furthest_place_count(store: RunStore, die: Callable[[], Run]):
    queue_runs(store)

    run = crash_at(store, die, progress(0.6, epoch=6), progress(0.2, epoch=2), progress(0.4, epoch=4))

    assert run.state == "failed" and run.reached == progress(0.6, epoch=6)
