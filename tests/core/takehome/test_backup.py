"""A backup holds everything that cannot be had again, from a home in use, and is brought back byte for byte."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers import files_no_longer_than, made_up_record, queue_runs

from core.data.dataset import load_stored
from core.errors import PackageError, StorageError
from core.runs.database import Database
from core.runs.life import identity
from core.runs.record import Predictions, run_folder, save_run
from core.runs.store import RunStore
from core.settings.schema import RunSettings
from core.takehome import backup
from core.takehome.backup import ROWS, back_up, bring_back
from core.takehome.package import write_package


@pytest.fixture
def zipped(thaw_home: Path, tiny_dataset, tmp_path: Path) -> Path:
    """A backup of a home with a data set, a finished run, one that waits, one at work and one of a command."""
    import numpy as np

    store = RunStore()
    given = Predictions(probabilities=np.array([[0.5, 0.5]], np.float32), targets=np.array([0]))
    for name in ("first", "second"):
        save_run(made_up_record(name), given, lambda path: path.write_bytes(b"weights"))
        summary = {
            "test_accuracy": 0.5,
            "val_accuracy": 0.5,
            "duration_s": 1.0,
            "parameters": {"total": 9, "trained": 1},
        }
        summary |= {"dataset": {"fingerprint": "d"}, "split": {"hash": "5"}}
        store.adopt(name, RunSettings(), "Mine", summary, "part")
    queue_runs(store, 2)
    store.claim()
    store.submit([RunSettings()], "Mine", owner=identity())
    back_up(tmp_path / "all.zip")
    return tmp_path / "all.zip"


@pytest.fixture
def elsewhere(zipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another, empty home, which is this test's from now on."""
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def states() -> list[tuple[int, str, str]]:
    return [(run.number, run.id, run.state) for run in RunStore().runs()][::-1]


def test_all_of_it_comes_back_and_a_second_time_nothing(zipped: Path, elsewhere: Path, tiny_dataset):
    kept = bring_back(zipped)

    assert (kept.datasets, kept.runs) == (1, 5)
    load_stored(tiny_dataset.id).pixels.check()
    assert (run_folder("second") / "weights.safetensors").read_bytes() == b"weights"
    assert [state for _, _, state in states()] == ["finished", "finished", "queued", "queued", "cancelled"]
    assert RunStore().evaluations("part") == 2
    before = states()
    again = bring_back(zipped)
    assert (again.datasets, again.runs, again.size_bytes) == (0, 0, 0) and states() == before


def test_what_is_there_stays_as_it_is(zipped: Path, elsewhere: Path):
    queue_runs(RunStore())
    mine = states()
    bring_back(zipped)

    assert states()[:1] == mine and len(states()) == 6
    assert [number for number, _, _ in states()] == [1, 2, 3, 4, 5, 6]


def test_what_is_deleted_meanwhile_is_left_out(zipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def delete_one_first(target: Path, members: dict) -> None:
        shutil.rmtree(run_folder("second"), ignore_errors=True)
        write_package(target, members)

    monkeypatch.setattr(backup, "write_package", delete_one_first)
    assert back_up(tmp_path / "later.zip").runs == 4

    with zipfile.ZipFile(tmp_path / "later.zip") as archive:
        assert not any("second" in name for name in archive.namelist())


def changed(change: Callable[[dict[str, bytes]], None]) -> Callable[[Path, Path], None]:
    """Packs a backup's members anew, with matching hashes, after `change`."""

    def pack(source: Path, target: Path) -> None:
        with zipfile.ZipFile(source) as archive:
            members = {name: archive.read(name) for name in archive.namelist() if name != "SHA256SUMS"}
        change(members)
        write_package(target, members)

    return pack


def flipped(source: Path, target: Path) -> None:
    """One bit of a picture is another."""
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        info = next(info for info in archive.infolist() if info.filename.startswith("datasets/"))
    content[info.header_offset + 200] ^= 1
    target.write_bytes(content)


def deflated(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def locked(source: Path, target: Path) -> None:
    """Every member says that it has a password."""
    content = bytearray(source.read_bytes())
    for start, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = content.find(start)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(start, place + 1)
    target.write_bytes(content)


def with_row(table: str, **row: object) -> Callable[[Path, Path], None]:
    """One more row in a table: like the last one, if there is one, but for these values."""

    def add(members: dict[str, bytes]) -> None:
        rows = json.loads(members[ROWS])
        rows[table].append({**(rows[table][-1] if table == "runs" else {}), **row})
        members[ROWS] = json.dumps(rows).encode()

    return changed(add)


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        deflated,
        locked,
        lambda source, target: target.write_bytes(source.read_bytes()[:-100]),
        lambda source, target: target.write_bytes(b"PK no zip"),
        lambda source, target: target.mkdir(),
        changed(lambda members: members.update({"../outside": b""})),
        changed(lambda members: members.update({"locks/x": b""})),
        changed(lambda members: members.update({"datasets/some/.": b""})),
        changed(lambda members: members.update({"weights/..": b""})),
        changed(lambda members: members.pop(ROWS)),
        changed(lambda members: members.update({ROWS: b"[]"})),
        changed(lambda members: members.update({ROWS: b"[" * 100_000})),
        changed(lambda members: members.update({ROWS: members[ROWS].replace(b'"version": 6', b'"version": 99')})),
        changed(lambda members: members.update({ROWS: b'{"runs": [{"id": 5}]}'})),
        with_row("runs", id="../../outside", number=9),
        with_row("runs", id="another", number=9, state="flying"),
        with_row("runs", id="another"),
        with_row("labels", name="without a key", note="", archived=False),
        with_row("labels", key="k", name="Mine", note="", archived="yes"),
        with_row("looks", run="without a part"),
    ],
    ids=[
        *("bit", "deflated", "locked", "cut", "no zip", "folder", "outside", "place", "here", "above"),
        *("no rows", "list", "deep", "version"),
        *("row", "no id", "no state", "number twice", "no key", "no bool", "no part"),
    ],
)
def test_what_is_no_whole_backup_adds_nothing(zipped: Path, elsewhere: Path, tmp_path: Path, damage):
    damage(zipped, tmp_path / "damaged.zip")

    with pytest.raises(PackageError, match=r"^damaged.zip: .*Nothing was added\.$"):
        bring_back(tmp_path / "damaged.zip")

    assert not (tmp_path / "outside").exists() and states() == []
    assert [path.name for path in elsewhere.iterdir() if path.name in ("datasets", "runs") and [*path.iterdir()]] == []


def test_a_full_disk_leaves_no_half_a_backup_and_no_half_a_home(zipped: Path, elsewhere: Path, tmp_path: Path):
    with pytest.raises(StorageError, match="full"), files_no_longer_than(2000):
        bring_back(zipped)
    assert not (elsewhere / "datasets").exists()

    bring_back(zipped)
    with pytest.raises(StorageError), files_no_longer_than(2000):
        back_up(tmp_path / "full.zip")
    assert [path.name for path in tmp_path.glob("*full*")] == []


def test_another_database_is_written_and_read_the_same(
    zipped: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("THAW_DATABASE", f"sqlite:///{tmp_path / 'other.db'}")
    bring_back(zipped)

    with Database().reading() as connection:
        assert connection.execute(sa.text("select count(*) from runs")).scalar_one() == 5
