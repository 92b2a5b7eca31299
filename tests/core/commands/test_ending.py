"""A command that is stopped, killed or outlived ends its runs, and only those."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import REPOSITORY, Asked

from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings

GONE = ("cancelled", "The command that trained it was ended, and the run with it.")


def started_training(folder: Path, seen: Callable[[Run], object]) -> "subprocess.Popen[bytes]":
    """A race on the command line, of which the first run is at work and the second one waits."""
    options = ["--scenarios", "finetuned,scratch", "--epochs", "200", "--batch-size", "8", "--train-size", "96"]
    command = [sys.executable, "-m", "core", "race", "--data", str(folder), *options]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 150
    while not any(seen(run) for run in RunStore().runs()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    return process


def ends(asked: Asked) -> list[tuple[str, str | None]]:
    return [(run["state"], run["cause"]) for run in asked("runs")["runs"]]


@pytest.mark.slow  # in the default run a command is killed while its run waits, and interrupted while it trains
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_is_killed_has_ended_and_is_nobody_elses_to_do(
    asked: Asked, tiny_folder: Path, number: signal.Signals
):
    with started_training(tiny_folder, lambda run: run.state == "running" and run.progress) as process:
        process.send_signal(number)

    assert ends(asked) == [GONE, GONE]
    assert RunStore().claim() is None


def test_an_interrupted_training_is_cancelled(tiny_folder: Path):
    with started_training(tiny_folder, lambda run: run.state == "running" and run.progress) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)

    assert process.returncode == 130 and b"Traceback" not in said, said
    assert [(run.state, run.cause) for run in RunStore().runs()] == [("cancelled", None)] * 2


def test_what_an_apps_worker_trains_for_a_command_ends_when_the_command_is_killed(tiny_folder: Path):
    worker = RunStore()
    (busy,) = worker.submit([RunSettings()], "pictures")
    ours = worker.claim()
    assert ours is not None and ours.id == busy
    with started_training(tiny_folder, lambda run: run.state == "queued") as process:
        worker.end(ours, "finished")
        while (taken := worker.claim()) is None:  # the command may have been faster
            (running,) = worker.runs(states=("running",))
            worker.give_back(running)
        assert worker.report(taken)
        process.kill()
    worker.heal()

    assert not worker.report(taken), "the worker learns at its next report"
    worker.end(taken, "cancelled")
    states = [(run.state, run.cause) for run in worker.runs()]
    assert states == [GONE, GONE, ("finished", None)]


def test_runs_tells_how_things_really_are(asked: Asked):
    code = (
        "from core.runs.store import RunStore; from core.settings.schema import RunSettings\n"
        "RunStore().submit([RunSettings()], 'pictures'); assert RunStore().claim()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)

    ((state, cause),) = ends(asked)
    assert state == "queued" and cause is not None and "ended unexpectedly" in cause
