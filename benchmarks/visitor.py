"""A visitor who clicks through the app, without a browser.

It is what Streamlit's page in a browser is to its server: a WebSocket that speaks Streamlit's own messages, the cookie
and the token of uploads, pictures fetched over HTTP, parts of a page that ask again by themselves. Every other click
opens something on the page where there is something.
"""

import asyncio
import io
import random
import time
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from PIL import Image
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PATIENCE_S: Final = 120.0
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
