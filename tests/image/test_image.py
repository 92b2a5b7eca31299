"""The image as strangers meet it: behind a reverse proxy, in a frame of another site, without a network.

`make test-image`; `THAW_IMAGE_SHOTS=folder` keeps what was seen.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from container import Container, Images
from helpers import drawn, drawn_classes, take_photo, write_zip
from proxy import ReverseProxy
from websockets import Origin
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as open_websocket

from benchmarks.shown import browsing

pytestmark = pytest.mark.image
HOST, OUTER = "someone-thaw.hf.space", "https://huggingface.co/spaces/someone/thaw"
# what the Hub's page gives the frame of a Space
FRAME = (
    '<iframe id=app width=1240 height=1700 src="{}" allow="camera; clipboard-read; clipboard-write; microphone" '
    'sandbox="allow-downloads allow-forms allow-modals allow-popups allow-popups-to-escape-sandbox allow-same-origin '
    'allow-scripts allow-storage-access-by-user-activation"></iframe>'
)
FLAGS = (
    "--disable-features=LocalNetworkAccessChecks",  # the page of the other site is made here, too
    "--ignore-certificate-errors",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
CLICK_MS, WORK_MS, PATIENCE_S = 120_000, 900_000, 180
ANSWER = re.compile("better than|practically the same|Not decided yet")
WRITABLE = ["/home/thaw", "/run/lock", "/tmp", "/var/tmp"]


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_S) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.1)
    return found


@pytest.fixture
def container(images: Images) -> Iterator[Container]:
    running = Container(images)
    yield running
    running.remove()


@pytest.fixture
def proxy(container: Container, tmp_path: Path) -> Iterator[ReverseProxy]:
    before = ReverseProxy(HOST, container.connected, tmp_path)
    yield before
    before.stop()


def asked(proxy: ReverseProxy, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer, through the proxy; 0 while nothing answers."""
    context = ssl._create_unverified_context()
    request = urllib.request.Request(f"https://127.0.0.1:{proxy.port}{path}", headers={"Host": HOST, **headers})
    request.method = method
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S, context=context) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}
    except OSError:
        return 0, {}


def within(container: Container, code: str, within_s: float = PATIENCE_S) -> str:
    """What Python says, beside the app."""
    done = container.run("python3", "-c", code, within_s=within_s)
    assert done.returncode == 0, done.stderr
    return done.stdout


QUEUE = """
from core.data.ingest import ingest
from core.home import within
from core.runs.race import submit
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.workspaces.workspace import new_workspace

visitor, _ = new_workspace()
plan = RunSettings(model=ModelSettings(scenario="finetuned"), optim=OptimSettings(epochs=6, train_size=96))
with within(visitor.id):
    submit(visitor.runs, [plan], ingest("builtin"), as_race=False)
print(visitor.id)
"""
"""A visitor's run. Runs that are no visitor's are not trained by a server for strangers."""
STANDS = """
import json, time
from core.runs.everybody import store_of

store, end = store_of("{visitor}"), time.monotonic() + {seconds}
while True:
    (run,) = store.runs()
    if {condition} or time.monotonic() > end:
        break
    time.sleep(0.1)
print(json.dumps([run.state, run.attempt, run.crashes]))
"""


def stands(container: Container, visitor: str, condition: str, seconds: float) -> list[Any]:
    """State, attempt and crashes of a visitor's only run once the condition is true of it, or after `seconds`."""
    code = STANDS.format(visitor=visitor, condition=condition, seconds=seconds)
    found: list[Any] = json.loads(within(container, code, seconds + PATIENCE_S))
    return found


def test_the_image_holds_what_serves_and_nothing_that_builds(images: Images, container: Container) -> None:
    config, root = images.config(), container.root
    print(f"\nimage: {images.size()}")

    assert config["User"] == "1000" and config["Entrypoint"][0] == "tini" and config["Healthcheck"]
    tools = ["apt-key", "cc", "c++", "gcc", "g++", "git", "ld", "make", "pip", "pip3", "uv"]
    folders = [root / "venv/bin", root / "usr/bin", root / "usr/local/bin"]
    assert [tool for tool in tools for folder in folders if os.path.lexists(folder / tool)] == []
    assert not list((root / "venv").glob("lib/python3*/site-packages/pip*"))
    assert {path.name for path in (root / "app").iterdir()} - {"__pycache__"} == {
        ".streamlit", "LICENSE", "app.py", "doors.py", "core", "pages", "requirements.lock",
    }  # fmt: skip
    left = [path for path in (root / "client", root / "etc/pip.conf") if path.exists() and not path.is_dir()]
    assert [path for path in left if path.stat().st_size] == []


def test_only_the_home_and_temporary_folders_can_be_written(container: Container) -> None:
    command = [
        "find",
        str(container.root),
        "-xdev",
        "(",
        "-uid",
        "1000",
        "-o",
        "-perm",
        "-0002",
        ")",
        "!",
        "-type",
        "l",
    ]
    found = subprocess.run([*command, "-prune"], capture_output=True, text=True, check=True).stdout.split()
    places = {f"/{Path(path).relative_to(container.root)}" for path in found}

    assert {place for place in places if not place.startswith(("/dev/", "/proc/", "/sys/"))} <= set(WRITABLE)
    assert (container.root / "app/core").stat().st_uid == 0
    home = container.root / "home/thaw/data"
    assert len(list((home / "datasets").iterdir())) == 1, "the built-in pictures are there"
    assert not (home / "speeds.json").exists(), "the machine that built it is not the one that serves"


def status_of_websocket(proxy: ReverseProxy, origin: str) -> int:
    """What a page of this origin gets that asks for a session."""
    sock, context = socket.create_connection(("127.0.0.1", proxy.port)), ssl._create_unverified_context()
    try:
        with open_websocket(f"wss://{HOST}/_stcore/stream", sock=sock, ssl=context, origin=Origin(origin)) as opened:
            return opened.response.status_code
    except InvalidStatus as refused:
        return refused.response.status_code


class Stranger:
    """Somebody who looks at the Space's page on the Hub, the app in a frame in it."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 1740}, ignore_https_errors=True)
        self.page, self.folder = self.context.new_page(), Path(os.environ.get("THAW_IMAGE_SHOTS") or folder)
        self.page.set_default_timeout(CLICK_MS)
        self.answers: list[tuple[str, int]] = []
        self.sockets: list[str] = []
        self.page.on("response", lambda answer: self.answers.append((answer.request.method, answer.status)))
        self.page.on("websocket", lambda found: self.sockets.append(found.url))

    def shown(self, outer: str = OUTER, path: str = "/") -> Any:
        """The app within the outer page."""
        body = FRAME.format(f"https://{HOST}{path}")
        server = outer.split("/")[2]
        self.page.route(f"https://{server}/**", lambda route: route.fulfill(content_type="text/html", body=body))
        self.page.goto(outer)
        return self.page.frame_locator("#app")

    def go(self, app: Any, name: str) -> None:
        app.get_by_role("link", name=name, exact=True).first.click()
        app.get_by_role("heading", name=name, exact=True, level=1).wait_for()

    def keeps(self, name: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(1000)
        self.page.screenshot(path=self.folder / f"{name}.png")


@pytest.fixture
def stranger(proxy: ReverseProxy, tmp_path: Path) -> Iterator[Stranger]:
    with browsing(*FLAGS, f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{proxy.port}") as browser:
        yield Stranger(browser, tmp_path)


@pytest.fixture
def served(container: Container, proxy: ReverseProxy) -> float:
    """The app at work, as in a read-only container: only its data and /tmp can be written; seconds until it answers."""
    os.chown(container.root / "home/thaw", 0, 0)
    os.chmod(container.root / "home/thaw", 0o755)
    began = time.monotonic()
    container.start()
    wait_for(lambda: asked(proxy, "/_stcore/health")[0] == 200)
    return time.monotonic() - began


def test_strangers_are_served_without_a_network_and_others_are_refused(
    container: Container, proxy: ReverseProxy, served: float, stranger: Stranger, tmp_path: Path
) -> None:
    began = time.monotonic()
    app = stranger.shown()
    app.get_by_role("button", name="Run the race").wait_for()
    print(
        f"\nthe server answers after {served:.1f} s, the page stands {time.monotonic() - began:.1f} s after it is asked"
    )
    stranger.keeps("1-first-page")
    interfaces = Path(f"/proc/{container.first().pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"], "there is no way out"
    assert {process.uids().real for process in container.first().children(recursive=True)} == {1000}

    status, headers = asked(proxy, "/")
    assert status == 200 and "huggingface.co" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff" and "x-frame-options" not in headers
    assert asked(proxy, "/_stcore/upload_file/a/b", "PUT", **{"X-Xsrftoken": "2|00000000|bb|1"})[0] == 403
    assert status_of_websocket(proxy, "https://elsewhere.example") == 403
    assert status_of_websocket(proxy, f"https://{HOST}") == 101
    assert all(address.startswith(f"wss://{HOST}/") for address in stranger.sockets) and stranger.sockets
    assert asked(proxy, "/health")[0] == 200
    assert container.run(*container.images.config()["Healthcheck"]["Test"][1:]).returncode == 0

    stranger.go(app, "Data")
    pictures = write_zip(tmp_path / "m.zip", drawn_classes(10)).read_bytes()
    zipped = {"name": "mine.zip", "mimeType": "application/zip", "buffer": pictures}
    app.locator('input[type="file"]').first.set_input_files([zipped])
    app.get_by_role("heading", name="mine", exact=True).wait_for()
    stranger.keeps("2-upload")
    assert {status for method, status in stranger.answers if method == "PUT"} == {204}
    assert "Traceback" not in container.log.read_text()

    refused = stranger.shown("https://elsewhere.example/page")
    stranger.page.wait_for_timeout(3000)
    headings = refused.locator("h1").all_inner_texts()  # the browser's own page has one, too
    assert "Thaw" not in headings, "other sites may not show it in a frame"


def test_a_stranger_races_classifies_and_takes_the_network_home(
    container: Container, served: float, stranger: Stranger
) -> None:
    app = stranger.shown(path="/?epochs=1&train_size=96")
    app.get_by_role("button", name="Run the race").click()
    app.get_by_role("heading", name=ANSWER).wait_for(timeout=WORK_MS)
    stranger.keeps("3-race")

    stranger.go(app, "Classify")
    picture = {"name": "new.png", "mimeType": "image/png", "buffer": drawn("discs", 7)}
    app.locator('input[type="file"]').first.set_input_files([picture])
    answer = app.locator(".st-key-classify-answer h2")
    answer.wait_for()
    assert re.search(r"\b(ants|bees|none of these)\b", answer.inner_text(), re.IGNORECASE)  # an icon before it
    stranger.keeps("4-classify")
    app.get_by_text("Camera", exact=True).click()
    answer.wait_for(state="detached")
    take_photo(app)
    answer.wait_for()
    stranger.keeps("5-camera")
    app.get_by_role("button", name="Export model").press("Enter")
    app.get_by_role("button", name="Prepare export").press("Enter")
    ready = app.get_by_role("button", name=re.compile("^Download, "))
    ready.wait_for(timeout=WORK_MS)
    with stranger.page.expect_download() as download:
        ready.press("Enter")
    with zipfile.ZipFile(download.value.path()) as package:
        assert package.testzip() is None and "predict.py" in package.namelist()
    assert "Traceback" not in container.log.read_text()


def test_a_stop_gives_the_run_back_and_a_start_goes_on_with_it(container: Container, served: float) -> None:
    visitor = within(container, QUEUE).strip()
    at_work = stands(container, visitor, 'run.state != "queued"', 900)

    took = container.stop()
    print(f"\nstopped in {took:.1f} s")
    container.start()
    ended = stands(container, visitor, 'run.state not in ("queued", "running")', 900)

    assert at_work == ["running", 1, 0]
    assert took < 10
    assert ended == ["finished", 2, 0]
