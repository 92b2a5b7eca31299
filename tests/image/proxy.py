"""A reverse proxy as one stands before a Space: https outside, plain HTTP inside, the host's name passed on.

Only what the test needs: each request on a connection of its own, WebSockets left as they are.
"""

import asyncio
import re
import ssl
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import socket

END = b"\r\n\r\n"
CHUNK = 1 << 16


class ReverseProxy:
    """Listens on loopback, with a certificate of its own for one name, and passes on to whatever `connect` reaches."""

    def __init__(self, name: str, connect: Callable[[], socket], folder: Path) -> None:
        self._connect, self._tls = connect, _certified(name, folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outer = None
        with suppress(OSError, asyncio.IncompleteReadError):  # one of the two went away
            try:
                head = forwarded(await reader.readuntil(END))
                there = await self._loop.run_in_executor(None, self._connect)
                there.setblocking(False)
                inner, outer = await asyncio.open_connection(sock=there)
                outer.write(head)
                up = asyncio.ensure_future(_pumped(reader, outer))
                try:
                    await _pumped(inner, writer)
                finally:
                    up.cancel()
            finally:
                for one in filter(None, (outer, writer)):
                    one.close()


def forwarded(head: bytes) -> bytes:
    """The head of a request as the proxy passes it on."""
    lines = [line for line in head.removesuffix(END).split(b"\r\n") if not re.match(rb"x-forwarded-", line, re.I)]
    if not re.search(rb"\r\nupgrade:", head, re.I):
        lines = [line for line in lines if not re.match(rb"(connection|keep-alive):", line, re.I)]
        lines.append(b"Connection: close")
    return b"\r\n".join([*lines, b"X-Forwarded-Proto: https", b"X-Forwarded-For: 192.0.2.7"]) + END


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()


def _certified(name: str, folder: Path) -> ssl.SSLContext:
    """A context with a certificate that nobody but the test believes."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "1", "-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
