"""A store, runs in it, workers that are gone, time that passes, and a real PostgreSQL server."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import claim_run

import core.runs.store
from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.runs import life
from core.runs.race import submit
from core.runs.store import Run, RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings


@pytest.fixture
def store() -> RunStore:
    return RunStore()


@pytest.fixture
def trained_on(tiny_dataset: Dataset) -> Dataset:
    return tiny_dataset


@pytest.fixture
def claimed(trained_on: Dataset) -> Callable[..., tuple[RunStore, Run]]:
    """Queues and claims a run on the drawn pictures."""

    def make(scenario: str = "frozen", **optim: object) -> tuple[RunStore, Run]:
        store = RunStore()
        plan = RunSettings(
            model=ModelSettings(scenario=scenario), optim=OptimSettings(**{"epochs": 1, "batch_size": 8, **optim})
        )
        submit(store, [plan], Ingested(dataset=trained_on, decode_s=0.5), as_race=False)
        run = store.claim()
        assert run is not None
        return store, run

    return make


@pytest.fixture
def die(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Run]:
    """Claim a run as a process that is gone: our own number, but born at another time."""

    def claim_and_die() -> Run:
        with monkeypatch.context() as patch:
            mine = life.identity()
            patch.setattr(core.runs.store, "identity", lambda: {**mine, "born": mine["born"] - 1000})
            return claim_run(store)

    return claim_and_die


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Let seconds pass by the clock that is never set, while somebody looks every few of them."""
    now = time.monotonic()
    monkeypatch.setattr(life.time, "monotonic", lambda: now)

    def wait(store: RunStore, seconds: float, every: float = 1.0, meanwhile: Callable[[], object] = list) -> list[str]:
        nonlocal now
        end, healed = now + seconds, []
        while now < end:
            now += every
            meanwhile()
            healed += store.heal()
        return healed

    return wait


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, in a file and on a server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'thaw.db'}"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        pytest.skip("psycopg cannot be used: pip install -r tests/requirements.txt")
    return request.getfixturevalue("new_database")()


@pytest.fixture(scope="session")
def new_database(postgres: Path) -> Callable[[], str]:
    """Makes databases on the server."""
    import psycopg

    def make() -> str:
        name = f"thaw_{uuid.uuid4().hex}"
        with psycopg.connect(f"user=thaw dbname=postgres host={postgres}", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://thaw@/{name}?host={postgres}"

    return make


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    """The folder with the socket of a PostgreSQL server of our own, gone after the tests.

    Its transactions would see nothing of what others do meanwhile, unless they ask for less: no default is relied on.
    """
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    # it refuses to work for root, and its user may not look into pytest's folders
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="thaw-postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        data, log = folder / "data", folder / "log"
        initdb = [programs / "initdb", "-D", data, "-U", "thaw", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, user=user, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        options += " -c default_transaction_isolation='repeatable read'"
        control = [programs / "pg_ctl", "-D", data, "-l", log, "-w"]
        subprocess.run([*control, "-o", options, "start"], user=user, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            yield folder
        finally:
            stop = [*control, "-m", "immediate", "stop"]
            subprocess.run(stop, user=user, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(folder)


def _postgres_programs() -> Path | None:
    """Where its programs are: on the path, or where Debian keeps them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
