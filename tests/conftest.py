"""Every test has a home folder of its own and the same seed; small drawn data, and one race that is run once."""

import atexit
import gc
import io
import json
import os
import shutil
import sqlite3
import sys
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import redirect_stdout, suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parent))
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: two threads crawl where other work shares the cores

from helpers import (
    FinishedRace,
    drawn_classes,
    home_at,
    know_speeds,
    on_all_cores,
    shared_file,
    write_files,
    write_zip,
)

from core.data.reading.intake import take_in

if TYPE_CHECKING:
    from core.data.dataset import Dataset


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest begin, by turns in the halves that two processes get: else one ends a run alone, last of its half.

    Those of a file stay together: they may share a server.
    """
    marked = {item: mark.args[0] for item in items if (mark := item.get_closest_marker("takes"))}
    files = [[*those] for _, those in groupby(marked, key=lambda item: item.path)]
    files.sort(key=lambda those: -sum(marked[item] for item in those))
    first, second = ([item for those in files[half::2] for item in those] for half in (0, 1))
    rest = [item for item in items if item not in marked]
    middle = max(0, len(items) // 2 - len(first))
    items[:] = [*first, *rest[:middle], *second, *rest[middle:]]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: nobody need walk through it again and again to find garbage."""
    gc.disable()
    collected = yield
    gc.collect()
    gc.freeze()
    gc.enable()
    atexit.register(gc.unfreeze)  # what is left out would be told at length as leaks
    return collected


@pytest.fixture(autouse=True, scope="session")
def _nothing_waits_for_the_disk() -> Iterator[None]:
    """No test cuts the power: what is written need not have reached the disk."""
    import sqlalchemy as sa

    def connected(connection: Any, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA busy_timeout = 0")
            with suppress(sqlite3.OperationalError):  # it is locked, and nobody shall wait for this
                connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA busy_timeout = 5000")  # as Python has it

    sa.event.listen(sa.pool.Pool, "connect", connected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda file: None)
        yield
    sa.event.remove(sa.pool.Pool, "connect", connected)


@pytest.fixture(autouse=True)
def thaw_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    home, failed = tmp_path.parent / f"{tmp_path.name}-home", request.session.testsfailed  # beside what tests look into
    monkeypatch.setenv("THAW_HOME", str(home))
    monkeypatch.delenv("THAW_DATABASE", raising=False)
    know_speeds(home)
    if not request.node.get_closest_marker("gpu"):  # results are those of the processor, here and in what is started
        monkeypatch.setattr("core.machine.devices._may_have_more", lambda: False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("core.data.ingest.take_in_contained", take_in)  # a process per data set would double the time
    yield home
    if request.session.testsfailed == failed:  # of all tests together they would fill a disk
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def tricks(thaw_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests about what THAW_PLAIN turns off, should it be set."""
    monkeypatch.delenv("THAW_PLAIN", raising=False)
    know_speeds(thaw_home)


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """A folder, made by the first of all processes of tests that asks for it; read only."""
    own = tmp_path_factory.getbasetemp()
    everybodys = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = everybodys / f"once-{name}"
        with FileLock(f"{folder}.lock"):
            if not (folder / "made").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                (folder / "made").touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_folder(once: Once) -> Path:
    """Three class folders with ten small drawn pictures each; read only."""
    return once("pictures", lambda folder: write_files(folder / "tiny", drawn_classes(10))) / "tiny"


@pytest.fixture
def tiny_dataset(_stored: Callable[[Path], Path], tiny_folder: Path) -> "Dataset":
    """The drawn pictures in this test's own store."""
    return _brought(_stored(tiny_folder))


@pytest.fixture(scope="session")
def few_folder(once: Once) -> Path:
    """Five small drawn pictures of each class, where a network trains and their number proves nothing; read only."""
    return once("few", lambda folder: write_files(folder / "few", drawn_classes(5))) / "few"


@pytest.fixture
def few_dataset(_stored: Callable[[Path], Path], few_folder: Path) -> "Dataset":
    """Those in this test's own store."""
    return _brought(_stored(few_folder))


@pytest.fixture(scope="session")
def _stored(once: Once) -> Callable[[Path], Path]:
    """The folder of the data set that a folder of pictures makes, taken in once for all tests; read only."""
    from core.data.ingest import ingest

    def taken_in(pictures: Path) -> Path:
        def take(folder: Path) -> None:
            with home_at(folder), pytest.MonkeyPatch.context() as patch:
                patch.setattr("core.data.ingest.take_in_contained", take_in)
                ingest(pictures)

        (dataset,) = (once(f"stored-{pictures.name}", take) / "datasets").iterdir()
        return dataset

    return taken_in


def _brought(stored: Path) -> "Dataset":
    """A copy of it in the home of now, as taking in the same pictures would leave it: nothing is decoded again."""
    from core.data.dataset import load_stored
    from core.home import home_folder

    there = home_folder("datasets") / stored.name
    if not there.exists():
        shutil.copytree(stored, there)
    return load_stored(stored.name)


@pytest.fixture(scope="session")
def _race(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, once: Once) -> FinishedRace:
    def run(folder: Path) -> None:
        from core.__main__ import main

        printed, options = io.StringIO(), ["--epochs", "2", "--batch-size", "8", "--train-size", "96", "--json"]
        with home_at(folder / "home"), redirect_stdout(printed):
            assert main(["race", "--data", str(tiny_folder), "--scenarios", "frozen,finetuned", *options]) == 0
        (folder / "values.json").write_text(printed.getvalue())

    done, home = once("race", run), tmp_path_factory.mktemp("race") / "home"
    shutil.copytree(done / "home", home)
    return FinishedRace(home=home, folder=tiny_folder, values=json.loads((done / "values.json").read_text()))


@pytest.fixture
def finished_race(_race: FinishedRace, monkeypatch: pytest.MonkeyPatch) -> Iterator[FinishedRace]:
    """The race, with Thaw's home set to the one it lives in; the test must not change it."""
    monkeypatch.setenv("THAW_HOME", str(_race.home))
    yield _race


@pytest.fixture(scope="session")
def raced_photos(once: Once) -> Path:
    """A home in which Frozen raced Fine-tuned on the photos, and `race.json`, what was printed; read only."""
    photos = str(shared_file("data", "hymenoptera_data.zip"))

    def race(home: Path) -> None:
        printed = on_all_cores(home, "race", "--data", photos, "--scenarios", "frozen,finetuned")
        (home / "race.json").write_text(json.dumps(printed))

    return once("photos", race)


@pytest.fixture
def quick_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is packed has something else for the ONNX file, which takes ten seconds to make."""
    monkeypatch.setattr("core.takehome.export._save_onnx", lambda *made: made[-1].write_bytes(b"ONNX"))


@pytest.fixture(scope="session")
def packed(_race: FinishedRace, once: Once) -> Path:
    """The zip of the fine-tuned run, as the command line packs it; read only."""

    def pack(folder: Path) -> None:
        from core.__main__ import main

        with home_at(_race.home), redirect_stdout(io.StringIO()):
            assert main(["export", _race.run("finetuned"), str(folder / "run.zip")]) == 0

    return once("packed", pack) / "run.zip"


def _draw(folder: Path, share: int) -> None:
    """The first pictures of each part of the built-in set, 1 of so many: as files, and as they are kept in a home."""
    from core.data.drawn import drawings
    from core.data.ingest import ingest

    with home_at(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawings, "COUNTS", {part: count // share for part, count in drawings.COUNTS.items()})
        files = dict(drawings.pictures(at_once=1))
        write_zip(folder / "files.zip", files, zipfile.ZIP_STORED)
        patch.setattr(drawings, "pictures", lambda at_once: files.items())
        ingest("builtin")


def _files_in(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "files.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def _drawn_once(once: Once) -> Path:
    """A fifth of the built-in set: the whole takes five times as long, and each picture is drawn by itself."""
    return once("drawn", lambda folder: _draw(folder, 5))


@pytest.fixture(scope="session")
def _all_drawn_once(once: Once) -> Path:
    return once("all-drawn", lambda folder: _draw(folder, 1))


@pytest.fixture(scope="session")
def drawn_files(_drawn_once: Path) -> dict[str, bytes]:
    """The files of a fifth of the built-in set in their order, drawn once for all tests."""
    return _files_in(_drawn_once)


@pytest.fixture(scope="session")
def all_drawn_files(_all_drawn_once: Path) -> dict[str, bytes]:
    """Those of the whole set."""
    return _files_in(_all_drawn_once)


@pytest.fixture(scope="session")
def all_drawn(_all_drawn_once: Path) -> Path:
    """The folder of the whole built-in set; read only."""
    (dataset,) = (_all_drawn_once / "datasets").iterdir()
    return dataset


@pytest.fixture(scope="session")
def _drawn(_drawn_once: Path) -> Path:
    """The folder of the built-in set, as far as it is drawn here; read only."""
    (dataset,) = (_drawn_once / "datasets").iterdir()
    return dataset


@pytest.fixture(scope="session")
def bring_drawn_set(_drawn: Path) -> Callable[[Path], str]:
    """Puts the built-in set into a home, where it is after a first visit, and says its id."""

    def bring(home: Path) -> str:
        with suppress(OSError):  # a home that cannot be is what the test is about, or the set is there
            (there := home / "datasets" / _drawn.name).mkdir(parents=True)
            for file in _drawn.iterdir():
                os.link(file, there / file.name)
        return _drawn.name

    return bring
