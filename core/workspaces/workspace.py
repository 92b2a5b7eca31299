"""A visitor's workspace on a server that strangers share: what pages get of it, and all they get.

Everything a page opens lies in the home folder of the workspace that `core.home` is told of; this adds what is about
the workspace as a whole: its key, its share, taking everything along, deleting everything.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.data.ingest import pictures_here
from core.errors import StorageError, ThawError
from core.home import megabytes_here, within
from core.runs.everybody import store_of
from core.runs.store import ACTIVE, RunStore
from core.takehome.backup import Kept, back_up
from core.visitors.fair_use import FairUse, fair_use
from core.visitors.registry import Place, Registry, new_key

PATIENCE_S: Final = 15.0
LOOK_S: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What a workspace has of something, and what it may have."""

    what: str
    used: float
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """One visitor's. Every call may raise a WorkspaceError where it was deleted, or a StorageError."""

    id: str

    @property
    def place(self) -> Place:
        """What the server knows of it."""
        return Registry().place(self.id)

    @property
    def runs(self) -> RunStore:
        """Its runs."""
        return store_of(self.id)

    @property
    def days(self) -> int:
        """That it is kept after the last visit."""
        return fair_use().days

    def shares(self) -> tuple[Share, ...]:
        """What it has, and may have."""
        limits: FairUse = fair_use()
        with within(self.id):
            used = {"pictures": pictures_here(), "megabytes": megabytes_here(), "runs": self.runs.count()}
        used["minutes"] = self.place.trained_s / 60
        return tuple(Share(what=what, used=value, limit=getattr(limits, what)) for what, value in used.items())

    def visit(self) -> None:
        """Keep it for its full time from now on."""
        Registry().visit(self.id)

    def change_key(self) -> str:
        """A new key; what was opened with an earlier one stays open, and is not opened by it again."""
        return Registry().change_key(self.id)

    def add_key(self) -> str:
        """One key more, for another browser of the same person."""
        return Registry().add_key(self.id)

    def give_to(self, account: str) -> None:
        """Whoever signs in with this account comes to it from now on."""
        Registry().give_to_account(self.id, account)

    def export(self, target: Path) -> Kept:
        """Everything in it as one zip, which `python -m core restore` brings into a Thaw of one's own."""
        with within(self.id):
            return back_up(target)

    def delete(self) -> bool:
        """Delete everything now, and end what trains; nobody can open it any more.

        Returns:
            Whether all files are gone already; if not, they go as soon as what trained has noticed.
        """
        with suppress(StorageError):  # its database is damaged: nothing can be at work there
            store = self.runs
            Registry().leave(self.id)
            _stop_all(store)
        return remove(self.id)


def _stop_all(store: RunStore) -> None:
    """Ask what is at work to end, and wait a while for it."""
    for run in sorted(store.runs(ACTIVE), key=lambda run: run.state == "running"):
        store.cancel(run.id)
    end = time.monotonic() + PATIENCE_S
    while store.is_busy() and time.monotonic() < end:
        store.heal()
        time.sleep(LOOK_S)


def open_workspace(key: str) -> Workspace:
    """The workspace of a key, made if there is none.

    Raises:
        WorkspaceError: the server is full, or the key opens nothing any more.
    """
    return Workspace(id=Registry().open(key))


def find_workspace(key: str) -> Workspace | None:
    """The workspace of a key, if there is one."""
    found = Registry().find(key)
    return None if found is None else Workspace(id=found)


def workspace_of_account(account: str) -> Workspace | None:
    """The workspace of whoever is signed in with this account, if there is one."""
    found = Registry().of_account(account)
    return None if found is None else Workspace(id=found)


def is_spent(key: str) -> bool:
    """Whether a key has opened a workspace and never will again: it was deleted, or has another key."""
    return Registry().is_spent(key)


def new_workspace() -> tuple[Workspace, str]:
    """An empty one, and its key."""
    key = new_key()
    return open_workspace(key), key


def remove(workspace: str) -> bool:
    """Remove a workspace unless something is at work in it; whether it is gone."""
    try:
        busy = store_of(workspace).is_busy()
    except ThawError:  # its folder is gone, or its database is damaged
        busy = False
    if not busy:
        Registry().forget(workspace)
    return not busy
