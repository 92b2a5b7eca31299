"""Thaw keeps to itself: under strace, the main job writes nothing outside its home and asks no other computer."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from helpers import REPOSITORY, drawn_classes, write_zip
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from traced import Trace, read_trace, tracer
from websockets.sync.client import connect

pytestmark = pytest.mark.slow
PATIENCE_S = 900
README_SCRIPT = """
from core.data.ingest import ingest
from core.settings.schema import ModelSettings, RunSettings
from core.training.scenarios import train_run
import sys

dataset = ingest(sys.argv[1]).dataset
run = train_run(RunSettings(model=ModelSettings(scenario="frozen")), dataset)
print(run.compute.engine)
"""
BREAKS_EVERY_PROMISE = """
import socket, pathlib, os, sys
home = pathlib.Path.home()
(home / "a.txt").write_text("kept")
(home / "a.txt").rename(home / "b.txt")
(home / "made").mkdir()
os.chdir(home / "made")
open("c.txt", "w").close()
os.symlink("/nowhere", home / "link")
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"who", ("127.0.0.53", 53))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 80))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 80))
pathlib.Path(os.environ["THAW_HOME"]).mkdir()
open(os.devnull, "w").close()
"""


@dataclass
class Person:
    """A user with empty folders, whose programs are traced."""

    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    traces: int = 0

    @property
    def thaw_home(self) -> Path:
        return self.folder / "thaw"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def environment(self) -> dict[str, str]:
        """As of somebody who has set nothing. Python's compiled copies of programs are left out: they are its own."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
        home = self.folder / "user"
        own = {"HOME": home, "THAW_HOME": self.thaw_home, "TMPDIR": self.temporary}
        own |= {f"XDG_{name}_HOME": home / name.lower() for name in ("CACHE", "CONFIG", "DATA", "STATE")}
        for folder in (home, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **{name: str(path) for name, path in own.items()}, **self.extra}

    def command(self, arguments: Sequence[object]) -> tuple[list[str], Path]:
        """A Python command with its tracer, and where the trace will be."""
        self.traces += 1
        trace = self.folder / "traces" / str(self.traces)
        return [*tracer(trace), sys.executable, *map(str, arguments)], trace

    def run(self, *arguments: object, cwd: Path = REPOSITORY) -> tuple[str, Trace]:
        """What Python printed and did."""
        command, trace = self.command(arguments)
        done = subprocess.run(
            command, cwd=cwd, env=self.environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, read_trace(trace, cwd)

    def check(self, done: Trace) -> None:
        """Nothing outside, nobody asked; and something inside, so that there was a trace to read."""
        assert done.outside(self.thaw_home, self.temporary) == set()
        assert done.abroad() == set()
        assert [path for path in (self.folder / "user").rglob("*") if path.is_file()] == []
        assert any(path.startswith(str(self.thaw_home.resolve())) for path in done.written)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path / "person")


def test_a_program_that_writes_elsewhere_and_asks_others_is_found_out(person: Person):
    _, done = person.run("-c", BREAKS_EVERY_PROMISE)

    found = {str(Path(path).relative_to((person.folder / "user").resolve())) for path in done.outside(person.thaw_home)}
    assert found == {"a.txt", "b.txt", "made", "made/c.txt", "link"}
    assert done.abroad() == {"127.0.0.53 53", "192.0.2.1 80"}


@pytest.mark.takes(60)
def test_the_command_line_from_pictures_to_a_network_taken_home(person: Person):
    archive = write_zip(person.folder.parent / "pictures.zip", drawn_classes(10))
    picture = person.folder.parent / "picture.png"
    picture.write_bytes(drawn_classes(1)["discs/0.png"])
    options = ["--scenarios", "frozen,finetuned", "--views", "1", "--epochs", "1", "--train-size", "96"]
    printed, done = person.run("-m", "core", "race", "--data", archive, "--json", *options)
    person.check(done)
    runs = [run["run"] for run in json.loads(printed)["runs"]]
    taken = person.temporary / "run.zip"
    for arguments in (
        ["compare", *runs],
        ["classify", runs[0], picture, "--explain", person.temporary / "maps"],
        ["export", runs[0], taken],
        ["machine"],
    ):
        person.check(person.run("-m", "core", *arguments)[1])

    with zipfile.ZipFile(taken) as packed:
        packed.extractall(person.temporary / "run")
    _, done = person.run("predict.py", picture, cwd=person.temporary / "run")
    assert done.outside(person.temporary) == set() and done.abroad() == set()


def test_core_as_a_library_in_somebody_elses_script(person: Person):
    archive = write_zip(person.folder.parent / "pictures.zip", drawn_classes(10))

    _, done = person.run("-c", README_SCRIPT, archive)

    person.check(done)


def test_the_app_with_its_worker(person: Person, monkeypatch: pytest.MonkeyPatch):
    person.extra = {"THAW_OFFLINE": "1"}
    with _served(person) as (port, trace):
        for page in ("", "data", "augment", "train", "compare", "classify"):
            _open_page(port, page)
        monkeypatch.setenv("THAW_HOME", str(person.thaw_home))
        _wait_for_run()
        _open_page(port, "train")

    person.check(read_trace(trace, person.folder))


@contextmanager
def _served(person: Person) -> Iterator[tuple[int, Path]]:
    """The app as a person starts it, from another folder than its own; ended as `kill` does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--server.port", port, "--server.address", "127.0.0.1"]
    command, trace = person.command(["-m", "streamlit", "run", REPOSITORY / "app.py", *options])
    with (person.folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=person.folder, env=person.environment(), stdout=log, stderr=log)
    try:
        _wait_for(lambda: _answers(port))
        yield port, trace
    finally:
        for child in psutil.Process(process.pid).children():
            child.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
            return True
    except OSError:
        return False


def _wait_for(happened) -> None:
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.3)


def _open_page(port: int, page: str) -> None:
    """What a browser does that opens a page: the session's script runs from start to end, without an exception."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=PATIENCE_S) as answer:
        assert answer.status == 200
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    with connect(address, subprotocols=["streamlit"], max_size=None, open_timeout=PATIENCE_S) as session:
        ask = BackMsg()
        ask.rerun_script.page_name = page
        session.send(ask.SerializeToString())
        while True:
            said = ForwardMsg.FromString(session.recv(timeout=PATIENCE_S))
            assert said.delta.new_element.WhichOneof("type") != "exception", said.delta.new_element.exception.message
            if said.WhichOneof("type") == "script_finished":
                return


def _wait_for_run() -> None:
    """A run of the built-in set, trained by the server's worker."""
    from core.data.ingest import ingest
    from core.runs.race import submit
    from core.runs.store import RunStore
    from core.settings.schema import OptimSettings, RunSettings

    store = RunStore()
    (run,) = submit(store, [RunSettings(optim=OptimSettings(views=1))], ingest("builtin"), as_race=False)
    _wait_for(lambda: not store.get(run).is_active)
    assert store.get(run).state == "finished", store.get(run).cause
