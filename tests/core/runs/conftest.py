"""A store, runs in it, workers that are gone, time that passes, and a real PostgreSQL server."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from helpers import claim_run

import core.runs.store
from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.runs import life
from core.runs.database import engine_of
from core.runs.race import submit
from core.runs.store import Run, RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings


@pytest.fixture
def store() -> RunStore:
    return RunStore()


@pytest.fixture
def claimed(few_dataset: Dataset) -> Callable[..., tuple[RunStore, Run]]:
    """Queues and claims a run on few drawn pictures."""

    def make(scenario: str = "frozen", **optim: object) -> tuple[RunStore, Run]:
        store = RunStore()
        small = OptimSettings(**{"epochs": 1, "batch_size": 8, "train_size": 96, **optim})
        plan = RunSettings(model=ModelSettings(scenario=scenario), optim=small)
        submit(store, [plan], Ingested(dataset=few_dataset, decode_s=0.5), as_race=False)
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
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Makes empty databases, in files and on a server; their addresses."""
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{tmp_path / uuid.uuid4().hex}.db"
        return
    try:
        import psycopg  # noqa: F401
    except ImportError:
        pytest.skip("psycopg cannot be used: pip install -r tests/requirements.txt")
    made, new_database = list[str](), request.getfixturevalue("new_database")
    yield lambda: made.append(new_database()) or made[-1]
    for url in made:
        engine_of(url).dispose()


@pytest.fixture
def database_url(empty_database: Callable[[], str]) -> str:
    """The address of an empty database, in a file and on a server."""
    return empty_database()


@pytest.fixture
def another_database(empty_database: Callable[[], str]) -> str:
    """Another one of the same kind."""
    return empty_database()


@pytest.fixture(scope="session")
def new_database(postgres: Path) -> Callable[..., str]:
    """Makes databases on the server, with what `CREATE DATABASE` takes."""
    import psycopg

    def make(options: str = "") -> str:
        name = f"thaw_{uuid.uuid4().hex}"
        with psycopg.connect(f"user=thaw dbname=postgres host={postgres}", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        return f"postgresql+psycopg://thaw@/{name}?host={postgres}"

    return make


@pytest.fixture(scope="session")
def postgres(_server: "Server") -> Path:
    """The folder with the socket of a PostgreSQL server of our own, gone after the tests."""
    return _server.folder


@pytest.fixture
def restart_postgres(_server: "Server") -> Callable[[], None]:
    """Ends the server and all connections, as an administrator does, and starts it anew."""
    return lambda: _server.control("restart", "-m", "fast")


@pytest.fixture
def postgres_down(_server: "Server") -> Callable[[], AbstractContextManager[Callable[[], None]]]:
    """Within the block the server is down, until what it gives is called."""

    @contextmanager
    def down() -> Iterator[Callable[[], None]]:
        _server.control("stop", "-m", "immediate")
        started = threading.Event()

        def start() -> None:
            if not started.is_set():
                started.set()
                _server.control("start")

        try:
            yield start
        finally:
            start()

    return down


class Server:
    """Its transactions would see nothing of what others do meanwhile, unless they ask for less: no default is relied
    on. It refuses to work for root, and its user may not look into pytest's folders.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder, self._programs, self._user = folder, programs, "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "-D", "data", "-U", "thaw", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.control("start")

    def control(self, *what: str) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        options += " -c default_transaction_isolation='repeatable read'"
        started = ("-o", options) if "stop" not in what else ()
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", *started, *what)

    def _run(self, program: str, *words: str) -> None:
        command = [self._programs / program, *words]
        subprocess.run(command, user=self._user, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="thaw-postgres-"))
    try:
        server = Server(programs, folder)
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def _postgres_programs() -> Path | None:
    """Where its programs are: on the path, or where Debian keeps them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
