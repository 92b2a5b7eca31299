"""Downloads from a real server on this machine: checked, complete or not at all, and never twice."""

import hashlib
import json
import shutil
import subprocess
import sys
from typing import Any

import pytest
from helpers import REPOSITORY

from core.errors import WeightsError
from core.models.download import RemoteFile, fetch, is_offline, recorded_sha256, verify

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(server: Any) -> RemoteFile:
    name = f"net-{SHA256[:8]}.pth"
    (server.folder / name).write_bytes(CONTENT)
    return RemoteFile(title="the weights of Net", url=f"{server.url}/{name}", size_bytes=len(CONTENT))


def cache(file: RemoteFile) -> set[str]:
    return {path.name for path in file.path.parent.iterdir()}


def test_a_download_lies_in_the_cache_with_its_full_hash_beside_it(file: RemoteFile) -> None:
    assert fetch(file) == SHA256

    assert file.path.read_bytes() == CONTENT
    assert recorded_sha256(file) == SHA256
    assert json.loads(file.record_path.read_text())["size_bytes"] == len(CONTENT)
    assert cache(file) == {file.file_name, f"{file.file_name}.json"}
    assert verify(file) == SHA256


def test_progress_rises_to_the_whole_size(file: RemoteFile) -> None:
    seen: list[tuple[int, int]] = []

    fetch(file, lambda done, total: seen.append((done, total)))

    assert {total for _, total in seen} == {len(CONTENT)}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len({done for done, _ in seen}) >= 3
    assert seen[-1][0] == len(CONTENT)


def test_a_progress_callback_that_raises_stops_the_download(file: RemoteFile) -> None:
    def stop(done: int, total: int) -> None:
        raise StopIteration("by the user")

    with pytest.raises(StopIteration, match="by the user"):
        fetch(file, stop)
    assert cache(file) == set()


def test_a_download_that_was_stopped_goes_on(file: RemoteFile, server: Any) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(file, stop)
    have = file.part_path.stat().st_size
    seen: list[tuple[int, int]] = []

    assert fetch(file, lambda done, total: seen.append((done, total))) == SHA256
    assert 0 < have < len(CONTENT) and server.asked[-1].endswith(f" from {have}")
    assert seen[0][0] > have and {total for _, total in seen} == {len(CONTENT)} and not file.part_path.exists()


def test_a_download_that_was_killed_at_its_end_is_taken_as_it_is(file: RemoteFile) -> None:
    file.part_path.write_bytes(CONTENT)

    assert fetch(file) == SHA256


def test_a_part_of_something_else_is_not_kept(file: RemoteFile) -> None:
    file.part_path.write_bytes(b"x" * 1000)

    with pytest.raises(WeightsError, match="Nothing was kept"):
        fetch(file)
    assert fetch(file) == SHA256


def test_two_who_want_it_at_once_download_it_once(file: RemoteFile, server: Any) -> None:
    code = f"from core.models.download import RemoteFile, fetch; print(fetch({file!r}))"
    asking = [
        subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    assert [process.communicate(timeout=120)[0].strip() for process in asking] == [SHA256] * 3
    assert server.asked == [f"/{file.file_name}"] and file.path.read_bytes() == CONTENT


def test_content_with_another_hash_is_refused(file: RemoteFile, server: Any) -> None:
    (server.folder / file.file_name).write_bytes(CONTENT[:-1] + b"!")

    with pytest.raises(WeightsError, match=rf"begins with \w{{8}}, not {SHA256[:8]}. Nothing was kept"):
        fetch(file)
    assert cache(file) == set()


def test_a_page_saved_in_place_of_weights_is_refused(file: RemoteFile, server: Any) -> None:
    (server.folder / file.file_name).write_text("<html>Please sign in</html>")

    with pytest.raises(WeightsError, match="is not the weights of Net"):
        fetch(file)
    assert cache(file) == set()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "the connection ended before the file was complete"),
        ("endless", "sends more than 1.0 MB"),
        ("missing/deeper", "the server answered 404"),
    ],
)
def test_a_bad_answer_is_named_and_the_next_try_works(
    kind: str, message: str, file: RemoteFile, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAW_WEIGHTS_URL", f"{server.url}/{kind}/")
    with pytest.raises(WeightsError, match=message):
        fetch(file)
    assert cache(file) == set()

    monkeypatch.delenv("THAW_WEIGHTS_URL")
    assert fetch(file) == SHA256


def test_no_server_is_a_sentence(file: RemoteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_WEIGHTS_URL", "http://127.0.0.1:9")  # the discard port: nobody listens

    with pytest.raises(WeightsError, match="could not be read: no connection to the server"):
        fetch(file)
    assert cache(file) == set()


def test_a_full_disk_is_said_before_the_download(file: RemoteFile, server: Any) -> None:
    free = shutil.disk_usage(file.path.parents[1]).free
    huge = RemoteFile(title=file.title, url=file.url, size_bytes=free * 2)

    with pytest.raises(WeightsError, match=r"MB free; the weights of Net needs"):
        fetch(huge)
    assert server.asked == []


@pytest.mark.parametrize("place", [0, len(CONTENT) // 2, len(CONTENT) - 1])
def test_one_flipped_bit_on_disk_is_caught_and_the_file_removed(file: RemoteFile, place: int) -> None:
    fetch(file)
    damaged = bytearray(CONTENT)
    damaged[place] ^= 1
    file.path.write_bytes(damaged)

    with pytest.raises(WeightsError, match=rf"{file.file_name} was damaged on disk .* has been removed"):
        verify(file)
    assert cache(file) == set()
    assert fetch(file) == SHA256


def test_a_hash_that_only_begins_right_is_caught_by_the_recorded_one(file: RemoteFile) -> None:
    fetch(file)
    other = SHA256[:8] + "0" * 56
    file.record_path.write_text(json.dumps({"sha256": other}))

    with pytest.raises(WeightsError, match="was damaged on disk"):
        verify(file)


def test_a_file_without_a_record_is_checked_by_its_name_and_gets_one(file: RemoteFile) -> None:
    fetch(file)
    file.record_path.unlink()

    assert verify(file) == SHA256
    assert recorded_sha256(file) == SHA256


def test_a_name_without_a_hash_cannot_be_fetched() -> None:
    with pytest.raises(WeightsError, match="no hash in its name"):
        fetch(RemoteFile(title="a net", url="http://127.0.0.1:9/net.pth", size_bytes=1))


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("", False), ("0", False)])
def test_the_offline_switch(value: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_OFFLINE", value)

    assert is_offline() is expected
