"""Fifty visitors click through every page of one server while a run trains and pictures are brought.

    python benchmarks/load.py [--visitors 50] [--minutes 10] [--think 10] [--home FOLDER]

One visitor (`visitor.py`) has seen every page before the others come: what a page needs only once is not among their
clicks. Between two clicks a visitor thinks, for `--think` seconds on average. Prints what went wrong, how long clicks
take, the server's memory, and how much slower training is.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shown import served
from visitor import Seen, crowd

from core.data.ingest import ingest
from core.runs.race import submit
from core.runs.record import load_record
from core.runs.store import RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings

FORGOTTEN_S: Final = 10  # after which the server forgets a visitor who left; two minutes by default
WARM_S: Final = 40  # that one visitor clicks quickly through all pages before anything is measured


class Training:
    """Runs of one kind, one after the other, in the server's worker."""

    def __init__(self, epochs: int) -> None:
        self.store, self.epochs, self.seed = RunStore(), epochs, 0

    def is_on(self) -> bool:
        return self.store.is_busy()

    def start(self) -> None:
        self.seed += 1
        model, optim = ModelSettings(scenario="finetuned"), OptimSettings(epochs=self.epochs, train_size=96)
        plan = RunSettings(model=model, optim=optim, seed=self.seed)
        submit(self.store, [plan], ingest("builtin"), as_race=False)

    def seconds(self) -> list[float]:
        """Of each finished run, in their order."""
        ours = [run for run in self.store.runs(states=["finished"]) if run.race is None]
        return [load_record(run.id).timings.train for run in reversed(ours)]

    async def keep_on(self) -> None:
        """Another run as soon as the last one has ended."""
        while True:
            if not self.is_on():
                self.start()
            await asyncio.sleep(3)


def server_process(address: str) -> psutil.Process:
    """The one that listens there."""
    port = urlsplit(address).port
    (pid,) = {one.pid for one in psutil.net_connections("tcp") if one.laddr.port == port and one.status == "LISTEN"}
    return psutil.Process(pid)


def megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def busy(server: psutil.Process) -> dict[str, float]:
    """Seconds that the server, what trains for it, and the visitors have computed."""
    processes = {"server": [server], "training": server.children(recursive=True), "visitors": [psutil.Process()]}
    return {who: sum(sum(one.cpu_times()[:2]) for one in several) for who, several in processes.items()}


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(
    seen: Seen, memory: dict[str, float], cores: dict[str, float], alone: list[float], beside: list[float]
) -> bool:
    """Print it; whether nothing went wrong."""
    print(f"{'click':24} {'number':>7} {'p50':>8} {'p95':>8} {'most':>8}")
    everything = [second for name, seconds in seen.clicks.items() if "and all" not in name for second in seconds]
    for name, seconds in [*sorted(seen.clicks.items()), ("all clicks", everything)]:
        p50, p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
        print(f"{name:24} {len(seconds):7} {p50:7.2f}s {p95:7.2f}s {max(seconds):7.2f}s")
    print(f"pictures fetched {seen.fetched}, uploads {seen.uploads}")
    print("cores at work: " + ", ".join(f"{who} {share:.2f}" for who, share in cores.items()))
    print("server's memory: " + ", ".join(f"{when} {size:.0f} MB" for when, size in memory.items()))
    if alone and beside:
        slower = statistics.median(beside) / statistics.median(alone)
        print(
            f"training: alone {statistics.median(alone):.1f} s, beside the visitors "
            f"{statistics.median(beside):.1f} s ({len(beside)} runs): {slower:.2f} times as long"
        )
    for what, times in seen.wrong.most_common():
        print(f"WRONG {times} x {what}")
    print(f"errors: {sum(seen.wrong.values())}")
    return not seen.wrong


def prepared(home: Path, given: Path | None) -> None:
    """A home with a finished race in it."""
    if given:
        shutil.copytree(given, home, dirs_exist_ok=True)
        return
    race = ["race", "--data", "builtin", "--epochs", "1", "--train-size", "96", "--seeds", "0,1,2"]
    subprocess.run([sys.executable, "-m", "core", *race], check=True, stdout=subprocess.DEVNULL)


async def measure(address: str, given: argparse.Namespace) -> bool:
    process, training, memory = server_process(address), Training(given.epochs), dict[str, float]()
    await crowd(address, Seen(), 1, time.monotonic() + WARM_S, 0.1)  # every page has been asked for
    await _alone(training, given.alone)
    alone = training.seconds()
    memory["before"] = megabytes(process)
    before, began = busy(process), time.monotonic()
    seen, until = Seen(), began + 60 * given.minutes
    keeping = asyncio.create_task(training.keep_on())
    watching = asyncio.create_task(_watch(process, memory))
    await crowd(address, seen, given.visitors, until, given.think)
    for task in (keeping, watching):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    took = time.monotonic() - began
    cores = {who: (seconds - before[who]) / took for who, seconds in busy(process).items()}
    memory["at the end"] = megabytes(process)
    beside = training.seconds()[len(alone) :]
    await asyncio.sleep(2 * FORGOTTEN_S + 5)
    memory["when all have left"] = megabytes(process)
    return report(seen, memory, cores, alone, beside)


async def _alone(training: Training, times: int) -> None:
    for _ in range(times):
        training.start()
        while training.is_on():
            await asyncio.sleep(1)


async def _watch(process: psutil.Process, memory: dict[str, float]) -> None:
    while True:
        memory["at most"] = max(memory.get("at most", 0.0), megabytes(process))
        await asyncio.sleep(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--think", type=float, default=10, help="seconds between two clicks of one visitor, on average")
    parser.add_argument(
        "--home", type=Path, help="a home with finished runs, which is copied; else a race is run first"
    )
    parser.add_argument("--epochs", type=int, default=20, help="of the runs that train meanwhile")
    parser.add_argument("--alone", type=int, default=1, help="runs without visitors, for comparison")
    given = parser.parse_args()
    os.environ["STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL"] = str(FORGOTTEN_S)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        os.environ["THAW_HOME"] = str(home)
        prepared(home, given.home)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server goes, too
        with served(home) as address:
            return 0 if asyncio.run(measure(address, given)) else 1


if __name__ == "__main__":
    sys.exit(main())
