"""Whatever workers, people, clocks and machines do: each run is in one state, and nobody's late words count.

Hypothesis makes up what happens. Workers are numbers that live or do not, time passes when a rule says so.
"""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from core.errors import RunError
from core.runs import healing, life
from core.runs.database import ACTIVE, ENDED, EVALUATIONS
from core.runs.healing import MAX_CRASHES, SILENCE_S
from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings
from core.training.history import Progress

SUMMARY: dict[str, Any] = {
    "test_accuracy": 0.5,
    "val_accuracy": 0.5,
    "duration_s": 1.0,
    "parameters": {"total": 9, "trained": 1},
    "dataset": {"fingerprint": "d"},
    "split": {"hash": "5"},
}


class Runs(RuleBasedStateMachine):
    """A store, and what must be true of it."""

    held = Bundle("held")
    """Attempts that some worker believes are its own."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = ExitStack()
        folder = self.patches.enter_context(tempfile.TemporaryDirectory(dir=_quick_place()))
        self.now, self.wall, self.boot, self.next_pid = 1000.0, 1e9, "first", 1
        self.born: dict[int, int] = {}
        self.here = 0
        self.patch(life.time, "monotonic", lambda: self.now)
        self.patch(time, "time", lambda: self.wall)
        self.patch(life, "_born", self.born.get)
        self.patch(life, "_boot", lambda: self.boot)
        self.patch(life, "memory_kills", lambda: None)
        self.patch(os, "getpid", lambda: self.here)
        self.patch(healing, "_watch", life.Watch())
        self.store = RunStore(f"sqlite:///{Path(folder) / 'thaw.db'}")
        self.known: dict[str, str] = {}
        """State of each run when it was last looked at."""
        self.attempts: dict[str, int] = {}
        self.finished: set[str] = set()
        self.cancelled: set[str] = set()

    def patch(self, owner: Any, name: str, value: Callable[..., Any]) -> None:
        self.patches.enter_context(patch.object(owner, name, value))

    def teardown(self) -> None:
        self.patches.close()

    def is_theirs(self, run: Run) -> bool:
        """Whether an attempt is the one that the database knows."""
        found = [one for one in self.store.runs(["running"]) if (one.id, one.attempt) == (run.id, run.attempt)]
        return bool(found)

    @rule(count=st.integers(1, 3))
    def submit(self, count: int) -> None:
        for id_ in self.store.submit([RunSettings(seed=seed) for seed in range(count)], "pictures"):
            self.known[id_], self.attempts[id_] = "queued", 0

    @rule(target=held)
    def claim(self) -> Any:
        self.here, self.next_pid = self.next_pid, self.next_pid + 1
        self.born[self.here] = self.here
        run = self.store.claim()
        waiting = [id_ for id_, state in self.known.items() if state == "queued"]
        if run is None:
            return None
        assert run.id == waiting[0] or self.known[run.id] == "running", "the oldest comes first"
        assert run.attempt == self.attempts[run.id] + 1
        return run

    @rule(run=held, epoch=st.integers(0, 3))
    def beat(self, run: Run | None, epoch: int) -> None:
        if run is None:
            return
        theirs = self.is_theirs(run)
        values = {"progress": asdict(Progress(phase="train", epoch=epoch, fraction=epoch / 4))} if epoch else {}
        answer = self.store.report(run, **values)
        assert (answer is not None) == theirs, "whoever lost its run is told so"
        assert answer in (None, run.id not in self.cancelled)

    @rule(run=consumes(held), state=st.sampled_from(["finished", "failed", "cancelled", "queued"]))
    def end(self, run: Run | None, state: str) -> None:
        if run is None:
            return
        theirs = self.is_theirs(run)
        if state == "queued":
            self.store.give_back(run)
            return
        values: dict[str, Any] = {"cause": "It failed."} if state == "failed" else {}
        values |= {"summary": SUMMARY, "test_part": "part"} if state == "finished" else {}
        assert self.store.end(run, state, **values) == theirs
        if state == "finished" and theirs:
            self.finished.add(run.id)

    @rule(run=held)
    def hold(self, run: Run | None) -> None:
        if run is not None:
            theirs = self.is_theirs(run)
            with self.store.holding(run) as ours:
                assert ours == theirs

    @rule(run=held)
    def kill(self, run: Run | None) -> None:
        if run is not None and run.worker:
            self.born.pop(run.worker["pid"], None)

    @rule(run=held)
    def stop_politely_then_kill(self, run: Run | None) -> None:
        if run is not None and run.worker and run.worker["pid"] in self.born:
            before = self.store.get(run.id).crashes if run.id in self.known else 0
            self.store.ask_to_stop(run.worker["pid"])
            self.kill(run)
            self.store.heal()
            if run.id in self.known:
                assert self.store.get(run.id).crashes == before, "nobody is blamed who was asked to stop"

    @rule(run=held)
    def give_up(self, run: Run | None) -> None:
        if run is not None and run.worker and run.worker["pid"] in self.born:
            self.store.give_up(run.worker["pid"])
            assert not self.is_theirs(run)

    @rule(number=st.integers(0, 20))
    def cancel(self, number: int) -> None:
        if self.known:
            id_ = list(self.known)[number % len(self.known)]
            self.store.cancel(id_)
            if self.store.get(id_).state in ACTIVE:
                self.cancelled.add(id_)

    @rule(number=st.integers(0, 20))
    def delete(self, number: int) -> None:
        if not self.known:
            return
        id_ = list(self.known)[number % len(self.known)]
        if self.store.get(id_).state in ACTIVE:
            with pytest.raises(RunError):
                self.store.delete(id_)
        else:
            self.store.delete(id_)
            del self.known[id_]

    @rule()
    def silence(self) -> None:
        for _ in range(int(SILENCE_S) // 5 + 2):
            self.now += 5
            self.store.heal()
        assert not self.store.runs(["running"]), "no run waits for ever for a worker that says nothing"

    @rule(hours=st.sampled_from([-1, 1]))
    def set_clock(self, hours: int) -> None:
        self.wall += 3600 * hours
        before = self.states()
        self.store.heal()
        alive = {run.id for run in self.store.runs(["running"]) if run.worker and run.worker["pid"] in self.born}
        assert all(before[id_] == "running" for id_ in alive)

    @rule()
    def restart_machine(self) -> None:
        crashes = {run.id: run.crashes for run in self.store.runs()}
        self.boot, self.born = f"{self.boot} again", {}
        self.patches.enter_context(patch.object(life, "_born", self.born.get))
        self.store.heal()
        after = {run.id: run.crashes for run in self.store.runs()}
        assert after == crashes, "a machine that is restarted is no crash"
        assert not self.store.runs(["running"])

    @precondition(lambda self: self.known)
    @rule()
    def heal(self) -> None:
        self.store.heal()
        for run in self.store.runs(["running"]):
            assert run.worker and run.worker["pid"] in self.born, "a dead worker is noticed at once"

    def states(self) -> dict[str, str]:
        return {run.id: run.state for run in self.store.runs()}

    @invariant()
    def each_run_is_in_one_state_and_says_why(self) -> None:
        runs = self.store.runs()
        assert {run.id for run in runs} == set(self.known), "nothing is lost, and nothing comes back"
        assert sum(run.state == "running" for run in runs) <= 1
        for run in runs:
            assert run.state in (*ACTIVE, *ENDED)
            before, attempt = self.known[run.id], self.attempts[run.id]
            assert before not in ENDED or run.state == before, "an end is for good"
            assert run.attempt in (attempt, attempt + 1) and run.crashes <= MAX_CRASHES + 1
            assert (run.ended is not None) == (run.state in ENDED)
            assert run.state != "failed" or run.cause
            assert (run.state == "finished") == (run.summary is not None) == (run.id in self.finished)
            assert run.state != "queued" or (run.worker is None and not run.stopping) or run.attempt
            self.known[run.id], self.attempts[run.id] = run.state, run.attempt

    @invariant()
    def looks_are_counted_once(self) -> None:
        with self.store._database.reading() as connection:
            looked = set(connection.execute(sa.select(EVALUATIONS.c.run)).scalars())
        assert looked == self.finished


def _quick_place() -> str | None:
    """Memory where there is some: a database there waits for no disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK) else None


QUICK = settings(
    max_examples=12, stateful_step_count=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestRuns = Runs.TestCase
TestRuns.settings = QUICK


@pytest.mark.long
def test_the_same_for_longer():
    Runs.TestCase.settings = settings(QUICK, max_examples=300, stateful_step_count=50)
    Runs.TestCase("runTest").runTest()
