"""A server's supervisor and its worker as users have them, new processes both: killed one by one, or both at once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil

from core.runs.store import RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from proving import kills, small
from proving.workers import Tally

PROJECT: Final = Path(__file__).resolve().parents[2]
SERVER: Final = """
import signal, sys, threading
from core.runs.supervisor import Supervisor

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
Supervisor().start()
threading.Event().wait()
"""
"""What `streamlit run` is to the worker."""
PATIENCE_S: Final = 240.0
TARGETS: Final = ("worker", "server", "both")


def _plan(dataset: str) -> RunSettings:
    optim = OptimSettings(epochs=4, batch_size=8, train_size=96)
    settings = RunSettings(model=ModelSettings(scenario="finetuned"), optim=optim)
    return replace(settings, data=replace(settings.data, dataset=dataset))


def _wait(condition: Callable[[], object]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def _served() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", SERVER], cwd=PROJECT, stderr=subprocess.DEVNULL)


def _kill(tally: Tally, dice: random.Random, run: str, target: str) -> None:
    """Start a server, wait until its worker trains, kill."""
    store, server = RunStore(), _served()
    try:
        if not _wait(lambda: store.get(run).state == "running" and store.get(run).progress):
            tally.add("stuck")
            return
        time.sleep(dice.uniform(0.0, 1.5))
        (worker,) = psutil.Process(server.pid).children()
        if target != "worker":
            server.kill()
        if target != "server":
            os.kill(worker.pid, signal.SIGKILL)
        if store.get(run).is_active:
            tally.add("kills")
            tally.add(f"killed: {target}")
        if target == "worker":
            _wait(lambda: not store.get(run).is_active)
        else:
            _wait(lambda: _is_gone(worker))
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


def kill_servers(world: kills.World, count: int, seed: int, until: float) -> Tally:
    """So many kills, each in another run, which is then finished; as many as there is time for."""
    tally, dice, number, reference = Tally(), random.Random(seed), 0, None
    while tally.of("kills") < count and time.monotonic() < until:
        world.home()
        store, target = RunStore(), TARGETS[number % len(TARGETS)]
        (run,) = store.submit([_plan(world.dataset)], "Proof")
        if number:
            _kill(tally, dice, run, target)
        if store.get(run).is_active:
            server = _served()
            if not _wait(lambda store=store, run=run: not store.get(run).is_active):  # type: ignore[misc]
                tally.add("stuck")
            server.terminate()
            server.wait(PATIENCE_S)
        number += 1
        where = f"run {number}, {target}"
        kills.look_through(tally, [run], where)
        if store.get(run).state != "finished":
            tally.add("lost")
            tally.faults.append(f"{where}: it is {store.get(run).state} ({store.get(run).cause})")
            continue
        reference = reference or small.essence(run)
        tally.add("finished")
        if small.essence(run) != reference:
            tally.add("different")
            tally.faults.append(f"{where}: it gave something else")
    return tally
