"""The photos' download, from a real server on this machine: resumed, checked, complete or not at all."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.data.photos import ANTS_AND_BEES, PhotoSet, fetch_photos
from core.errors import DatasetError

CONTENT = bytes(range(256)) * 6000


class Server(ThreadingHTTPServer):
    """What it sends, and what it was asked for."""

    content = CONTENT
    knows_ranges = True
    stop_after: int | None = None
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.knows_ranges else 0
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.stop_after])

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as here:
        thread = threading.Thread(target=here.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield here
        here.shutdown()
        thread.join()


@pytest.fixture
def photos(server: Server) -> PhotoSet:
    url = f"http://127.0.0.1:{server.server_port}/photos.zip"
    return PhotoSet(title="Photos", url=url, size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "downloads").iterdir())


def test_they_arrive_whole_with_progress_and_only_once(photos: PhotoSet, server: Server, thaw_home: Path):
    seen: list[tuple[int, int]] = []

    path = fetch_photos(photos, lambda done, total: seen.append((done, total)))

    assert path.read_bytes() == CONTENT and left(thaw_home) == ["photos.zip"]
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert fetch_photos(photos) == path and len(server.ranges) == 1


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_broke_off_goes_on(photos: PhotoSet, server: Server, thaw_home: Path, knows_ranges: bool):
    server.stop_after, server.knows_ranges = 600_000, knows_ranges
    with pytest.raises(DatasetError, match=r"broke off\. \d MB are here; the next try goes on|arrived\. Try again"):
        fetch_photos(photos)
    have = (thaw_home / "downloads" / "photos.part").stat().st_size
    server.stop_after = None

    assert fetch_photos(photos).read_bytes() == CONTENT
    assert 0 < have < len(CONTENT) and server.ranges == [None, f"bytes={have}-"]
    assert left(thaw_home) == ["photos.zip"]


def test_a_stop_keeps_what_has_arrived(photos: PhotoSet, thaw_home: Path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_photos(photos, stop)

    assert left(thaw_home) == ["photos.part"] and fetch_photos(photos).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "content", [CONTENT[:-1] + b"!", CONTENT + b"more", b"x" * len(CONTENT)], ids=["a bit", "longer", "other"]
)
def test_what_is_something_else_is_refused_and_not_kept(
    photos: PhotoSet, server: Server, thaw_home: Path, content: bytes
):
    server.content = content

    with pytest.raises(DatasetError, match="is not Photos: its SHA-256 begins with"):
        fetch_photos(photos)
    assert left(thaw_home) == []


def test_a_page_in_their_place_is_too_short(photos: PhotoSet, server: Server):
    server.content = b"<html>Please sign in</html>"

    with pytest.raises(DatasetError, match=r"Only 0\.0 of 1\.5 MB arrived"):
        fetch_photos(photos)


def test_a_refusing_and_a_missing_server_are_named(photos: PhotoSet, server: Server, monkeypatch: pytest.MonkeyPatch):
    server.status = 404
    with pytest.raises(DatasetError, match=r"the server answered 404\. The built-in set works without a network"):
        fetch_photos(photos)
    monkeypatch.setenv("THAW_DATA_URL", "http://127.0.0.1:9")
    with pytest.raises(DatasetError, match="no connection, or it broke off"):
        fetch_photos(photos)


def test_offline_nothing_is_tried(photos: PhotoSet, server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_OFFLINE", "1")

    with pytest.raises(DatasetError, match="Downloads are switched off"):
        fetch_photos(photos)
    assert server.ranges == []


def test_a_full_disk_is_said_before_anything_is_fetched(
    photos: PhotoSet, server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("core.data.photos.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000})())

    with pytest.raises(DatasetError, match="0 MB free; the download needs 2 MB more"):
        fetch_photos(photos)
    assert server.ranges == []


def test_the_real_set_is_what_the_tutorial_links_to():
    assert ANTS_AND_BEES.url.startswith("https://download.pytorch.org/tutorial/") and len(ANTS_AND_BEES.sha256) == 64
