"""Runs that are stopped at random moments of every phase: how soon that is known, and how soon they have ended.

With the default backbone and a worker that goes on, as users have it; only that it was forked, and tells when a phase
begins. Stopping what has not begun yet is tried on workers that are just being started.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import core.runs.execute
import core.runs.finish
from core.data.ingest import ingest_files
from core.runs import worker
from core.runs.execute import _Reporter
from core.runs.store import RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training.history import Progress
from proving import small
from proving.workers import Tally, forked

PROJECT: Final = Path(__file__).resolve().parents[2]
PHASES: Final = {
    "pictures": 0.05,
    "build": 0.3,
    "features": 1.5,
    "head": 0.3,
    "train": 2.0,
    "val": 0.3,
    "test": 0.5,
    "finishing": 0.3,
}
"""Seconds within which the moment is drawn, from a phase's beginning."""
ACKNOWLEDGED_S, STOPPED_S = 1.0, 10.0
_FROZEN: Final = ("features", "head", "pictures")


def _telling(handle: int) -> None:
    """In a worker to be: say which phase of which run begins."""
    progress, finish = _Reporter.progress, core.runs.finish.finish
    last: list[object] = []

    def say(run_id: str, phase: str) -> None:
        if last != [run_id, phase]:
            last[:] = [run_id, phase]
            os.write(handle, f"{run_id} {phase}\n".encode())

    def telling(self: _Reporter, step: Progress) -> None:
        say(self._run.id, step.phase)
        progress(self, step)

    def telling_finish(store: RunStore, run: Any, *args: Any) -> Any:
        say(run.id, "finishing")
        return finish(store, run, *args)

    setattr(_Reporter, "progress", telling)  # noqa: B010
    setattr(core.runs.execute, "finish", telling_finish)  # noqa: B010
    sys.argv = ["worker"]


def _plan(phase: str, seed: int, dataset: str) -> RunSettings:
    scenario = "frozen" if phase in _FROZEN else "finetuned"
    optim = OptimSettings(epochs=2, batch_size=8, train_size=96)
    settings = RunSettings(model=ModelSettings(scenario=scenario), optim=optim, seed=seed)
    return replace(settings, data=replace(settings.data, dataset=dataset))


def cancel(place: Path, count: int, seed: int, until: float) -> Tally:
    """So many runs stopped, phase by phase in turn, or as many as there is time for."""
    tally, dice = Tally(), random.Random(seed)
    shutil.rmtree(place / "home", ignore_errors=True)
    small.furnish(place / "home")
    files = {f"{kind} {copy}": found for copy in range(2) for kind, found in small.pictures(copy + 2).items()}
    dataset = ingest_files(files, "To stop").dataset.id
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    child = forked(worker.main, place / "log", partial(_telling, writing))
    store, number = RunStore(), 0
    while tally.of("stopped") < count and time.monotonic() < until and not child.ended():
        phase = list(PHASES)[number % len(PHASES)]
        number += 1
        shutil.rmtree(small.here() / "cache" / "features", ignore_errors=True)
        (run,) = store.submit([_plan(phase, number, dataset)], "To stop")
        told = Told(reading, run)
        if not told.reaches(phase, store):
            continue
        time.sleep(dice.uniform(0.0, PHASES[phase]))
        if store.get(run).is_active:
            _stop(tally, store, run, told)
    if child.ended():
        tally.faults.append("the worker died")
    child.kill()
    return tally


class Told:
    """What a worker tells of a run: which phases began."""

    def __init__(self, handle: int, run: str) -> None:
        self._handle, self._run, self._heard = handle, run, b""

    def phases(self) -> list[str]:
        """Those that have begun; the last is the one it is in."""
        with suppress(BlockingIOError):
            self._heard += os.read(self._handle, 1 << 16)
        return [phase for run, phase in map(str.split, self._heard.decode().splitlines()) if run == self._run]

    def reaches(self, phase: str, store: RunStore) -> bool:
        """Wait until a phase begins; False if the run ends before."""
        while store.get(self._run).is_active:
            if phase in self.phases():
                return True
            time.sleep(0.005)
        return False


def _stop(tally: Tally, store: RunStore, run: str, told: Told | None = None) -> None:
    """Stop a run and see how long that takes."""
    start = time.monotonic()
    store.cancel(run)
    acknowledged = store.get(run)
    acknowledged_s = time.monotonic() - start
    phase = told.phases()[-1] if told else "starting PyTorch"  # what was waited for may be over
    if not acknowledged.cancel and not acknowledged.is_active:  # it had ended just before
        return
    while store.get(run).is_active and time.monotonic() - start < 60:
        time.sleep(0.01)
    stopped_s, ended = time.monotonic() - start, store.get(run)
    tally.add("stopped")
    tally.add(f"in {phase}")
    tally.add(f"it was {ended.state}")
    tally.most("acknowledged after at most, ms", round(1000 * acknowledged_s))
    tally.most(f"ended after at most, ms, in {phase}", round(1000 * stopped_s))
    if not acknowledged.cancel or acknowledged_s > ACKNOWLEDGED_S:
        tally.add("acknowledged late")
        tally.faults.append(f"in {phase}: acknowledged after {acknowledged_s:.2f} s")
    if stopped_s > STOPPED_S:
        tally.add("ended late")
        tally.faults.append(f"in {phase}: ended after {stopped_s:.1f} s")
    allowed = ("cancelled", "finished") if phase in ("test", "finishing") else ("cancelled",)
    if ended.state not in allowed:
        tally.add("ended otherwise")
        tally.faults.append(f"in {phase}: it is {ended.state} ({ended.cause})")


def cancel_at_start(tally: Tally, place: Path, count: int, seed: int, until: float) -> None:
    """Stop runs while their worker, a new process, still loads PyTorch."""
    dice, store = random.Random(seed), RunStore()
    for number in range(count):
        if time.monotonic() > until:
            return
        (run,) = store.submit([_plan("features", number, store.runs()[0].settings.data.dataset)], "To stop")
        command = [sys.executable, "-m", "core.runs.worker"]
        with (
            (place / "log").open("ab") as log,
            subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
            ) as process,
        ):
            time.sleep(dice.uniform(0.0, 2.5))
            if store.get(run).is_active:
                _stop(tally, store, run)
            process.kill()


def interrupt_taking_in(tally: Tally, place: Path, count: int, seed: int, until: float) -> None:
    """Interrupt (Ctrl-C) a command that is taking pictures in, and see that nothing of it stays."""
    dice = random.Random(seed)
    folder = place / "pictures"
    for kind, files in small.pictures(9).items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, content in files:
            for copy in range(40):
                (folder / kind / f"{copy} {name}").write_bytes(
                    content + bytes([copy]) if isinstance(content, bytes) else b""
                )
    for _ in range(count):
        if time.monotonic() > until:
            return
        shutil.rmtree(small.here() / "datasets", ignore_errors=True)
        command = [sys.executable, "-m", "core", "data", str(folder)]
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )
        time.sleep(dice.uniform(0.3, 2.0))
        if process.poll() is not None:
            continue
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        stopped_s = time.monotonic() - start
        tally.add("stopped")
        tally.add("in taking pictures in")
        tally.most("ended after at most, ms, in taking pictures in", round(1000 * stopped_s))
        if stopped_s > STOPPED_S:
            tally.add("ended late")
            tally.faults.append(f"taking in ended after {stopped_s:.1f} s")
        left = (
            [path.name for path in (small.here() / "staging").glob("*")] if (small.here() / "staging").exists() else []
        )
        if left and process.returncode == 130:
            tally.faults.append(f"taking in left {left} behind")
