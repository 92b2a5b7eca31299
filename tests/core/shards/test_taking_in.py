"""Pieces become shards: once, the same each time, and what is broken in them is said."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import REPOSITORY, drawn, drawn_classes, encoded, noise, python, write_files
from PIL import Image

from core.data.reading.layout import AUTO
from core.errors import DatasetError, StorageError, ThawError
from core.shards import executor
from core.shards.executor import Here, Processes
from core.shards.large_set import Added, add, load_set
from core.shards.objects import folder_of, names_of


def taken_in(where: Path | str, size: int = 10) -> Added:
    return add(str(where), Here(), size=size, layout=AUTO, on_progress=lambda done, total: None)


def hashes(kind: str) -> dict[str, str]:
    """Of all files of a kind of thing."""
    root = folder_of(kind, "x").parent
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_every_piece_has_of_each_class_what_the_whole_has(tiny_folder: Path):
    added = taken_in(tiny_folder, size=9)

    assert added.data.pictures == (9, 9, 9, 3) and added.data.counts == (10, 10, 10)
    assert [one.receipt.counts for one in added.taken[:3]] == [(3, 3, 3)] * 3
    assert load_set(added.data.id) == added.data == load_set(added.data.id[:6])


def test_a_task_that_runs_twice_makes_the_same_bytes(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = taken_in(tiny_folder)
    before = {kind: hashes(kind) for kind in ("shards", "pieces", "sets")}
    assert [one.done_before for one in taken_in(tiny_folder).taken] == [True] * 3

    monkeypatch.setenv("THAW_HOME", str(tmp_path / "another"))
    assert taken_in(tiny_folder).data == first.data
    assert {kind: hashes(kind) for kind in ("shards", "pieces", "sets")} == before


def test_what_changed_is_taken_in_again_and_nothing_else(tmp_path: Path):
    folder = write_files(tmp_path / "p", drawn_classes(10))
    taken_in(folder)
    changed = max(folder.rglob("*.png"), key=lambda path: int(path.stem))
    changed.write_bytes(drawn("discs", 77))
    os.utime(changed, ns=(1, 1))

    assert sorted(one.done_before for one in taken_in(folder).taken) == [False, True, True]


def test_a_process_that_is_killed_in_the_middle_costs_one_shard(tmp_path: Path, thaw_home: Path):
    folder = write_files(tmp_path / "p", drawn_classes(40))
    command = [sys.executable, "-m", "core", "large", "add", str(folder), "--size", "10", "--processes", "1"]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    pieces = folder_of("pieces", "x").parent
    while len(list(pieces.iterdir())) < 2 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = set(names_of("pieces"))
    assert 2 <= len(done) < 12 and not names_of("sets")

    again = taken_in(folder)
    assert sum(one.done_before for one in again.taken) == len(done)
    assert len(names_of("pieces")) == 12 and again.data.total == 120


def test_damaged_pictures_in_a_tar_are_skipped_and_said(tmp_path: Path):
    def files(first: int) -> dict[str, bytes]:
        found = {}
        for number in range(first, first + 6):
            found[f"{number}.cls"] = b"bee" if number % 2 else b"ant"
            found[f"{number}.png"] = noise(number)
        return found

    broken = files(6)
    broken["8.png"] = broken["8.png"][:200]
    write_tar(tmp_path / "t" / "birds-train-00.tar", files(0))
    write_tar(tmp_path / "t" / "birds-test-00.tar", broken)
    added = taken_in(tmp_path / "t", size=4)

    data = added.data
    assert data.classes == ("ant", "bee") and data.counts == (5, 6) and data.skipped == 1
    assert data.examples == (("birds-test-00.tar/8.png", data.examples[0][1]),)
    assert "cut off" in data.examples[0][1] or "damaged" in data.examples[0][1]
    assert data.pictures == (3, 2, 4, 2)


def test_files_that_may_be_back_tomorrow_are_tried_again(tmp_path: Path):
    folder = write_files(tmp_path / "p", drawn_classes(4))
    gone = next(folder.rglob("*.png"))
    content, stat = gone.read_bytes(), gone.stat()

    class Vanishing(Here):
        def map(self, task, items):  # type: ignore[no-untyped-def]
            for item in items:
                gone.unlink(missing_ok=True)
                yield task(item)

    first = add(str(folder), Vanishing(), size=12, layout=AUTO, on_progress=lambda done, total: None)
    assert first.data.total == 11 and first.data.skipped == 1
    gone.write_bytes(content)
    os.utime(gone, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert taken_in(folder, size=12).data.total == 12


def test_a_tar_at_an_address_is_cut_as_one_that_is_here_once_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import fsspec

    tar = write_tar(tmp_path / "birds.tar", {f"{'ab'[n % 2]}/{n}.png": noise(n, 70) for n in range(12)})
    here = taken_in(tar, size=5).data
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/birds.tar", tar.read_bytes())
    try:
        whole = taken_in("memory://bucket/birds.tar", size=5).data
        assert (whole.title, whole.pictures, here.pictures) == ("birds", (12,), (5, 5, 2))

        monkeypatch.setattr("core.shards.listing.WHOLE_UP_TO", 10_000)
        monkeypatch.setattr("core.shards.taking_in.FETCH_BYTES", 10_000)
        assert taken_in("memory://bucket/birds.tar", size=5).data == here
    finally:
        files.rm("/bucket", recursive=True)


def test_an_address_is_taken_in_as_the_folder_is(tiny_folder: Path, tmp_path: Path):
    import fsspec

    files = fsspec.filesystem("memory")
    for path in tiny_folder.rglob("*.png"):
        files.pipe_file(f"/bucket/tiny/{path.relative_to(tiny_folder).as_posix()}", path.read_bytes())
    try:
        assert taken_in("memory://bucket/tiny").data.shards == taken_in(tiny_folder).data.shards
    finally:
        files.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("notes.txt", b"nothing", "No pictures"), ("a.tar.gz", b"x", "packed"), ("a.tar", b"no tar" * 100, "classes")],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, name: str, content: bytes, said: str):
    write_files(tmp_path / "p", {name: content})

    with pytest.raises(DatasetError, match=said):
        taken_in(tmp_path / "p")


def test_a_source_that_does_not_answer_is_no_picture_s_fault(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch):
    import fsspec

    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/a/1.png", drawn("discs", 1))
    files.pipe_file("/bucket/b/1.png", drawn("discs", 2))

    def fail(*args: object, **options: object) -> None:
        raise ConnectionError("reset")

    monkeypatch.setattr(type(files), "cat", fail)
    try:
        with pytest.raises(StorageError, match="does not answer"):
            taken_in("memory://bucket")
        assert not names_of("pieces")
    finally:
        files.rm("/bucket", recursive=True)


def test_a_process_that_ends_in_the_middle_of_a_task_is_replaced(tiny_folder: Path, tmp_path: Path):
    alone = taken_in(tiny_folder).data
    work = Processes(2)
    try:
        marks = [str(tmp_path / f"mark-{number}") for number in range(5)]
        assert list(work.map(dies_once, marks)) == marks
        results = work.map(str, range(20))
        first = next(results)
        for process in [*work._pool._processes.values()]:  # while nobody waits for one
            process.kill()
            process.join()
        assert [first, *results] == [str(number) for number in range(20)]
        with pytest.raises(ThawError, match="fewer processes"):
            list(work.map(dies, [1]))
        together = add(str(tiny_folder), work, size=10, layout=AUTO, on_progress=lambda done, total: None)
    finally:
        work.close()
    assert together.data == alone


def test_memory_does_not_grow_with_the_number_of_shards(tmp_path: Path):
    """Six shards of 40 pictures are 47 MB decoded; whoever takes them in holds no more than for two."""
    dice = np.random.default_rng(0)
    for number in range(240):
        noisy = Image.fromarray(dice.integers(0, 256, (256, 256, 3), dtype=np.uint8))
        write_files(tmp_path / "p", {f"{'ab'[number % 2]}/{number:03}.bmp": encoded(noisy, "BMP")})
    code = (
        "import sys\n"
        "from core.shards.executor import Here\n"
        "from core.shards.listing import list_source\n"
        "from core.shards.taking_in import take_in_piece\n"
        "from itertools import islice\n"
        "pieces = islice(list_source(sys.argv[1], 40, Here()).pieces, int(sys.argv[2]))\n"
        "print(max([take_in_piece(piece).peak_bytes for piece in pieces]))"
    )
    few, many = (int(python(code, str(tmp_path / "p"), count)) for count in ("2", "6"))
    assert many < few + 20 * 1024**2


def test_tasks_elsewhere_are_told_where_things_lie_and_no_passwords(
    thaw_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("THAW_DATABASE", "postgresql://thaw:secret@database/thaw")
    assert executor._settings().keys() == {"THAW_HOME", "PYTHONPATH"}
    assert executor._settings()["THAW_HOME"] == str(thaw_home)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THAW_STORE", "store")
    assert executor._settings()["THAW_STORE"] == str(tmp_path / "store")
    assert "THAW_HOME" not in executor._settings(), "each machine has its own"


def dies_once(mark: str) -> str:
    if mark.endswith("2") and not Path(mark).exists():
        Path(mark).touch()
        os._exit(1)
    return mark


def dies(number: int) -> int:
    os._exit(number)
