"""The worker as a process of its own: trains what is queued, is killed, is asked to go."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import REPOSITORY

from core.data.ingest import Ingested
from core.machine.speeds import PRECISIONS, WORKS, load_peaks, load_speeds
from core.runs import engine, worker
from core.runs.life import READY
from core.runs.race import submit
from core.runs.record import load_record, run_folder
from core.runs.store import RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training import head, probe
from core.training.history import NOTHING_YET

PATIENCE_S = 150.0
Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts workers whose log is kept, and ends what is left of them."""
    processes: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "worker.log").open("wb")

    def start_one() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "error", "-m", "core.runs.worker"]
        processes.append(subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=log, stderr=log))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
    log.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def queue(dataset, scenario: str = "frozen", epochs: int = 1, count: int = 1) -> tuple[RunStore, list[str]]:
    store = RunStore()
    optim = OptimSettings(epochs=epochs, batch_size=8, train_size=96)
    plans = [RunSettings(model=ModelSettings(scenario=scenario), optim=optim, seed=seed) for seed in range(count)]
    return store, submit(store, plans, Ingested(dataset=dataset, decode_s=0.0), as_race=False)


def has_trained(store: RunStore, run: str) -> Callable[[], bool]:
    """Whether some epochs of a running run are on record."""

    def check() -> bool:
        found = store.get(run)
        assert found.is_active, found.cause
        return found.state == "running" and bool(found.epochs)

    return check


def test_a_worker_is_ready_before_there_is_anything_to_train_and_gives_back_what_it_is_at_when_asked_to_go(
    few_dataset, start: Start, tmp_path: Path
):
    process = start()
    wait_for(lambda: READY in (tmp_path / "worker.log").read_bytes())
    assert any("libtorch_cpu" in loaded.path for loaded in psutil.Process(process.pid).memory_maps())
    assert RunStore().runs() == []

    store, (first, second) = queue(few_dataset, count=2)
    wait_for(lambda: store.get(first).state == "running")
    process.send_signal(signal.SIGINT)  # Ctrl-C in the terminal is for the server, not for its worker

    wait_for(lambda: not store.runs(states=("queued", "running")))

    assert [store.get(run).state for run in (first, second)] == ["finished", "finished"]
    assert load_record(first).run == first
    _, (run,) = queue(few_dataset, "finetuned", epochs=200)
    wait_for(has_trained(store, run))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    waiting = store.get(run)
    assert (waiting.state, waiting.crashes, waiting.attempt) == ("queued", 0, 1)


def test_stop_is_heard_while_the_head_is_solved_for(few_dataset, monkeypatch: pytest.MonkeyPatch):
    store, (run,) = queue(few_dataset)
    minimise = head.minimise

    def slowly(*args: Any, should_stop: Callable[[], bool], **values: Any) -> Any:
        store.cancel(run)
        end = time.monotonic() + 30
        while not should_stop():
            assert time.monotonic() < end, "not heard"
            time.sleep(0.01)
        return minimise(*args, should_stop=should_stop, **values)

    monkeypatch.setattr(head, "minimise", slowly)
    engine.run_next(store, lambda: False)

    assert (store.get(run).state, store.get(run).cause) == ("cancelled", None)
    assert not run_folder(run).exists()


@pytest.mark.slow
def test_a_worker_that_wakes_after_it_was_given_up_goes_and_leaves_everything_as_it_is(tiny_dataset, start: Start):
    store, (run,) = queue(tiny_dataset, "finetuned", epochs=6)
    halted = start()
    wait_for(has_trained(store, run))
    halted.send_signal(signal.SIGSTOP)
    store.give_up(halted.pid)
    start()
    wait_for(lambda: not store.get(run).is_active)
    ended, record = store.get(run), (run_folder(run) / "record.json").read_bytes()

    halted.send_signal(signal.SIGCONT)
    time.sleep(3)  # several beats and batches of its own
    assert halted.stdin is not None
    halted.stdin.close()

    assert halted.wait(PATIENCE_S) == 0
    assert ended.state == "finished" and (ended.attempt, ended.crashes) == (2, 1)
    assert store.get(run) == ended and (run_folder(run) / "record.json").read_bytes() == record


@pytest.mark.slow
def test_a_worker_whose_run_was_taken_away_in_a_batch_without_end_leaves(few_dataset, tmp_path: Path):
    store, (run,) = queue(few_dataset)
    code = (
        "import threading\nfrom core.runs import execute, worker\nworker._measure_next = lambda *args: False\n"
        "execute.train_run = lambda *args, **options: threading.Event().wait()\nworker.main()"
    )
    log = (tmp_path / "log").open("wb")
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
    ) as endless:
        wait_for(lambda: store.get(run).beats >= 2)
        store.give_up(endless.pid)

        assert endless.wait(PATIENCE_S) == 1
    log.close()
    assert store.get(run).state == "queued" and "stopped answering" in (store.get(run).cause or "")


@pytest.mark.slow
def test_on_a_machine_that_has_never_trained_a_run_comes_first_and_then_it_is_measured(
    few_dataset, thaw_home: Path, start: Start
):
    (thaw_home / "speeds.json").unlink()
    store, (run,) = queue(few_dataset)
    process = start()
    wait_for(lambda: load_speeds("efficientnet_lite0") is not None)

    speeds, peaks, ended = load_speeds("efficientnet_lite0"), load_peaks(), store.get(run)
    assert process.poll() is None
    assert speeds is not None and {f"{work}/fp32" for work in WORKS} <= set(speeds.probed)
    assert peaks is not None and peaks.matmul_fp32 > 0
    assert ended.state == "finished"
    assert speeds.seen == {}, "the run was over before anything was measured"


def test_nothing_is_measured_while_a_run_waits_and_all_of_it_in_the_next_pause(
    few_dataset, thaw_home: Path, monkeypatch: pytest.MonkeyPatch
):
    (thaw_home / "speeds.json").unlink()
    store, runs = queue(few_dataset)
    monkeypatch.setattr(probe, "_seconds", lambda work: 1.0)
    monkeypatch.setattr(probe, "worthwhile", lambda: PRECISIONS)
    stop = threading.Event()

    assert worker._measure_next(store, stop), "there is more to do, but not now"
    assert load_peaks() is load_speeds("efficientnet_lite0") is None

    store.cancel(runs[0])
    assert worker._measure_next(store, stop)
    assert load_peaks() and load_speeds("efficientnet_lite0")
    assert not worker._measure_next(store, stop)


def test_a_machine_that_cannot_be_measured_goes_on(thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    (thaw_home / "speeds.json").unlink()
    monkeypatch.setattr(probe, "worthwhile", lambda: 1 / 0)

    assert not worker._measure_next(RunStore(), threading.Event())


def test_a_run_that_comes_while_the_worker_does_something_else_is_told_what(few_dataset):
    with worker._telling(RunStore(), "timing"):
        store, (run,) = queue(few_dataset)
        wait_for(lambda: (store.get(run).progress or NOTHING_YET).phase == "timing")
