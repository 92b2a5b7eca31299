"""An S3 server on loopback that can be told to fail, to be slow and to be silent."""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}


@dataclass
class Bucket:
    """A bucket of its own on a server that others use, too."""

    name: str
    faults: list[int] = field(default_factory=list)
    """The statuses that the next requests get in place of an answer."""
    silent: threading.Event = field(default_factory=threading.Event)
    """While it is set, every request gets status 503."""
    slow_s: float = 0.0
    requests: list[str] = field(default_factory=list)
    """Method and path of each one."""

    @property
    def address(self) -> str:
        return f"s3://{self.name}/pre/fix"


class Server:
    """moto's server, with what is asked of a bucket looked at first."""

    def __init__(self) -> None:
        pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[s3,server]'")
        pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'thaw-lab[s3]'")
        from moto.server import ThreadedMotoServer

        self._buckets: dict[str, Bucket] = {}
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        self._moto._server.app = self._looked_at(self._moto._server.app)
        host, port = self._moto.get_host_and_port()
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "thaw",
            "AWS_SECRET_ACCESS_KEY": "thaw",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def stop(self) -> None:
        self._moto.stop()

    def bucket(self) -> Bucket:
        from core.objects.store import bucket_files

        made = Bucket(name=f"thaw-{uuid.uuid4().hex[:8]}")
        bucket_files().mkdir(made.name)
        self._buckets[made.name] = made
        return made

    def _looked_at(self, app: Wsgi) -> Wsgi:
        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            bucket = self._buckets.get(environ["PATH_INFO"].split("/")[1])
            if bucket is None:
                return app(environ, start_response)
            bucket.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            time.sleep(bucket.slow_s)
            status = 503 if bucket.silent.is_set() else bucket.faults.pop(0) if bucket.faults else 0
            if not status:
                return app(environ, start_response)
            length = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"].read(length)
            start_response(f"{status} As Asked For", [("Content-Type", "application/xml")])
            return [f"<Error><Code>{CODES[status]}</Code><Message>as asked for</Message></Error>".encode()]

        return answer


@contextmanager
def s3_server() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.stop()
