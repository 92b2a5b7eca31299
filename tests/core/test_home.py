"""The home folder, and writing that is all or nothing."""

import os
from pathlib import Path

import pytest

from core.errors import StorageError
from core.home import folder_in_the_making, home_folder, thaw_home, write_atomically


def test_everything_is_kept_where_thaw_home_says(thaw_home: Path):
    assert home_folder("cache", "features") == thaw_home / "cache" / "features"
    assert (thaw_home / "cache" / "features").is_dir()


def test_a_relative_home_means_the_same_folder_after_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THAW_HOME", "here")

    assert thaw_home() == tmp_path / "here"


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("THAW_HOME", "~/pictures")

    assert thaw_home() == tmp_path / "pictures"


def test_without_thaw_home_it_is_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("THAW_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    assert thaw_home().is_relative_to(tmp_path)
    assert thaw_home().name == "thaw"


def test_a_folder_takes_its_name_only_when_it_is_complete(tmp_path: Path):
    final = tmp_path / "made"

    with folder_in_the_making(final) as staging:
        (staging / "a").write_text("1")
        assert not final.exists()

    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (final / "a").read_text() == "1"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_no_folder_at_all(tmp_path: Path, failure: type[BaseException]):
    with pytest.raises(failure), folder_in_the_making(tmp_path / "made") as staging:
        (staging / "a").write_text("1")
        raise failure

    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_faster_process_stays(tmp_path: Path):
    final = tmp_path / "made"

    with folder_in_the_making(final) as slow:
        (slow / "a").write_text("slow")
        with folder_in_the_making(final) as fast:
            (fast / "a").write_text("fast")

    assert (final / "a").read_text() == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_file_in_the_way_is_an_error_and_stays(tmp_path: Path):
    (tmp_path / "made").write_text("a file")

    with pytest.raises(StorageError, match="Not a directory"), folder_in_the_making(tmp_path / "made"):
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_write_that_fails_leaves_the_old_content_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(handle: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_write_replaces_the_whole_content(tmp_path: Path):
    write_atomically(tmp_path / "file", b"long content")
    write_atomically(tmp_path / "file", b"short")

    assert (tmp_path / "file").read_bytes() == b"short"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
