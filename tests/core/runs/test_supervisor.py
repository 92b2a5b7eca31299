"""One worker for as long as the server lives: started again when it dies, gone when the server goes."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core.runs.supervisor import Supervisor
from core.speeds import Peaks, save_peaks

PATIENCE_S = 60


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    # known, as the speeds are: or the worker would first measure the machine
    save_peaks(Peaks(matmul_fp32=1.0, matmul_bf16=1.0, conv_fp32=1.0, conv_bf16=1.0, memory=1.0, decode=1.0))
    one = Supervisor()
    one.start()
    yield one
    one.stop()


def workers() -> list[psutil.Process]:
    """Our live children that are workers."""
    children = psutil.Process().children()
    return [
        child for child in children if child.status() != psutil.STATUS_ZOMBIE and "core.runs.worker" in child.cmdline()
    ]


def wait_for(condition: Callable[[], bool]) -> None:
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


def test_a_log_that_cannot_be_written_leaves_server_and_worker_alone(thaw_home: Path):
    (thaw_home / "logs").write_text("a file")
    save_peaks(Peaks(matmul_fp32=1.0, matmul_bf16=1.0, conv_fp32=1.0, conv_bf16=1.0, memory=1.0, decode=1.0))
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

    assert len(tries) == 3 and workers() == []


def test_a_worker_waits_for_its_database_and_says_so_once(thaw_home: Path):
    (thaw_home / "thaw.db").mkdir()
    save_peaks(Peaks(matmul_fp32=1.0, matmul_bf16=1.0, conv_fp32=1.0, conv_bf16=1.0, memory=1.0, decode=1.0))
    one, log = Supervisor(), thaw_home / "logs" / "worker.log"
    one.start()
    wait_for(lambda: log.is_file() and "waiting for the storage" in log.read_text())
    first = workers()[0]

    (thaw_home / "thaw.db").rmdir()
    wait_for(lambda: (thaw_home / "thaw.db").is_file())
    one.stop()

    assert first.pid and log.read_text().count("waiting for the storage") == 1 and "Traceback" not in log.read_text()
