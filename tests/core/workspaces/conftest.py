"""A server that strangers share, and two of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.home import within
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
