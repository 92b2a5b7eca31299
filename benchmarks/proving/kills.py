"""Workers that are killed, again and again, at named points and at random times, also while they recover.

A chapter: a home, four runs in its queue, workers one after the other of which each is killed; until all runs have
ended. After every kill the home is looked through, at the end each run is compared with one that nobody disturbed.
"""

import json
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from core.errors import ThawError
from core.runs import worker
from core.runs.healing import MAX_CRASHES
from core.runs.record import PREDICTIONS, WEIGHTS, checked_file, load_predictions, load_record
from core.runs.store import Run, RunStore
from core.training.checkpoint import Checkpoint, _read
from proving import small
from proving.points import POINTS, die_at
from proving.workers import Child, Tally, forked

RUN_S: Final = 0.9  # that a run takes, roughly: kills at random times fall within
STUCK_S: Final = 120.0  # without any change while a worker lives: stuck
SWEPT_S: Final = 5.0  # until a worker that has nothing to do has looked for what others have left
HOUR_S: Final = 3600.0
Reference = dict[tuple[str, int], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class World:
    """Where the campaign takes place."""

    template: Path
    """A home with the data set; never used itself."""
    dataset: str
    place: Path
    """Where homes are made and the log lies."""
    reference: Reference
    """What undisturbed runs gave, by way and seed."""

    @property
    def log(self) -> Path:
        return self.place / "log"

    def home(self) -> Path:
        shutil.rmtree(self.place / "home", ignore_errors=True)
        return small.copied(self.template, self.place / "home")


def build_world(place: Path, seeds: int) -> World:
    """The template, and what undisturbed runs give, of so many seeds."""
    small.install()
    template = place / "template"
    dataset = small.furnish(template)
    world = World(template=template, dataset=dataset, place=place, reference={})
    for seed in range(seeds):
        for way in small.WAYS:
            world.home()
            (run,) = queue(world, [(way, seed)])
            drain(world)
            world.reference[way, seed] = small.essence(run)
    return world


def queue(world: World, wanted: list[tuple[str, int]]) -> list[str]:
    return RunStore().submit([small.plan(way, seed, world.dataset) for way, seed in wanted], "Proof")


def hooks(world: World, point: str | None, count: int, shift_s: float) -> None:
    """In a worker to be: a clock on the wall that is wrong, a note of every resumption, a point at which it dies."""
    right, load = time.time, Checkpoint.load

    def noting(self: Checkpoint, *args: Any) -> Any:
        found = load(self, *args)
        if found:
            with (world.place / "resumed").open("a") as file:
                file.write(f"{self._path.stem if self._path else ''}\n")
        return found

    time.time = lambda: right() + shift_s
    setattr(Checkpoint, "load", noting)  # noqa: B010
    sys.argv = ["worker"]
    if point:
        die_at(point, count)


def start(world: World, point: str | None = None, count: int = 1, shift_s: float = 0.0) -> Child:
    return forked(worker.main, world.log, partial(hooks, world, point, count, shift_s))


def drain(world: World) -> bool:
    """Let a worker do what is left; whether it could. Then it goes as a server's worker goes."""
    child, store = start(world), RunStore()
    child.wait(STUCK_S, until=lambda: not store.runs(("queued", "running"), limit=1))
    done = not store.runs(("queued", "running"), limit=1)
    child.wait(SWEPT_S, until=lambda: not left_behind(small.here()))
    child.send(signal.SIGTERM)
    if not child.wait(10.0):
        child.kill()
    return done


def look_through(tally: Tally, ids: list[str], where: str) -> list[Run]:
    """What must be true of a home at any moment in which no worker lives; the runs."""
    home = small.here()
    with closing(sqlite3.connect(home / "thaw.db")) as database:
        if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            tally.faults.append(f"{where}: the database is damaged")
    runs = RunStore().runs()
    if {run.id for run in runs} != set(ids):
        tally.add("lost", len(set(ids) - {run.id for run in runs}))
        tally.faults.append(f"{where}: runs are missing")
    if sum(run.state == "running" for run in runs) > 1:
        tally.faults.append(f"{where}: two runs are at work")
    for run in runs:
        if run.state == "failed" and not run.cause:
            tally.faults.append(f"{where}: a run failed without a cause")
        if run.state == "finished":
            check_files(tally, run.id, where)
    for path in (home / "checkpoints").glob("*.safetensors"):
        try:
            _read(path)
        except Exception as error:  # whatever it is, it is counted
            tally.add("unreadable")
            tally.faults.append(f"{where}: a checkpoint cannot be read ({error})")
    return runs


def check_files(tally: Tally, run_id: str, where: str) -> None:
    """That the files of a finished run are there, whole, and hers."""
    try:
        record = load_record(run_id)
        load_predictions(run_id)
        checked_file(record, WEIGHTS)
        checked_file(record, PREDICTIONS)
    except ThawError as error:
        tally.add("lost")
        tally.faults.append(f"{where}: a finished run cannot be read ({error})")


def left_behind(home: Path) -> list[str]:
    """Half files and folders that nobody will read."""
    kept = {path.name for path in home.iterdir()}
    names = [str(path.relative_to(home)) for path in home.rglob("*") if path.name.startswith(".")]
    names += [str(path.relative_to(home)) for path in home.rglob("*.part")]
    for folder in ("staging", "checkpoints"):
        names += [str(path.relative_to(home)) for path in (home / folder).glob("*")] if folder in kept else []
    known = {run.id for run in RunStore().runs(["finished"])}
    names += [f"runs/{path.name}" for path in (home / "runs").glob("*") if path.name not in known]
    return sorted(set(names))


def compare(tally: Tally, world: World, ids: list[str], wanted: list[tuple[str, int]], where: str) -> None:
    """Each run with one that nobody disturbed; runs that failed because they were killed too often say so."""
    store = RunStore()
    resumed = (world.place / "resumed").read_text().split() if (world.place / "resumed").exists() else []
    for id_, (way, seed) in zip(ids, wanted, strict=True):
        run = store.get(id_)
        if run.state == "finished":
            same = small.essence(id_) == world.reference[way, seed]
            tally.add("finished")
            tally.add("resumed", id_ in resumed)
            tally.add("resumed, identical", same and id_ in resumed)
            if not same:
                tally.add("different")
                tally.faults.append(f"{where}: {way} with seed {seed} gave something else")
        elif run.state == "failed" and run.crashes == MAX_CRASHES + 1 and "ended unexpectedly" in (run.cause or ""):
            tally.add("ended with its cause")
        else:
            tally.add("lost")
            tally.faults.append(f"{where}: {way} is {run.state} after {run.crashes} crashes: {run.cause}")
    with closing(sqlite3.connect(small.here() / "thaw.db")) as database:
        looks = [row[0] for row in database.execute("SELECT run FROM looks")]
    if sorted(looks) != sorted(run.id for run in store.runs(["finished"])):
        tally.faults.append(f"{where}: looks at test pictures are counted wrongly")


def chapter(tally: Tally, world: World, dice: random.Random, kills: int, where: str) -> None:
    """Four runs and workers that die, until so many are dead or all runs have ended."""
    home = world.home()
    (world.place / "resumed").unlink(missing_ok=True)
    wanted = [dice.choice([*world.reference]) for _ in range(4)]
    ids = queue(world, wanted)
    store, died = RunStore(), 0
    while died < kills and store.runs(("queued", "running"), limit=1):
        died += one_death(tally, world, dice, where)
        look_through(tally, ids, where)
    if not drain(world):
        tally.add("stuck", len(store.runs(("queued", "running"))))
        tally.faults.append(f"{where}: runs are stuck")
    look_through(tally, ids, where)
    compare(tally, world, ids, wanted, where)
    for name in left_behind(home):
        tally.faults.append(f"{where}: {name} was left behind")


def one_death(tally: Tally, world: World, dice: random.Random, where: str) -> int:
    """Start a worker and see to it that it dies; 1 if it did while there was work."""
    store = RunStore()
    before = store.runs(("queued", "running"))[-1]
    point = dice.choice([None, None, *POINTS])
    count = dice.randint(1, POINTS[point].most) if point else 1
    child = start(world, point, count, dice.choice([0.0, -HOUR_S, HOUR_S]))
    idle: Callable[[], bool] = lambda: not store.runs(("queued", "running"), limit=1)  # noqa: E731
    if before.crashes >= MAX_CRASHES and dice.random() < 0.7:  # else nearly every run would end with its cause
        child.wait(
            STUCK_S, until=lambda: store.get(before.id).crashes < MAX_CRASHES or not store.get(before.id).is_active
        )
    asked = point == "given back" or (point is None and dice.random() < 0.15)
    child.wait(dice.uniform(0.0, RUN_S) if point is None or asked else 4 * RUN_S, until=idle)
    if asked:
        child.send(signal.SIGTERM)
        child.wait(dice.uniform(0.0, 0.4) if point is None else 4 * RUN_S)
    at_point = child.ended() and child.was_killed
    working = not idle()
    if not child.kill() and not at_point:
        if child.code != 0:
            tally.faults.append(f"{where}: a worker ended with code {child.code}")
        return 0
    tally.add(f"at: {point}" if at_point else "at a random time" if working else "idle")
    tally.add("kills", int(working or at_point))
    return int(working or at_point)


def kill_workers(world: World, kills: int, seed: int, until: float) -> Tally:
    """So many kills, or as many as there is time for."""
    tally, dice, number = Tally(), random.Random(seed), 0
    while tally.of("kills") < kills and time.monotonic() < until:
        number += 1
        chapter(tally, world, dice, min(40, kills - tally.of("kills")), f"chapter {number}")
    return tally


def resume(world: World, runs: int, seed: int, until: float) -> Tally:
    """Runs that die in a batch after an epoch was kept, and go on: bit by bit the same?"""
    tally, dice = Tally(), random.Random(seed)
    ways = [way for way in small.WAYS if way != "frozen"]
    for number in range(runs):
        if time.monotonic() > until:
            break
        world.home()
        (world.place / "resumed").unlink(missing_ok=True)
        wanted = [(ways[number % len(ways)], dice.choice([seed for _, seed in world.reference]))]
        ids = queue(world, wanted)
        for _ in range(dice.randint(1, 2)):
            child = start(world, "after a batch", dice.randint(3, 7))
            child.wait(STUCK_S, until=lambda: not RunStore().runs(("queued", "running"), limit=1))
            tally.add("kills", int(child.kill() or child.was_killed))
            look_through(tally, ids, f"run {number + 1}")
        drain(world)
        compare(tally, world, ids, wanted, f"run {number + 1}")
        if tally.of("resumed") + tally.of("began anew") <= number:
            tally.add("began anew")
            tally.faults.append(f"run {number + 1} began anew")
    return tally


def described(tally: Tally) -> str:
    """Counts as JSON, for whoever wants all of them."""
    return json.dumps(dict(sorted(tally.counts.items())), indent=1)
