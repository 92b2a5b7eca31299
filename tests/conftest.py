"""Every test has a home folder of its own and the same seed; small drawn data, and one race that is run once."""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: two threads crawl where other work shares the cores

from helpers import FinishedRace, drawn_classes, home_at, know_speeds, write_files


@pytest.fixture(autouse=True)
def thaw_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    home = tmp_path.parent / f"{tmp_path.name}-home"  # beside the folder that tests look into
    monkeypatch.setenv("THAW_HOME", str(home))
    monkeypatch.delenv("THAW_DATABASE", raising=False)
    know_speeds(home)
    if not request.node.get_closest_marker("gpu"):  # results are those of the processor, here and in what is started
        monkeypatch.setattr("core.machine.devices._may_have_more", lambda: False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("core.data.reading.child.CONTAINED", False)  # a process per data set would double the time
    return home


@pytest.fixture
def tricks(thaw_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests about what THAW_PLAIN turns off, should it be set."""
    monkeypatch.delenv("THAW_PLAIN", raising=False)
    know_speeds(thaw_home)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three class folders with ten small drawn pictures each; read only."""
    return write_files(tmp_path_factory.mktemp("pictures") / "tiny", drawn_classes(10))


@pytest.fixture
def tiny_dataset(tiny_folder: Path):
    """The drawn pictures in this test's own store."""
    from core.data.ingest import ingest

    return ingest(tiny_folder).dataset


@pytest.fixture(scope="session")
def _race(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> FinishedRace:
    from core.__main__ import main

    home, printed = tmp_path_factory.mktemp("race") / "home", io.StringIO()
    options = ["--epochs", "2", "--batch-size", "8", "--json"]
    with home_at(home), redirect_stdout(printed):
        code = main(["race", "--data", str(tiny_folder), "--scenarios", "frozen,finetuned", *options])
    assert code == 0
    return FinishedRace(home=home, folder=tiny_folder, values=json.loads(printed.getvalue()))


@pytest.fixture
def finished_race(_race: FinishedRace, monkeypatch: pytest.MonkeyPatch) -> Iterator[FinishedRace]:
    """The race, with Thaw's home set to the one it lives in; the test must not change it."""
    monkeypatch.setenv("THAW_HOME", str(_race.home))
    yield _race


@pytest.fixture(scope="session")
def packed(_race: FinishedRace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip of the fine-tuned run, as the command line packs it; read only."""
    from core.__main__ import main

    path = tmp_path_factory.mktemp("packed") / "run.zip"
    with home_at(_race.home), redirect_stdout(io.StringIO()):
        assert main(["export", _race.run("finetuned"), str(path)]) == 0
    return path
