"""Real servers and a real Chromium.

Who leaves a server's home as good as it was shares one: `common`, `raced`. Where there is no Chromium, the tests are
skipped with that reason, unless `THAW_REQUIRE_BROWSER` is set.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import FinishedRace, know_speeds

from benchmarks.shown import browsing

PROJECT = Path(__file__).resolve().parents[2]
# a page of another site, made in a test, may show this computer's
IN_FRAMES = "--disable-features=LocalNetworkAccessChecks"
# a camera that shows a pattern, and nobody to ask whether it may
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PATIENCE_S = 120
OUTER = "https://huggingface.co/spaces/someone/thaw"


def framed(page: Any, address: str) -> Any:
    """The app at an address, inside a page of another site."""
    page.route(
        "https://huggingface.co/**",
        lambda route: route.fulfill(
            content_type="text/html", body=f"<iframe id=app src='{address}' width=1200 height=850></iframe>"
        ),
    )
    page.goto(OUTER)
    return page.frame_locator("#app")


class Server:
    """The app as a person starts it, in a home folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.home / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)],
            cwd=PROJECT,
            env={**os.environ, "THAW_HOME": str(self.home)},
            stdout=log,
            stderr=log,
        )
        log.close()
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        self.stop()
        raise TimeoutError(self.log())

    def kill(self) -> list[psutil.Process]:
        """SIGKILL, as a crash would; the processes it had started."""
        assert self._process
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return children

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGABRT)  # its last words say where each thread is
                self._process.wait(PATIENCE_S)
                pytest.fail(f"The server did not end:\n{self.log()[-20_000:]}")

    def log(self) -> str:
        return (self.home / "server.log").read_text(errors="replace")


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    """The app on a home folder, stopped at the end."""
    home.mkdir(exist_ok=True)
    running = Server(home)
    running.start()
    yield running
    running.stop()


Prepare = Callable[[Path], Path]


@pytest.fixture(scope="session")
def prepare(bring_drawn_set: Callable[[Path], str]) -> Prepare:
    """Puts the built-in pictures and the machine's speeds into a home: no server draws or measures for a minute."""

    def prepared(home: Path) -> Path:
        know_speeds(home)
        bring_drawn_set(home)
        return home

    return prepared


@pytest.fixture
def server(tmp_path: Path, prepare: Prepare) -> Iterator[Server]:
    """The test's own."""
    with serving(prepare(tmp_path / "served")) as running:
        yield running


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory, prepare: Prepare) -> Iterator[Server]:
    """For whoever needs no run, and trains none."""
    with serving(prepare(tmp_path_factory.mktemp("common") / "home")) as running:
        yield running


@dataclass(frozen=True)
class Raced:
    """A server whose home has a finished race in it."""

    url: str
    dataset: str
    """The id of the pictures of the race."""
    finetuned: str
    """The id of its run."""


@pytest.fixture(scope="session")
def raced(_race: FinishedRace, tmp_path_factory: pytest.TempPathFactory, prepare: Prepare) -> Iterator[Raced]:
    """For whoever only asks."""
    home = tmp_path_factory.mktemp("raced") / "home"
    (dataset,) = (path.name for path in (shutil.copytree(_race.home, home) / "datasets").iterdir())
    with serving(prepare(home)) as running:
        yield Raced(url=running.url, dataset=dataset, finetuned=_race.run("finetuned"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """Closed with the module: Playwright keeps an event loop in this thread, which others would trip over."""
    try:
        with browsing(IN_FRAMES, *CAMERA) as browser:
            yield browser
    except FileNotFoundError as error:
        if os.environ.get("THAW_REQUIRE_BROWSER"):
            pytest.fail(f"{error}, and is required here")
        pytest.skip(str(error))
