"""Fifty visitors click through every page of one server while a run trains and pictures are brought.

    python benchmarks/load.py [--visitors 50] [--minutes 10] [--think 10] [--home FOLDER]

A visitor is what Streamlit's page in a browser is to its server: a WebSocket that speaks Streamlit's own messages, the
cookie and the token of uploads, pictures fetched over HTTP, parts of a page that ask again by themselves. One has seen
every page before the others come: what a page needs only once is not among their clicks. Between two clicks a visitor
thinks, for `--think` seconds on average. Every other click opens something on the page where there is something. Prints
what went wrong, how long clicks take, the server's memory, and how much slower training is.
"""

import argparse
import asyncio
import contextlib
import io
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image
from shown import served
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from core.data.ingest import ingest
from core.runs.race import submit
from core.runs.record import load_record
from core.runs.store import RunStore
from core.settings.schema import ModelSettings, OptimSettings, RunSettings

PATIENCE_S: Final = 120.0
FORGOTTEN_S: Final = 10  # after which the server forgets a visitor who left; two minutes by default
WARM_S: Final = 40  # that one visitor clicks quickly through all pages before anything is measured
HARMLESS: Final = ("classify.others", "data.class.more")
"""Buttons that change nothing for others, by the end of their ids."""
FINISHED: Final = ForwardMsg.FINISHED_SUCCESSFULLY
PART_FINISHED: Final = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY


@dataclass
class Seen:
    """What all visitors met."""

    clicks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds, by what was clicked."""
    wrong: Counter[str] = field(default_factory=Counter)
    fetched: int = 0
    uploads: int = 0


@dataclass
class Part:
    """Something on the page that can be clicked."""

    id: str
    fragment: str
    is_button: bool


class Visitor:
    """One tab: follows what the server sends, and sends what a person does."""

    def __init__(self, address: str, seen: Seen, dice: random.Random, think_s: float) -> None:
        self.address, self.seen, self.dice, self.think_s = address, seen, dice, think_s
        self.host, self.port = urlsplit(address).hostname or "", urlsplit(address).port or 80
        self.cookie, self.session, self.page = "", "", ""
        self.pages: dict[str, str] = {}
        self.parts: dict[str, Part] = {}
        self.uploaders: dict[str, str] = {}
        self.values: dict[str, WidgetState] = {}
        self._drawn = 0
        self._pictures: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._repeated: dict[str, asyncio.Task[None]] = {}
        self._finished: asyncio.Queue[int] = asyncio.Queue()
        self._places: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        self._socket: ClientConnection | None = None

    async def stay(self, until: float, uploads: bool) -> None:
        """Click, think, click, until it is time to go."""
        _, headers, _ = await self._ask("GET", "/_stcore/health")
        self.cookie = headers["set-cookie"].partition(";")[0]
        token = self.cookie.partition("=")[2]
        address = f"ws://{self.host}:{self.port}/_stcore/stream"
        head = {"Cookie": self.cookie}
        wanted = [Subprotocol("streamlit"), Subprotocol(token)]
        async with connect(
            address,
            origin=None,
            subprotocols=wanted,
            additional_headers=head,
            max_size=None,
        ) as self._socket:
            following = asyncio.create_task(self._follow(self._socket))
            try:
                await self._click("first page", "")
                while time.monotonic() < until:
                    await self._visit_each(until, uploads)
            finally:
                following.cancel()
                for task in (*self._tasks, *self._repeated.values()):
                    task.cancel()

    async def _visit_each(self, until: float, uploads: bool) -> None:
        names = [name for name in self.pages if name != self.page]
        for name in self.dice.sample(names, len(names)):
            await self._think(until)
            if time.monotonic() >= until:
                return
            self.page = name
            self.values.clear()
            await self._click(name, self.pages[name])
            await self._think(until)
            if uploads and name in ("classify", "data") and self.uploaders:
                await self._upload(name)
            elif self.parts:
                part = self.dice.choice(list(self.parts.values()))
                await self._click(f"{name}: part", self.pages[name], part)

    async def _think(self, until: float) -> None:
        await asyncio.sleep(min(self.dice.expovariate(1 / self.think_s), max(0.0, until - time.monotonic())))

    async def _click(self, what: str, page: str, part: Part | None = None) -> None:
        """Send it, and wait until the page stands."""
        while not self._finished.empty():
            self._finished.get_nowait()
        drawn = self._drawn
        message = self._rerun(page, part.fragment if part else "")
        if part:
            value = WidgetState(id=part.id)
            if part.is_button:
                value.trigger_value = True
            else:
                value.bool_value = not self.values.get(part.id, value).bool_value
                self.values[part.id] = value
            known = message.rerun_script.widget_states.widgets
            for state in [state for state in known if state.id == part.id]:
                known.remove(state)
            known.append(value)
        began = time.monotonic()
        await self._send(message)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (how := await self._finished.get()) != FINISHED:
                    # a part that asks again while its page is drawn is drawn after it, and the page's end is not told
                    if how == PART_FINISHED and (part or self._drawn != drawn):
                        break
        except TimeoutError:
            self.seen.wrong[f"{what}: no answer within {PATIENCE_S:.0f} s"] += 1
        self.seen.clicks[what].append(time.monotonic() - began)

    async def _upload(self, name: str) -> None:
        """A picture to classify, or a zip of them, as the uploader of a page brings it."""
        widget, fragment = next(iter(self.uploaders.items()))
        message = BackMsg()
        message.file_urls_request.request_id = str(self.seen.uploads)
        message.file_urls_request.session_id = self.session
        title = "new.jpg" if name == "classify" else f"set {self.seen.uploads}.zip"
        message.file_urls_request.file_names.append(title)
        began = time.monotonic()
        await self._send(message)
        file, place, away = await asyncio.wait_for(self._places.get(), PATIENCE_S)
        content = _picture(self.dice) if name == "classify" else _zip(self.dice)
        body, kind = _form(title, content)
        head = {"X-Xsrftoken": self.cookie.partition("=")[2], "Content-Type": kind}
        status, _, _ = await self._ask("PUT", place, body, head)
        if status != 204:
            self.seen.wrong[f"upload: status {status}"] += 1
        value = WidgetState(id=widget)
        uploaded = value.file_uploader_state_value.uploaded_file_info.add(file_id=file, name=title)
        uploaded.size = len(content)
        uploaded.file_urls.file_id, uploaded.file_urls.upload_url, uploaded.file_urls.delete_url = file, place, away
        self.values[widget] = value
        self.seen.uploads += 1
        await self._click(f"{name}: upload", self.pages[name], Part("", fragment, is_button=True) if fragment else None)
        self.seen.clicks[f"{name}: upload and all"].append(time.monotonic() - began)

    def _rerun(self, page: str, fragment: str = "", by_itself: bool = False) -> BackMsg:
        message = BackMsg()
        message.rerun_script.page_script_hash = page
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = by_itself
        message.rerun_script.widget_states.widgets.extend(self.values.values())
        message.rerun_script.context_info.url = self.address
        return message

    async def _send(self, message: BackMsg) -> None:
        assert self._socket
        await self._socket.send(message.SerializeToString())

    async def _follow(self, socket: ClientConnection) -> None:
        """Whatever the server sends, as it comes."""
        try:
            async for data in socket:
                assert isinstance(data, bytes)
                self._take(ForwardMsg.FromString(data))
        except ConnectionClosed:
            self.seen.wrong["the connection was closed"] += 1

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.session = message.new_session.initialize.session_id or self.session
            if not message.metadata.run.fragment_ids:  # not only a part of the page is drawn again
                self._forget()
        elif kind == "navigation":
            self.pages = {page.url_pathname or "home": page.page_script_hash for page in message.navigation.app_pages}
        elif kind == "delta":
            self._take_delta(message)
        elif kind == "auto_rerun":
            self._repeat(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "file_urls_response":
            for place in message.file_urls_response.file_urls:
                self._places.put_nowait((place.file_id, place.upload_url, place.delete_url))
        elif kind == "script_finished":
            self._finished.put_nowait(message.script_finished)

    def _forget(self) -> None:
        """What stood on the page before; what is drawn again is met again."""
        self._drawn += 1
        for task in self._repeated.values():
            task.cancel()
        self._repeated.clear()
        self.parts.clear()
        self.uploaders.clear()

    def _take_delta(self, message: ForwardMsg) -> None:
        delta = message.delta
        element, block = delta.new_element, delta.add_block
        kind = element.WhichOneof("type") if delta.HasField("new_element") else None
        if kind == "exception":
            self.seen.wrong[f"exception: {element.exception.message[:80]}"] += 1
        elif kind == "imgs":
            for image in element.imgs.imgs:
                self._fetch(image.url)
        elif kind == "file_uploader" and not element.file_uploader.disabled:
            self.uploaders.setdefault(element.file_uploader.id, delta.fragment_id)
        elif kind == "button" and element.button.id.endswith(HARMLESS) and not element.button.disabled:
            self.parts[element.button.id] = Part(element.button.id, delta.fragment_id, is_button=True)
        elif block.WhichOneof("type") == "expandable" and block.expandable.id:
            self.parts[block.expandable.id] = Part(block.expandable.id, delta.fragment_id, is_button=False)

    def _repeat(self, fragment: str, seconds: float) -> None:
        async def again() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._send(self._rerun(self.pages.get(self.page, ""), fragment, by_itself=True))

        if fragment not in self._repeated:
            self._repeated[fragment] = asyncio.create_task(again())

    def _fetch(self, url: str) -> None:
        """A picture that this visitor has not seen yet."""

        async def get() -> None:
            status, _, _ = await self._ask("GET", url)
            self.seen.fetched += 1
            if status != 200 and not (status == 404 and drawn != self._drawn):  # dropped when it is gone: rightly
                self.seen.wrong[f"picture: status {status}"] += 1

        drawn = self._drawn
        if url.startswith("/") and url not in self._pictures:
            self._pictures.add(url)
            task = asyncio.create_task(get())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(
        self, method: str, path: str, body: bytes = b"", head: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        lines = {"Host": f"{self.host}:{self.port}", "Connection": "close", "Content-Length": str(len(body))}
        lines |= {"Cookie": self.cookie} if self.cookie else {}
        text = "".join(f"{name}: {value}\r\n" for name, value in (lines | (head or {})).items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode() + body)
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        first, _, rest = answer.partition(b"\r\n")
        heads, _, content = rest.partition(b"\r\n\r\n")
        found = (line.partition(": ") for line in heads.decode("latin-1").split("\r\n"))
        return int(first.split()[1]), {name.lower(): value for name, _, value in found}, content


def _picture(dice: random.Random) -> bytes:
    """A photo-sized JPEG of its own."""
    file = io.BytesIO()
    small = Image.frombytes("RGB", (16, 12), dice.randbytes(16 * 12 * 3))
    small.resize((640, 480)).save(file, "JPEG", quality=90)
    return file.getvalue()


def _zip(dice: random.Random) -> bytes:
    """Two classes of ten pictures."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(20):
            archive.writestr(f"{'ab'[number % 2]}/{number}.jpg", _picture(dice))
    return file.getvalue()


def _form(name: str, content: bytes) -> tuple[bytes, str]:
    """A file as a form's field, and the form's kind."""
    line = "thaw-load"
    head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    return (
        f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + f"\r\n--{line}--\r\n".encode(),
        f"multipart/form-data; boundary={line}",
    )


async def crowd(address: str, seen: Seen, visitors: int, until: float, think_s: float) -> None:
    """Everybody, coming within the first half minute; one in ten brings pictures."""

    async def one(number: int) -> None:
        await asyncio.sleep(min(30.0, think_s * 2) * number / visitors)
        visitor = Visitor(address, seen, random.Random(number), think_s)
        try:
            await visitor.stay(until, uploads=number % 10 == 0)
        except (OSError, TimeoutError, ConnectionClosed) as error:
            seen.wrong[f"a visitor gave up: {type(error).__name__} {error}"] += 1

    await asyncio.gather(*(one(number) for number in range(visitors)))


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
