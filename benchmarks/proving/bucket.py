"""An S3 server on loopback, moto's in a process of its own, and a way to it that can be disturbed for a while.

Everything goes through a small proxy here: it can answer with errors, take its time, break off in the middle of an
answer, or be closed.
"""

import http.client
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

WAYS: Final = ("errors", "slow", "torn", "away")
"""500 and 503; seconds late; the connection breaks in the middle of an answer, or before it; nobody listens."""
SHARE: Final = {"errors": 0.7, "slow": 1.0, "torn": 0.5}
"""Of the requests that it happens to."""
LATE_S: Final = (0.5, 6.0)
NAME: Final = "thaw"


class S3:
    """A bucket, empty at first; ends with whoever made it."""

    def __init__(self, seed: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a line for each request
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        self._proxy = _Proxy(int(self._process.stdout.readline()), random.Random(seed))
        self._timer = threading.Timer(0.0, self.mend)
        self.environment: dict[str, str] = {
            "THAW_STORE": f"s3://{NAME}/home",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._proxy.port}",
            "AWS_ACCESS_KEY_ID": "thaw",
            "AWS_SECRET_ACCESS_KEY": "thaw",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        """What the programs that use it are to see."""
        self.disturbed = 0
        """So many requests."""

    def disturb(self, way: str, seconds: float) -> None:
        """One of `WAYS`, for a while."""
        self.mend()
        self._proxy.go(way)
        self._timer = threading.Timer(seconds, self._proxy.go, ("",))
        self._timer.start()

    def mend(self) -> None:
        """Answer as a server should."""
        self._timer.cancel()
        self._proxy.go("")
        self.disturbed = self._proxy.disturbed

    def close(self) -> None:
        self.mend()
        self._proxy.close()
        self._process.communicate()


class _Proxy:
    """Hands requests to a port of this machine, as the way of the moment has it."""

    def __init__(self, behind: int, dice: random.Random) -> None:
        self.behind, self.dice, self.way, self.port, self.disturbed = behind, dice, "", 0, 0
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._open()

    def go(self, way: str) -> None:
        """Change the way; connections that are open break, but for one that is only slow."""
        with self._lock:
            self.way = way
            if way in ("errors", "torn", "away") and self._server:
                self._server.hang_up()
            if way == "away":
                self._shut()
            elif self._server is None:
                self._open()

    def close(self) -> None:
        with self._lock:
            self._shut()

    def _open(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _shut(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
        self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], proxy: _Proxy) -> None:
        super().__init__(address, _Handler)
        self.proxy, self._open = proxy, set[socket.socket]()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are what this is for."""

    def hang_up(self) -> None:
        for one in tuple(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def answer(self) -> None:
        proxy = self.server.proxy
        way, body = proxy.way, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if proxy.dice.random() >= SHARE.get(way, 0.0):
            way = ""
        proxy.disturbed += bool(way)
        if way == "slow":
            time.sleep(proxy.dice.uniform(*LATE_S))
        if way == "errors":
            status = proxy.dice.choice((500, 503))
            code = {500: "InternalError", 503: "SlowDown"}[status]
            text = f"<Error><Code>{code}</Code><Message>as asked for</Message></Error>".encode()
            self._send(status, [("Content-Type", "application/xml")], text)
            return
        behind = http.client.HTTPConnection("127.0.0.1", proxy.behind, timeout=60)
        behind.request(self.command, self.path, body, dict(self.headers.items()))
        found = behind.getresponse()
        content = found.read()
        behind.close()
        self._send(found.status, found.getheaders(), content, torn=way == "torn")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes, torn: bool = False) -> None:
        if torn and not content:  # it was done, and nobody hears of it
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if torn else content)
        self.close_connection = self.close_connection or torn


def _serve() -> None:
    """moto's server with the bucket, until the end of standard input; says its port."""
    import os

    os.environ |= {"AWS_ACCESS_KEY_ID": "thaw", "AWS_SECRET_ACCESS_KEY": "thaw", "AWS_DEFAULT_REGION": "us-east-1"}
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    fsspec.filesystem("s3", endpoint_url=f"http://{host}:{port}").mkdir(NAME)
    print(port, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    _serve()
