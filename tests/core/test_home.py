"""The home folder, and writing that is all or nothing."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import REPOSITORY

from core.__main__ import main
from core.errors import StorageError
from core.home import (
    folder_in_the_making,
    home_folder,
    one_at_a_time,
    temporary_folder,
    thaw_home,
    write_atomically,
)


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


def in_another_process(code: str) -> subprocess.Popen[bytes]:
    """A process that has come to the end of `code`, and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\n    print('here', flush=True)\n    input()"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"here\n"
    return process


WORKS = "from core.home import temporary_folder\nwith temporary_folder('work') as folder:\n    (folder / 'a').touch()"
HOLDS = "from core.home import one_at_a_time\nwith one_at_a_time('x', print):\n    pass"


def staged() -> set[str]:
    return {path.name for path in home_folder("staging").iterdir()}


def test_a_folder_that_somebody_works_in_stays_however_old_it_is():
    with in_another_process(WORKS) as other:
        (folder,) = (path for path in home_folder("staging").iterdir() if path.is_dir())
        os.utime(folder, (0, 0))

        with temporary_folder("ours") as ours, temporary_folder("inner") as inner:
            assert (folder / "a").exists() and ours.is_dir() and inner.is_dir()

        other.communicate(b"\n")
    assert staged() == set()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing kills like that")
def test_what_a_dead_process_left_is_swept_at_once():
    with in_another_process(WORKS) as other:
        other.send_signal(signal.SIGKILL)
    assert len(staged()) == 2

    with temporary_folder("ours") as ours:
        assert staged() == {ours.name, f"{ours.name}.lock"}


def test_listing_the_runs_sweeps_and_leaves_what_somebody_works_in(thaw_home: Path):
    assert main(["runs"]) == 0 and not (thaw_home / "staging").exists()
    with in_another_process(WORKS) as other:
        with temporary_folder("ours"):
            assert main(["runs"]) == 0 and len(staged()) == 4
        other.send_signal(signal.SIGKILL)
    assert len(staged()) == 2

    assert main(["runs"]) == 0

    assert staged() == set()


def test_a_result_that_was_never_complete_is_swept_too(tmp_path: Path):
    code = (
        "from pathlib import Path; from core.home import folder_in_the_making\n"
        f"with folder_in_the_making(Path({str(tmp_path / 'made')!r})) as folder:\n    (folder / 'a').touch()"
    )
    with in_another_process(code) as other:
        other.kill()

    with temporary_folder("ours") as ours:
        assert staged() == {ours.name, f"{ours.name}.lock"} and list(tmp_path.iterdir()) == []


def test_a_folder_of_an_older_thaw_is_swept_after_a_day():
    for name, age in (("old", 0), ("new", None)):
        (home_folder("staging") / name).mkdir()
        os.utime(home_folder("staging") / name, None if age is None else (age, age))

    with temporary_folder("ours"):
        assert "new" in staged() and "old" not in staged()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing kills like that")
def test_a_lock_is_waited_for_and_goes_with_its_process():
    waited = []
    with in_another_process(HOLDS) as other:

        def waiting() -> None:
            waited.append("still")
            if len(waited) == 3:
                other.send_signal(signal.SIGKILL)

        with one_at_a_time("x", waiting):
            assert len(waited) >= 3
    with one_at_a_time("x", lambda: pytest.fail("nobody has it")):
        pass


def test_threads_wait_for_each_other_and_may_give_up():
    got, inside = [], threading.Event()

    def give_up() -> None:
        raise KeyboardInterrupt

    def other() -> None:
        try:
            with one_at_a_time("x", give_up):
                got.append("entered")
        except KeyboardInterrupt:
            got.append("gave up")
        inside.set()

    with one_at_a_time("x", give_up), one_at_a_time("y", give_up):
        threading.Thread(target=other).start()
        assert inside.wait(60)
    assert got == ["gave up"]
