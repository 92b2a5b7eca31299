"""Runs on a Ray cluster: `python benchmarks/cluster.py [--short] [--kills N]`; prints a table.

A head, one or two raylets of one core each with a home of its own each, a PostgreSQL server and an S3 server, all on
this machine, with the app's own supervisor. A race is trained by one process here, by one raylet and by two; then parts
are killed at random times, or S3 answers with errors, slowly, half or not at all for a while, and what is lost, done
twice or stuck is counted. With `THAW_STORE` set, data sets and runs are kept there, and S3 is left alone.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

os.environ["OMP_NUM_THREADS"] = "1"
PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks")]

from proving.bucket import S3, WAYS
from proving.raylets import Raylets
from proving.small import RATES, pictures

from core.data.ingest import Ingested, ingest, ingest_files
from core.errors import StorageError
from core.machine.facts import this_machine
from core.machine.speeds import Peaks, Speeds, save_peaks, save_speeds
from core.objects.store import store_here
from core.runs.race import plan_race, submit
from core.runs.record import load_predictions
from core.runs.store import Run, RunStore
from core.runs.supervisor import Supervisor
from core.settings.schema import ModelSettings, OptimSettings, RunSettings

PATIENCE_S: Final = 900.0
TARGETS: Final = ("raylet", "driver", "task", "PostgreSQL", "S3")
DISTURBED_S: Final = (3.0, 35.0)
"""So long S3 is; shorter than Thaw asks it again, or longer."""
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done."""

    scenarios: tuple[str, ...]
    seeds: int
    epochs: int
    kills: int
    targets: tuple[str, ...] = TARGETS


LONG: Final = Size(("finetuned", "last-stages", "scratch"), seeds=5, epochs=2, kills=100)
SHORT: Final = Size(("finetuned", "scratch"), seeds=2, epochs=12, kills=4)


class Postgres:
    """A server of our own, on a socket in a folder of its own."""

    def __init__(self, programs: Path) -> None:
        self._programs, self._user = programs, "nobody" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="thaw-pg-"))
        if self._user:
            shutil.chown(self.folder, self._user)
        self._ran("initdb", "-D", self._data, "-U", "thaw", "-A", "trust", "-E", "UTF8")
        self._control("start")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://thaw@/postgres?host={self.folder}"

    def restart(self) -> None:
        """Without a goodbye: every connection breaks, and what was not committed is gone."""
        self._control("restart", "-m", "immediate")

    def close(self) -> None:
        self._control("stop", "-m", "immediate")
        shutil.rmtree(self.folder)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _control(self, *what: str) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}'"
        self._ran("pg_ctl", "-D", self._data, "-l", str(self.folder / "log"), "-w", "-o", options, *what)

    def _ran(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, user=self._user, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What runs need beside the machines that compute."""

    postgres: Postgres
    s3: S3 | None
    """None where `THAW_STORE` names another store."""
    place: Path
    """Where homes are made."""

    def home(self) -> Path:
        """A new one, of a machine that was measured as this one was."""
        made = Path(tempfile.mkdtemp(prefix="home-", dir=self.place))
        shutil.copy(Path(os.environ["THAW_HOME"]) / "speeds.json", made)
        return made


@contextmanager
def worker_of(engine: str, address: str = "") -> Iterator[Supervisor]:
    """What a server does for its worker."""
    os.environ["THAW_ENGINE"], os.environ["THAW_RAY_ADDRESS"] = engine, address
    supervisor = Supervisor()
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        os.environ["THAW_ENGINE"] = "local"


def patiently(ask: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Whether it became so; while the database is being restarted, it has not."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        with suppress(StorageError):
            if ask():
                return True
        time.sleep(0.2)
    return False


def queue(dataset: Ingested, size: Size) -> list[str]:
    optim = OptimSettings(epochs=size.epochs, batch_size=8, train_size=96)
    settings = RunSettings(model=ModelSettings(weights="none"), optim=optim)
    settings = replace(settings, data=replace(settings.data, dataset=dataset.dataset.id))
    return submit(RunStore(), plan_race(settings, size.scenarios, range(size.seeds)), dataset, as_race=True)


def runs_of(ids: list[str]) -> list[Run]:
    return RunStore().runs(ids=ids)


def all_ended(ids: list[str]) -> bool:
    return not any(run.is_active for run in runs_of(ids))


def predictions(ids: list[str]) -> dict[Key, bytes]:
    return {
        (run.settings.model.scenario, run.settings.seed): load_predictions(run.id).probabilities.tobytes()
        for run in runs_of(ids)
        if run.state == "finished"
    }


def race(dataset: Ingested, size: Size, engine: str, address: str = "") -> tuple[dict[Key, bytes], float]:
    """What came out, and seconds from the first start to the last end; each process has trained before."""
    shutil.rmtree(Path(os.environ["THAW_HOME"]) / "cache" / "features", ignore_errors=True)
    if store := store_here():
        store.delete("cache/features")
    with worker_of(engine, address):
        warm = queue(dataset, replace(size, scenarios=("scratch",), seeds=2, epochs=1))
        patiently(lambda: all_ended(warm))
        ids = queue(dataset, size)
        patiently(lambda: all_ended(ids))
    runs = runs_of(ids)
    return predictions(ids), max(run.ended or 0.0 for run in runs) - min(run.started or 0.0 for run in runs)


def kill(target: str, turn: int, raylets: Raylets, services: Services, driver: Supervisor, dice: random.Random) -> str:
    """Kill something that is at work, or disturb it, in the way whose turn it is; what it was, or nothing."""
    if target == "PostgreSQL":
        services.postgres.restart()
    elif target == "S3":
        way = WAYS[turn % len(WAYS)]
        assert services.s3
        services.s3.disturb(way, dice.uniform(*DISTURBED_S))
        return f"S3 {way}"
    elif target == "raylet":
        raylets.kill(dice.randrange(len(raylets.pids)))
        raylets.add()
    elif target == "driver":
        process = driver._process
        if process is None or process.poll() is not None:
            return ""
        process.kill()
    else:
        workers = [run.worker or {} for run in RunStore().runs(["running"]) if run.epochs]
        if not workers:
            return ""
        with suppress(ProcessLookupError):
            os.kill(dice.choice(workers)["pid"], signal.SIGKILL)
    return target


def chaos(
    dataset: Ingested, size: Size, services: Services, reference: dict[Key, bytes], seed: int
) -> tuple[Counter[str], list[str]]:
    """Races of which parts are killed, one part after the other, until so many are."""
    dice, counts, faults = random.Random(seed), Counter[str](), list[str]()
    targets = [target for target in size.targets if services.s3 or target != "S3"]
    with Raylets(2, services.home) as raylets, worker_of("ray", raylets.address) as driver:
        while counts.total() < size.kills:
            ids = queue(dataset, size)
            while not patiently(partial(all_ended, ids), dice.uniform(2.0, 8.0)) and counts.total() < size.kills:
                turn, number = divmod(counts.total(), len(targets))
                if patiently(lambda: bool(RunStore().count(["running"])), 120.0):
                    what = kill(targets[number], turn, raylets, services, driver, dice)
                    counts.update([what] if what else [])
            patiently(partial(all_ended, ids))
            if services.s3:
                services.s3.mend()
            faults += look_through(ids, reference)
    return counts, faults


def look_through(ids: list[str], reference: dict[Key, bytes]) -> list[str]:
    """What is wrong with a race that was disturbed, a word each: lost, stuck, twice; or "ended", with its cause."""
    faults, runs = ["lost"] * (len(ids) - len(runs_of(ids))), runs_of(ids)
    for run in runs:
        key = run.settings.model.scenario, run.settings.seed
        if run.is_active:
            faults.append("stuck")
        elif run.state != "finished":
            faults.append("ended" if "without getting further" in (run.cause or "") else "lost")
        elif load_predictions(run.id).probabilities.tobytes() != reference[key]:
            faults.append("twice")
    return faults


def row(what: str, figure: str) -> None:
    print(f"| {what} | {figure} |", flush=True)


def measure(size: Size, seed: int, services: Services, part: str) -> None:
    dataset = ingest_files(pictures(), "Cluster") if size.scenarios == SHORT.scenarios else ingest("builtin")
    save_peaks(Peaks(matmul_fp32=1.0, matmul_bf16=1.0, conv_fp32=1.0, conv_bf16=1.0, memory=1.0, decode=1.0))
    save_speeds(ModelSettings().backbone, Speeds(threads=1, probed=RATES))
    store = "an S3 server here" if services.s3 else os.environ["THAW_STORE"]
    print(f"{date.today()}, {this_machine()}, runs in PostgreSQL, files in {store}, 1 core per run.\n")
    print("| what | figure |\n|---|---|")
    here, here_s = race(dataset, size, "local")
    row(f"{len(size.scenarios)} strategies x {size.seeds} seeds, one process here", f"{here_s:.0f} s")
    if part != "kills":
        on_raylets(dataset, size, services, here)
    if part != "race":
        disturbed(dataset, size, services, here, seed)


def on_raylets(dataset: Ingested, size: Size, services: Services, here: dict[Key, bytes]) -> None:
    """The same race with one and two raylets."""
    times = []
    for number in (1, 2):
        with Raylets(number, services.home) as raylets:
            there, seconds = race(dataset, size, "ray", raylets.address)
        times.append(seconds)
        same = sum(there.get(key) == value for key, value in here.items())
        row(f"the same on {number} raylet(s)", f"{seconds:.0f} s; {same} of {len(here)} runs the same, bit for bit")
    row("two raylets against one", f"{times[0] / times[1]:.2f} times as fast")


def disturbed(dataset: Ingested, size: Size, services: Services, here: dict[Key, bytes], seed: int) -> None:
    """The same race with parts of it killed."""
    counts, faults = chaos(dataset, size, services, here, seed)
    killed, wrong = ", ".join(f"{name} {count}" for name, count in counts.items()), Counter(faults)
    row(
        f"killed or disturbed {counts.total()} times ({killed})",
        ", ".join(f"{wrong[x]} {x}" for x in ("lost", "twice", "stuck")),
    )
    if services.s3:
        row("requests that S3 answered late, half, with errors", f"{services.s3.disturbed}")
    if wrong["ended"]:
        row("runs that were killed three times without getting further, and say so", str(wrong["ended"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--kills", type=int, help="so many instead")
    parser.add_argument("--targets", default=",".join(TARGETS), help="what is killed or disturbed, in turn")
    parser.add_argument("--part", choices=("all", "race", "kills"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    size = SHORT if given.short else LONG
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
    found = shutil.which("initdb")
    if not (programs or found):
        sys.exit("PostgreSQL's server is not installed: apt-get install postgresql")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("ended before the end"))  # nothing is left behind
    size = replace(size, kills=size.kills if given.kills is None else given.kills)
    size = replace(size, targets=tuple(given.targets.split(",")))
    if not set(size.targets) <= set(TARGETS):
        parser.error(f"--targets: there are {', '.join(TARGETS)}")
    with ExitStack() as until_the_end:
        postgres = Postgres(Path(found).parent if found else programs or Path())
        until_the_end.callback(postgres.close)
        place = Path(
            until_the_end.enter_context(tempfile.TemporaryDirectory("", "thaw-cluster-", ignore_cleanup_errors=True))
        )
        s3 = None if os.environ.get("THAW_STORE") else S3(given.seed)
        if s3:
            until_the_end.callback(s3.close)
            os.environ |= s3.environment
        os.environ |= {"THAW_HOME": str(place / "home"), "THAW_DATABASE": postgres.url, "THAW_HOSTED": ""}
        measure(size, given.seed, Services(postgres=postgres, s3=s3, place=place), given.part)


if __name__ == "__main__":
    main()
