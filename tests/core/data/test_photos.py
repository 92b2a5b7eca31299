"""The photos' download, from a real server on this machine: resumed, checked, complete or not at all."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers import REPOSITORY

from core.data.photos import ANTS_AND_BEES, OnProgress, PhotoSet, forget_photos, lend_photos
from core.errors import DatasetError
from core.home import home_folder

CONTENT = bytes(range(256)) * 6000


class Server(ThreadingHTTPServer):
    """What it sends, and what it was asked for."""

    content = CONTENT
    knows_ranges = True
    stop_after: int | None = None
    status = 200
    hold: threading.Event | None = None
    """The second half comes when this is set."""

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
        half = len(rest) // 2 if self.server.hold else 0
        self.wfile.write(rest[:half])
        if self.server.hold:
            self.server.hold.wait(60)
        self.wfile.write(rest[half : self.server.stop_after])

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


def fetch_photos(photos: PhotoSet, on_progress: OnProgress = lambda done, total: None) -> Path:
    """Where the zip lies for all, after it was lent once."""
    with TemporaryDirectory() as folder:
        return home_folder("downloads") / lend_photos(Path(folder), photos, on_progress).name


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


def test_two_who_ask_at_once_download_once_and_both_see_how_far_it_is(photos: PhotoSet, server: Server):
    server.hold = threading.Event()
    seen: dict[str, list[int]] = {"one": [], "other": []}
    got: list[Path] = []

    def ask(who: str) -> None:
        def tell(done: int, total: int) -> None:
            seen[who].append(done)
            if all(map(any, seen.values())):
                server.hold.set()

        got.append(fetch_photos(photos, tell))

    threads = [threading.Thread(target=ask, args=(who,)) for who in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(got) == 2 and got[0].read_bytes() == CONTENT and server.ranges == [None]
    assert all(any(0 < done < len(CONTENT) for done in told) for told in seen.values())


def test_processes_that_ask_at_once_download_once(photos: PhotoSet, server: Server, thaw_home: Path, tmp_path: Path):
    code = (
        "import pathlib, sys; from core.data.photos import PhotoSet, lend_photos; "
        f"lend_photos(pathlib.Path(sys.argv[1]), {photos!r})"
    )
    own = [tmp_path / name for name in "abc"]
    for folder in own:
        folder.mkdir()
    asking = [subprocess.Popen([sys.executable, "-c", code, folder], cwd=REPOSITORY) for folder in own]

    assert [process.wait(120) for process in asking] == [0, 0, 0]
    assert server.ranges == [None] and left(thaw_home) == ["photos.zip"]


def test_whoever_was_lent_the_zip_keeps_it_when_another_has_done_with_it(
    photos: PhotoSet, server: Server, tmp_path: Path, thaw_home: Path
):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = lend_photos(tmp_path / "a", photos), lend_photos(tmp_path / "b", photos)
    assert server.ranges == [None]

    first.unlink()
    forget_photos(photos)

    assert second.read_bytes() == CONTENT and left(thaw_home) == []


def test_a_disk_without_second_names_gets_a_copy(photos: PhotoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(*names: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr("core.data.photos.os.link", unknown)

    assert lend_photos(tmp_path, photos).read_bytes() == CONTENT


def test_a_cut_zip_is_fetched_anew(photos: PhotoSet):
    path = fetch_photos(photos)
    path.write_bytes(CONTENT[:1000])

    assert fetch_photos(photos).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [bytes(len(CONTENT)), CONTENT[:-1] + b"?", CONTENT[:9]])
def test_photos_that_were_damaged_on_the_disk_are_fetched_anew(photos: PhotoSet, content: bytes):
    fetch_photos(photos).write_bytes(content)

    assert fetch_photos(photos).read_bytes() == CONTENT
