"""The process that reads strangers' bytes: whatever a picture does to it costs one line in the report."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers import REPOSITORY, drawn_classes, write_files, write_zip

from core.data.dataset import stored_datasets
from core.data.ingest import Ingested, ingest, ingest_files
from core.data.reading import limits
from core.data.reading.child import take_in_contained
from core.data.reading.intake import SQUARES, Request, read_rows, take_in
from core.data.squares import SQUARE_BYTES
from core.errors import DatasetError

MISCHIEF = """
import os, time
from PIL import Image
opened = Image.open
DEATHS = os.path.join(os.path.dirname(__file__), "deaths")

def died():
    return os.path.getsize(DEATHS) if os.path.exists(DEATHS) else 0

def open_oddly(fp, *args, **kwargs):
    data = fp.getvalue()
    if b"CRASH" in data:
        os.kill(os.getpid(), 11)
    if b"TWICE" in data and died() < 2:
        with open(DEATHS, "a") as deaths:
            deaths.write("x")
        os.kill(os.getpid(), 11)
    if b"HANG" in data:
        time.sleep(3600)
    if b"EAT" in data:
        bytearray(8 * 1024**3)
    print("libraries may say what they like")
    return opened(fp, *args, **kwargs)

Image.open = open_oddly
"""
"""Makes the reading process do what a broken decoder does when it meets these words."""


@pytest.fixture(autouse=True)
def contained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mischief").mkdir()
    (tmp_path / "mischief" / "sitecustomize.py").write_text(MISCHIEF)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mischief"))
    monkeypatch.setattr("core.data.ingest.take_in_contained", take_in_contained)


def ingest_with(folder: Path, **odd: bytes) -> Ingested:
    """Five pictures per class, and odd files beside them in the class of discs, which begin as a PNG does."""
    files = {f"discs/{name}.png": b"\x89PNG\r\n\x1a\n" + data for name, data in odd.items()}
    return ingest(write_files(folder, drawn_classes(5) | files))


def reasons(done: Ingested) -> dict[str, tuple[str, str]]:
    return {Path(row.file).stem: (row.reason, row.code) for row in done.dataset.skipped}


@pytest.mark.skipif(not hasattr(os, "nice"), reason="no niceness on this system")
def test_whoever_brings_pictures_waits_behind_nobody():
    code = "import os; from core.data.reading.intake import _lower_limits; _lower_limits(1); print(os.nice(0))"

    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert int(done.stdout) == os.nice(0)


def test_a_process_of_its_own_gives_the_same_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_zip(tmp_path / "tiny.zip", drawn_classes(5))
    apart = ingest(path).dataset
    pixels = [np.array(apart.pixels[index]) for index in range(len(apart.pictures))]
    monkeypatch.setattr("core.data.ingest.take_in_contained", take_in)
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "other"))
    inside = ingest(path).dataset

    assert apart.pictures == inside.pictures and apart.fingerprint == inside.fingerprint
    assert all(np.array_equal(inside.pixels[index], old) for index, old in enumerate(pixels))


def test_pictures_that_crash_the_reader_cost_a_line_each_and_nothing_else(tmp_path: Path):
    done = ingest_with(tmp_path / "odd", a=b"CRASH", m=b"CRASH", z=b"CRASH")

    assert len(done.dataset.pictures) == 15
    crashed = ("could not be read: the reader crashed; re-export it", "IMG_CONTAINED")
    assert reasons(done) == {"a": crashed, "m": crashed, "z": crashed}


def test_a_picture_at_which_the_reader_was_ended_by_something_else_is_taken_in(tmp_path: Path):
    """As the system ends a process where memory is short: once with all pictures in flight, once with this one."""
    files = drawn_classes(5)
    files["discs/3.png"] += b"TWICE"

    done = ingest(write_files(tmp_path / "innocent", files))

    assert (tmp_path / "mischief" / "deaths").read_text() == "xx"
    assert len(done.dataset.pictures) == 15 and reasons(done) == {}


def test_a_picture_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "SILENCE_S", 0.01)  # less than any process takes to start: it goes on one by one
    monkeypatch.setattr(limits, "PICTURE_S", 4.0)

    done = ingest_with(tmp_path / "odd", m=b"HANG")

    assert len(done.dataset.pictures) == 15
    assert reasons(done)["m"][0] == "could not be read: the reader took too long; re-export it"


@pytest.mark.skipif(sys.platform == "win32", reason="no limits for processes")
def test_a_picture_that_eats_memory_meets_the_limit(tmp_path: Path):
    done = ingest_with(tmp_path / "odd", m=b"EAT")

    assert len(done.dataset.pictures) == 15
    assert reasons(done) == {"m": ("takes too much memory to read; resize it", "IMG_MEMORY")}


def test_too_many_culprits_refuse_the_whole_and_leave_nothing(tmp_path: Path, thaw_home: Path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CULPRITS", 2)

    with pytest.raises(DatasetError, match=r"given up: the reader crashed\. Nothing was stored"):
        ingest_with(tmp_path / "odd", a=b"CRASH", b=b"CRASH", c=b"CRASH")

    assert list(stored_datasets()) == [] and list((thaw_home / "staging").iterdir()) == []


def test_what_the_child_refuses_is_said_without_a_path(tmp_path: Path):
    with pytest.raises(DatasetError, match="At least 2 classes") as caught:
        ingest(write_files(tmp_path / "one", {"cats/1.png": drawn_classes(1)["discs/0.png"]}))

    assert str(tmp_path) not in str(caught.value)


def test_progress_comes_from_the_child(tmp_path: Path):
    stages: list[str] = []

    ingest(write_zip(tmp_path / "tiny.zip", drawn_classes(5)), lambda progress: stages.append(progress.stage))

    assert list(dict.fromkeys(stages)) == ["reading", "decoding", "comparing"]


def test_a_stop_in_the_middle_ends_the_child_and_leaves_nothing(tmp_path: Path, thaw_home: Path):
    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(write_zip(tmp_path / "tiny.zip", drawn_classes(5)), stop)

    assert list((thaw_home / "staging").iterdir()) == []
    assert not any("core.data.reading.intake" in child.cmdline() for child in psutil.Process().children())


@pytest.mark.skipif(sys.platform == "win32", reason="nothing kills like that")
@pytest.mark.parametrize(
    ("module", "work"),
    [
        ("core.data.reading.intake", "from core.data.ingest import ingest; ingest(FOLDER)"),
        ("core.data.drawn.drawings", "from core.data.drawn.drawings import pictures\nfor _ in pictures(2): pass"),
    ],
)
def test_a_process_that_works_for_another_dies_with_it(module: str, work: str, tmp_path: Path):
    folder = write_files(tmp_path / "odd", drawn_classes(3) | {"discs/m.png": b"HANG"})
    code = work.replace("FOLDER", repr(str(folder)))
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY) as parent:
        children: list[psutil.Process] = []
        deadline = time.monotonic() + 120
        while not (children := [c for c in psutil.Process(parent.pid).children() if module in c.cmdline()]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)  # at work
        parent.kill()

    assert psutil.wait_procs(children, timeout=20)[1] == []


def test_it_needs_nothing_that_takes_long_to_load(tmp_path: Path):
    path = write_zip(tmp_path / "tiny.zip", drawn_classes(3))
    request = request_for(path, tmp_path / "here")
    code = (
        "import sys; from core.data.reading.intake import Request, take_in\n"
        f"take_in(Request(**{asdict(request)}), lambda message: None)\n"
        "print([name for name in ('torch', 'streamlit', 'scipy', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]" and len(list(read_rows(tmp_path / "here"))) == 9


def request_for(where: Path, folder: Path, **changes: object) -> Request:
    folder.mkdir(exist_ok=True)
    values = {"where": str(where), "folder": str(folder), "threads": 1, "stored": ()}
    return Request(**(values | changes))


def test_a_process_goes_on_where_the_one_before_was_cut_off(tmp_path: Path):
    path = write_zip(tmp_path / "tiny.zip", drawn_classes(5))
    take_in(request_for(path, tmp_path / "whole"), lambda message: None)
    rows = list(read_rows(tmp_path / "whole"))
    pixels, squares = ((tmp_path / "whole" / name).read_bytes() for name in ("pixels.u8", SQUARES))
    cut = tmp_path / "cut"
    cut.mkdir()
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows[:7])
    (cut / "rows.jsonl").write_bytes(lines + b'{"name": "discs')  # and pixels of a row that was never written
    (cut / "pixels.u8").write_bytes(pixels[: rows[8]["place"][0]])
    (cut / SQUARES).write_bytes(squares[: 8 * SQUARE_BYTES])
    seen: list[str] = []

    take_in(request_for(path, cut, one_by_one=True), lambda message: seen.append(message.get("next", "")))

    assert list(read_rows(cut)) == rows and (cut / "pixels.u8").read_bytes() == pixels
    assert (cut / SQUARES).read_bytes() == squares
    assert [name for name in seen if name] == [row["name"] for row in rows[7:]]


def test_files_come_class_by_class_and_their_names_are_only_shown(tmp_path: Path, thaw_home: Path):
    outside = tmp_path / "outside.png"
    outside.write_bytes(drawn_classes(1, first=9)["squares/9.png"])
    drawn = drawn_classes(4)
    files = {
        "../up": [(f"../../{n}.png", drawn[f"discs/{n}.png"]) for n in range(4)],
        "a/b": [*(("same.png", drawn[f"squares/{n}.png"]) for n in range(4)), ("x/outside.png", outside)],
    }

    dataset = ingest_files(files, "Mine").dataset

    assert (dataset.title, dataset.kind, dataset.class_names) == ("Mine", "files", ("../up", "a/b"))
    assert len(dataset.pictures) == 9 and len({picture.name for picture in dataset.pictures}) == 9
    assert dataset.pictures[0].name == "../up/../../0.png"
    assert {path.name for path in thaw_home.iterdir()} <= {"datasets", "staging", "speeds.json"}


@pytest.mark.parametrize("name", ["", "  ", "\u200b", "x" * 101])
def test_a_class_needs_a_name_that_can_be_seen(name: str):
    with pytest.raises(DatasetError, match=r"visible name|has a name of 101"):
        ingest_files({name: [("1.png", b"")], "b": []}, "Mine")
