"""Runs on a real cluster of two raylets: the numbers of one process here, and nothing lost where parts of it die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from helpers import NEEDS_RAY, REPOSITORY, home_at

from core.data.ingest import Ingested
from core.runs.race import plan_race, submit
from core.runs.record import load_predictions, load_record
from core.runs.store import Run, RunStore
from core.settings.schema import OptimSettings, RunSettings

pytestmark = [pytest.mark.slow, pytest.mark.takes(45), NEEDS_RAY]
PATIENCE_S = 280.0
Worker = Callable[..., subprocess.Popen[bytes]]


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, [(run.id, run.state, run.cause) for run in RunStore().runs()]
        time.sleep(0.1)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Starts workers as a server does, one after the other."""
    processes: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "worker.log").open("wb")

    def start(**variables: str) -> subprocess.Popen[bytes]:
        command, env = [sys.executable, "-m", "core.runs.worker"], {**os.environ, **variables}
        processes.append(
            subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=log, stderr=log, env=env)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    log.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """One for all of these, and the home that its machines have."""
    with pytest.MonkeyPatch.context() as patch, home_at(tmp_path_factory.mktemp("cluster") / "home") as home:
        patch.syspath_prepend(str(REPOSITORY / "benchmarks"))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")  # as in tests of one process
        patch.delenv("THAW_DATABASE", raising=False)
        from proving.raylets import Raylets

        with Raylets(2) as raylets:
            yield raylets, home


@pytest.fixture
def thaw_home(thaw_home: Path, cluster: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THAW_HOME", str(cluster[1]))
    return cluster[1]


@pytest.fixture
def raylets(cluster: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("THAW_ENGINE", "ray")
    monkeypatch.setenv("THAW_RAY_ADDRESS", cluster[0].address)
    return cluster[0]


def queue(dataset, scenarios: list[str], epochs: int) -> list[str]:
    settings = RunSettings(optim=OptimSettings(epochs=epochs, batch_size=8, train_size=96))
    plans = plan_race(settings, scenarios, [0, 1])
    return submit(RunStore(), plans, Ingested(dataset=dataset, decode_s=0.0), as_race=True)


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0


def predictions(ids: list[str]) -> dict[tuple[str, int], tuple[bytes, int]]:
    """By strategy and seed, to the last bit, and with how many threads."""
    runs = [RunStore().get(id_) for id_ in ids]
    assert [run.state for run in runs] == ["finished"] * len(runs), [run.cause for run in runs]
    return {
        (run.settings.model.scenario, run.settings.seed): (
            load_predictions(run.id).probabilities.tobytes(),
            load_record(run.id).threads,
        )
        for run in runs
    }


def test_a_race_on_two_raylets_gives_what_one_process_gives_bit_for_bit(
    tiny_dataset, thaw_home: Path, raylets, worker: Worker
):
    most = 0

    def all_ended() -> bool:
        nonlocal most
        most = max(most, RunStore().count(["running"]))
        return not RunStore().is_busy()

    here = queue(tiny_dataset, ["frozen", "finetuned"], epochs=2)
    process = worker(THAW_ENGINE="local", OMP_NUM_THREADS="1")
    wait_for(all_ended)
    end(process)
    assert most == 1
    rmtree(thaw_home / "cache" / "features")

    there = queue(tiny_dataset, ["frozen", "finetuned"], epochs=2)
    process = worker()
    wait_for(all_ended)
    end(process)

    assert most == 2, "they trained at the same time"
    assert predictions(there) == predictions(here)
    assert len({RunStore().get(id_).attempt for id_ in there}) == 1


def test_nothing_is_lost_twice_or_stuck_where_a_task_a_raylet_and_the_driver_are_killed(
    few_dataset, raylets, worker: Worker
):
    ids = queue(few_dataset, ["finetuned", "scratch"], epochs=16)  # nobody else has looked at its test pictures
    store, driver = RunStore(), worker()

    def at_work() -> list[Run]:
        return [run for run in store.runs(["running"]) if run.epochs]

    wait_for(at_work)
    (killed, *_) = at_work()
    os.kill(killed.worker["pid"], signal.SIGKILL)
    wait_for(lambda: store.get(killed.id).attempt == 2)

    raylets.kill(0)
    raylets.add()
    wait_for(at_work)
    driver.kill()
    driver.wait()
    driver = worker()
    wait_for(lambda: not store.is_busy())
    end(driver)

    assert len(predictions(ids)) == 4
    assert sum(store.evaluations(part) for part in {load_record(id_).test_part for id_ in ids}) == 4
    assert all(store.get(id_).crashes <= 2 for id_ in ids) and store.get(killed.id).attempt >= 2
