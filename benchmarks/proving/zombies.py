"""Workers that are halted (SIGSTOP), given up, and wake (SIGCONT) before, beside or after their successor."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from core.errors import StorageError
from core.runs import database, worker
from core.runs.store import Run, RunStore
from proving import kills, small
from proving.workers import Child, Tally, forked

WAKE: Final = ("before its successor", "beside its successor", "after its successor")


def _note(file: Path, run: Run, what: str, accepted: bool) -> None:
    with file.open("a") as log:
        log.write(f"{time.monotonic()}|{run.attempt}|{int(accepted)}|{what}\n")


def noting(world: kills.World, file: Path) -> None:
    """In a worker to be: note each of its writes into the database, and whether it was accepted."""
    report, end, holding = RunStore.report, RunStore.end, RunStore.holding

    def noted_report(self: RunStore, run: Run, **values: Any) -> bool | None:
        answer = report(self, run, **values)
        _note(file, run, "report", answer is not None)
        return answer

    def noted_end(self: RunStore, run: Run, state: str, **values: Any) -> bool:
        answer = end(self, run, state, **values)
        _note(file, run, state, answer)
        return answer

    @contextmanager
    def noted_holding(self: RunStore, run: Run) -> Iterator[bool]:
        with holding(self, run) as ours:
            _note(file, run, "a file put in place", ours)
            yield ours

    for name, function in (("report", noted_report), ("end", noted_end), ("holding", noted_holding)):
        setattr(RunStore, name, function)
    kills.hooks(world, None, 1, 0.0)


def halt_and_give_up(tally: Tally, child: Child) -> float:
    """Stop it as a machine that sleeps would, and take its run as its supervisor does; when that was done."""
    while True:
        child.send(signal.SIGSTOP)
        time.sleep(0.02)
        try:
            with patch.object(database, "PATIENCE_MS", 400):  # for a database that a halted process keeps locked
                RunStore().give_up(child.pid)
            return time.monotonic()
        except (
            StorageError
        ):  # it was halted while it wrote, and keeps the database locked: its supervisor would kill it
            tally.add("halted while it wrote")
            child.send(signal.SIGCONT)
            time.sleep(0.03)


def one(tally: Tally, world: kills.World, dice: random.Random, where: str) -> None:
    """One worker that is halted and wakes."""
    world.home()
    (world.place / "resumed").unlink(missing_ok=True)
    notes = world.place / "notes"
    notes.unlink(missing_ok=True)
    wanted = [dice.choice([*world.reference])]
    ids, store, when = kills.queue(world, wanted), RunStore(), dice.choice(WAKE)
    halted = forked(worker.main, world.log, partial(noting, world, notes))
    halted.wait(kills.STUCK_S, until=lambda: store.get(ids[0]).state != "queued")
    halted.wait(dice.uniform(0.0, kills.RUN_S), until=lambda: not store.get(ids[0]).is_active)
    given_up = halt_and_give_up(tally, halted)
    if not store.get(ids[0]).is_active:  # it was too quick for us
        halted.kill()
        return
    tally.add("halted")
    tally.add(f"woke {when}")
    over: Callable[[], bool] = lambda: not store.get(ids[0]).is_active  # noqa: E731
    if when == WAKE[0]:
        halted.send(signal.SIGCONT)
        time.sleep(dice.uniform(0.0, 0.3))
    successor = kills.start(world)
    if when == WAKE[1]:
        successor.wait(dice.uniform(0.0, kills.RUN_S), until=over)
        halted.send(signal.SIGCONT)
    successor.wait(kills.STUCK_S, until=over)
    if when == WAKE[2]:
        halted.send(signal.SIGCONT)
    halted.wait(1.5)
    successor.wait(kills.SWEPT_S, until=lambda: not kills.left_behind(small.here()))
    for child in (successor, halted):
        child.send(signal.SIGTERM)
        if not child.wait(15.0):
            child.kill()
    _judge(tally, world, notes, given_up, where)
    kills.look_through(tally, ids, where)
    kills.compare(tally, world, ids, wanted, where)
    for name in kills.left_behind(small.here()):
        tally.faults.append(f"{where}: {name} was left behind by one that woke {when}")


def _judge(tally: Tally, world: kills.World, notes: Path, given_up: float, where: str) -> None:
    """Which of its writes came after its run was taken from it, and whether one was accepted."""
    for line in notes.read_text().splitlines():
        moment, attempt, accepted, what = line.split("|")
        if int(attempt) == 1 and float(moment) > given_up:
            tally.add("stale writes tried")
            if accepted == "1":
                tally.add("stale writes accepted")
                tally.faults.append(f"{where}: a stale write was accepted ({what})")


def halt(world: kills.World, count: int, seed: int, until: float) -> Tally:
    """So many workers, or as many as there is time for."""
    tally, dice, number = Tally(), random.Random(seed), 0
    while tally.of("halted") < count and time.monotonic() < until:
        number += 1
        one(tally, world, dice, f"worker {number}")
    return tally
