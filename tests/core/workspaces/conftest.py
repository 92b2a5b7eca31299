"""A server that strangers share, and two of them."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
from helpers import FinishedRace

from core.home import home_folder, within
from core.runs.record import load_record, summary_of
from core.runs.store import RunStore
from core.workspaces.workspace import Workspace, new_workspace


@pytest.fixture(autouse=True)
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_HOSTED", "1")


@pytest.fixture
def a(thaw_home: Path) -> Workspace:
    return new_workspace()[0]


@pytest.fixture
def b(thaw_home: Path) -> Workspace:
    return new_workspace()[0]


@pytest.fixture
def store_in() -> Callable[[Workspace], RunStore]:
    def open_store(workspace: Workspace) -> RunStore:
        with within(workspace.id):
            return RunStore()

    return open_store


@pytest.fixture
def damage(thaw_home: Path) -> Callable[[Workspace], None]:
    """Damages a workspace's database."""

    def overwrite(workspace: Workspace) -> None:
        (thaw_home / "workspaces" / workspace.id / "thaw.db").write_bytes(b"no database" * 1000)

    return overwrite


@pytest.fixture
def bring_race(_race: FinishedRace) -> Callable[[Workspace], int]:
    """Puts the finished runs of the race into a workspace, as if they had been trained there; how many."""

    def bring(workspace: Workspace) -> int:
        with within(workspace.id):
            found = [folder for folder in (_race.home / "runs").iterdir() if folder.is_dir()]
            for folder in found:
                copytree(folder, home_folder("runs") / folder.name)
                record = load_record(folder.name)
                title = record.dataset.title
                workspace.runs.adopt(record.run, record.settings, title, summary_of(record), record.test_part)
        return len(found)

    return bring
