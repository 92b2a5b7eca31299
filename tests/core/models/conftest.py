"""A web server of this machine that can also behave badly."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; below /truncated/ the connection ends half-way, below /endless/ it goes on for very long.

    Knows ranges that go to the end. What is asked for as on the Hugging Face Hub lies elsewhere, and its hash is said.
    """

    asked: list[str]

    def do_HEAD(self) -> None:
        if "/resolve/" in self.path:
            return self.send_on()
        return super().do_HEAD()

    def send_on(self) -> None:
        """To the file called as the model is; `said`, where it lies beside it, is what is claimed of its content."""
        self.asked.append(f"{self.command} {self.path}")
        name = f"{self.path.split('/')[2]}.safetensors"
        file, said = Path(self.directory) / name, Path(self.directory) / "said"
        sha256 = said.read_text() if said.exists() else hashlib.sha256(file.read_bytes()).hexdigest()
        self.send_response(302)
        self.send_header("X-Linked-Etag", f'"{sha256}"')
        self.send_header("Location", f"/{name}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        if "/resolve/" in self.path:
            return self.send_on()
        self.asked.append(self.path)
        if self.headers.get("Range"):
            return self.send_rest(int(self.headers["Range"].removeprefix("bytes=").rstrip("-")))
        _, kind, name = ("/" + self.path).rsplit("/", 2)
        if kind not in ("truncated", "endless"):
            return super().do_GET()
        content = (Path(self.directory) / name).read_bytes()
        self.send_response(200)
        if kind == "truncated":
            self.send_header("Content-Length", str(len(content)))
            content = content[: len(content) // 2]
        self.end_headers()
        try:
            for _ in range(1 if kind == "truncated" else 100):
                self.wfile.write(content)
        except OSError:
            pass  # the client has hung up
        self.close_connection = True

    def send_rest(self, start: int) -> None:
        rest = Path(self.translate_path(self.path)).read_bytes()[start:]
        self.asked[-1] += f" from {start}"
        self.send_response(206 if rest else 416)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Server(NamedTuple):
    """Where it answers, the folder it serves and the paths it was asked for so far."""

    url: str
    folder: Path
    asked: list[str]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[str] = []
    handler = type("HandlerOfThisTest", (Handler,), {"asked": asked})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield Server(f"http://127.0.0.1:{httpd.server_port}", folder, asked)
    httpd.shutdown()
    httpd.server_close()
    thread.join()
