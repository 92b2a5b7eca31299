"""One worker for as long as the server lives: started again when it dies or hangs, gone when the server goes."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from helpers import REPOSITORY

from core.data.ingest import Ingested, ingest
from core.runs import healing
from core.runs import supervisor as module
from core.runs.race import submit
from core.runs.record import load_record
from core.runs.store import Run, RunStore
from core.runs.supervisor import Supervisor
from core.settings.schema import ModelSettings, OptimSettings, RunSettings

PATIENCE_S = 180
SERVER = """
import signal, sys, threading
from core.runs.supervisor import Supervisor

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
Supervisor().start()
print("up", flush=True)
threading.Event().wait()
"""
"""What `streamlit run` is to the worker."""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    one = Supervisor()
    one.start()
    yield one
    one.stop()


def workers() -> list[psutil.Process]:
    """Our live children that are workers."""
    return [child for child in psutil.Process().children() if _is_worker(child)]


def _is_worker(child: psutil.Process) -> bool:
    try:
        return "core.runs.worker" in child.cmdline()
    except psutil.Error:  # it has ended, perhaps this moment
        return False


def queue(dataset, epochs: int, train_size: int = 96) -> Callable[[], Run]:
    """A run that fine-tunes; gives how it stands."""
    optim = OptimSettings(epochs=epochs, batch_size=8, train_size=train_size)
    plan, store = RunSettings(model=ModelSettings(scenario="finetuned"), optim=optim), RunStore()
    (run,) = submit(store, [plan], Ingested(dataset=dataset, decode_s=0.0), as_race=False)
    return lambda: store.get(run)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.05)


def test_a_worker_that_dies_is_replaced(supervisor: Supervisor):
    wait_for(lambda: len(workers()) == 1)
    first = workers()[0]

    first.kill()
    wait_for(lambda: [worker.pid for worker in workers()] not in ([], [first.pid]))

    assert len(workers()) == 1


@pytest.mark.slow
def test_how_long_a_worker_is_silent_is_counted_from_its_last_sign(supervisor: Supervisor):
    supervisor._heard_at -= 10_000
    assert supervisor.silent_s > 9_000, "none is ready yet"

    wait_for(lambda: supervisor.silent_s < 10)


def test_stopping_takes_the_worker_along(supervisor: Supervisor):
    wait_for(lambda: len(workers()) == 1)

    supervisor.stop()

    assert workers() == []


def test_stopping_while_the_worker_is_being_started_takes_it_along(monkeypatch: pytest.MonkeyPatch):
    one, begun = Supervisor(), threading.Event()
    spawn = one._spawn

    def slow() -> object:
        process = spawn()
        begun.set()
        time.sleep(0.3)
        return process

    monkeypatch.setattr(one, "_spawn", slow)
    one.start()
    assert begun.wait(PATIENCE_S)

    one.stop()

    assert workers() == []


def test_the_worker_knows_nothing_of_the_terminals_interrupt(supervisor: Supervisor):
    wait_for(lambda: len(workers()) == 1)

    assert os.getsid(workers()[0].pid) != os.getsid(0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after seconds, so that nobody waits for a minute."""
    monkeypatch.setattr(module, "SILENCE_S", 6.0)
    monkeypatch.setattr(healing, "SILENCE_S", 8.0)
    monkeypatch.setattr(healing, "CANCEL_WITHIN_S", 2.0)


def halted_worker() -> psutil.Process:
    (worker,) = workers()
    worker.suspend()
    return worker


@pytest.mark.slow
def test_a_worker_that_stops_answering_is_replaced_whatever_it_does(supervisor, tiny_dataset, impatient):
    run = queue(tiny_dataset, epochs=6)
    wait_for(lambda: run().state == "running" and run().progress)
    halted_worker()
    wait_for(lambda: not run().is_active)
    assert (run().state, run().attempt, run().crashes) == ("finished", 2, 1)

    idle = halted_worker()
    run = queue(tiny_dataset, epochs=200)
    wait_for(lambda: run().state == "running" and run().progress)
    assert [worker.pid for worker in workers()] != [idle.pid] and (run().attempt, run().crashes) == (1, 0)

    halted_worker()
    RunStore().cancel(run().id)
    wait_for(lambda: not run().is_active)
    assert run().state == "cancelled"


LOCKS = """
import os, sqlite3, sys, time

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(600)
"""


@pytest.fixture
def locking(monkeypatch: pytest.MonkeyPatch, thaw_home: Path) -> Callable[[], psutil.Process]:
    """A worker that writes and is halted in the middle of it."""

    def spawn(self: Supervisor) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", LOCKS, str(thaw_home / "thaw.db")]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def halted() -> psutil.Process:
        (worker,) = psutil.Process().children()
        wait_for(lambda: is_locked(thaw_home))
        worker.suspend()
        return worker

    RunStore()
    monkeypatch.setattr(Supervisor, "_spawn", spawn)
    return halted


def is_locked(home: Path) -> bool:
    try:
        with closing(sqlite3.connect(home / "thaw.db", timeout=0.0, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    return False


def test_a_worker_that_is_halted_while_it_writes_is_killed_and_lets_go(locking, monkeypatch, thaw_home: Path):
    monkeypatch.setattr("core.sqlite.PATIENCE_MS", 2000 * PATIENCE_S)  # whoever waits for the database is too late
    monkeypatch.setattr(module, "STARTING_S", 3.0)
    monkeypatch.setattr(module, "SILENCE_S", 10.0 * PATIENCE_S)  # it was never ready
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    one = Supervisor()
    one.start()
    wait_for(lambda: psutil.Process().children())
    worker = locking()
    monkeypatch.setattr(one, "_spawn", lambda: one._stopping.set())  # none after it

    wait_for(lambda: not worker.is_running())

    assert not is_locked(thaw_home)
    one.stop()


@pytest.mark.slow
def test_a_worker_that_is_halted_wakes_when_its_server_is_killed(thaw_home: Path):
    with subprocess.Popen([sys.executable, "-c", SERVER], cwd=REPOSITORY, stdout=subprocess.PIPE) as server:
        wait_for(lambda: psutil.Process(server.pid).children())
        (worker,) = psutil.Process(server.pid).children()
        wait_for(lambda: (thaw_home / "thaw.db").exists())
        worker.suspend()
        server.kill()

    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def restart(times: int, run: Callable[[], Run]) -> list[int]:
    """Start and end servers while the run trains, each in another way; the exit codes."""
    codes = []
    for number in range(times):
        with subprocess.Popen([sys.executable, "-c", SERVER], cwd=REPOSITORY, stdout=subprocess.PIPE) as server:
            wait_for(lambda: run().state == "running" and run().progress)
            (worker,) = psutil.Process(server.pid).children()
            if number % 3 == 1:
                worker.suspend()  # it cannot answer in time
            server.send_signal(signal.SIGKILL if number % 3 == 2 else signal.SIGTERM)
            codes.append(server.wait(PATIENCE_S))
            wait_for(lambda worker=worker: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        assert run().state in ("queued", "running") and run().crashes == 0, run().cause
    return codes


def finish(run: Callable[[], Run]) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], cwd=REPOSITORY, stdout=subprocess.PIPE) as server:
        wait_for(lambda: not run().is_active)
        server.terminate()


@pytest.mark.slow
@pytest.mark.takes(68)
def test_restarts_of_the_server_are_no_crashes_of_the_run(tiny_dataset):
    run = queue(tiny_dataset, epochs=30)

    assert restart(3, run) == [0, 0, -signal.SIGKILL]
    finish(run)

    assert (run().state, run().attempt, run().crashes) == ("finished", 4, 0)
    assert len(load_record(run().id).history) == 30


@pytest.mark.long
def test_thirty_restarts_of_a_ten_minute_training(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules[__name__], "PATIENCE_S", 3600)
    run = queue(ingest("builtin").dataset, epochs=25, train_size=224)

    restart(30, run)
    finish(run)

    assert (run().state, run().attempt, run().crashes) == ("finished", 31, 0)


def test_a_log_that_cannot_be_written_leaves_server_and_worker_alone(thaw_home: Path):
    (thaw_home / "logs").write_text("a file")
    one = Supervisor()
    one.start()

    wait_for(lambda: len(workers()) == 1)
    one.stop()

    assert workers() == []


def test_a_system_without_another_process_is_asked_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.runs.supervisor.RETRY_S", 0.01)
    one, tries, spawn = Supervisor(), [], Supervisor._spawn

    def refused_twice() -> object:
        tries.append(0)
        if len(tries) < 3:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return spawn(one)

    monkeypatch.setattr(one, "_spawn", refused_twice)
    one.start()
    wait_for(lambda: len(workers()) == 1)
    one.stop()

    assert workers() == []


def test_a_worker_waits_for_its_database_and_says_so_once(thaw_home: Path):
    (thaw_home / "thaw.db").mkdir()
    one, log = Supervisor(), thaw_home / "logs" / "worker.log"
    one.start()
    wait_for(lambda: log.is_file() and "waiting for the storage" in log.read_text())
    first = workers()[0]

    (thaw_home / "thaw.db").rmdir()
    wait_for(lambda: (thaw_home / "thaw.db").is_file())
    one.stop()

    assert first.pid and log.read_text().count("waiting for the storage") == 1 and "Traceback" not in log.read_text()
