"""The runs of everybody on a shared server, for those who train and look after them: never for a page.

Each workspace has a database of its own, so that no question about one can be answered with another's rows. Who trains
goes round: after one run of a workspace it is every other's turn before the next.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from core.errors import ThawError
from core.home import ask_for_workspace, server_home, sweep_staging, within
from core.runs.deletion import sweep_runs
from core.runs.life import repeated
from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings
from core.storage import is_hosted
from core.visitors.fair_use import fair_use
from core.visitors.registry import Registry

LOOK_S: Final = 2.0
USED_UP: Final = "The minutes of training that this server gives a visitor each day were used up."
_log = logging.getLogger(__name__)


def stores_of_all() -> "RunStore | Everybody":
    """What a worker and its supervisor work with: the one store of a single user, or all of a shared server."""
    return Everybody() if is_hosted() else RunStore()


def store_of(workspace: str) -> RunStore:
    """The store of one workspace.

    Raises:
        ThawError: it was deleted, or cannot be read.
    """
    return _store_of(server_home(), workspace)


@lru_cache(maxsize=256)
def _store_of(home: Path, workspace: str) -> RunStore:
    with within(workspace):
        return RunStore()


class Everybody:
    """All stores of a server as one. What goes wrong in one workspace stops none of the others."""

    def __init__(self) -> None:
        self._registry = Registry()
        self._registry.ask_for_all()
        self.serving = ""
        """The workspace of the run that was claimed last, or that another process has claimed for this one."""

    @property
    def own(self) -> RunStore:
        """The store of the workspace that is served."""
        return store_of(self.serving)

    def claim(
        self, only: Collection[str] | None = None, beside: Callable[[RunSettings], bool] | None = None
    ) -> Run | None:
        """Take the oldest waiting run of the workspace that was served longest ago."""
        for workspace, _, asked in self._registry.waiting():
            with self._alone(workspace):
                store = store_of(workspace)
                if self._seconds_left(workspace) <= 0:
                    continue
                run = store.claim(only, beside)
                if run is not None:
                    self._registry.serve(workspace)
                    self.serving = workspace
                    return run
                if not store.is_busy():
                    self._registry.rest(workspace, asked)
        return None

    @contextmanager
    def at_home(self, run: Run) -> Iterator[RunStore]:
        """The store of the run that is served; all files are its workspace's, and its minutes are counted."""
        workspace, start = self.serving, time.monotonic()
        store, left = store_of(workspace), self._seconds_left(workspace)

        def end_in_time() -> None:
            if time.monotonic() - start > left:
                with suppress(ThawError):
                    store.cancel(run.id, USED_UP)

        before = ask_for_workspace(lambda: workspace)
        try:
            with repeated(end_in_time, LOOK_S):
                yield store
        finally:
            ask_for_workspace(before)
            self._registry.add_training(workspace, time.monotonic() - start)

    def runs(self, states: Collection[str] | None = None, limit: int = 500) -> list[Run]:
        """Some of everybody's runs."""
        found: list[Run] = []
        self._each(lambda store: found.extend(store.runs(states, limit=limit)))
        return found[:limit]

    def tell_waiting(self, phase: str) -> None:
        """As a store's."""
        self._each(lambda store: store.tell_waiting(phase))

    def ask_to_stop(self, pid: int) -> None:
        """As a store's."""
        self._each(lambda store: store.ask_to_stop(pid))

    def give_up(self, pid: int) -> None:
        """As a store's."""
        self._each(lambda store: store.give_up(pid))

    def heal(self) -> list[str]:
        """As a store's."""
        healed: list[str] = []
        self._each(lambda store: healed.extend(store.heal()))
        return healed

    def each_at_home(self, do: Callable[[RunStore], object]) -> None:
        """Do something with every store while its workspace's files are meant."""
        for workspace, *_ in self._registry.waiting():
            with self._alone(workspace), within(workspace):
                do(store_of(workspace))

    def _each(self, do: Callable[[RunStore], object]) -> None:
        for workspace, *_ in self._registry.waiting():
            with self._alone(workspace):
                do(store_of(workspace))

    def _seconds_left(self, workspace: str) -> float:
        return fair_use().minutes * 60 - self._registry.place(workspace).trained_s

    @contextmanager
    def _alone(self, workspace: str) -> Iterator[None]:
        try:
            yield
        except ThawError as error:
            _log.warning("workspace %s is left out: %s", workspace[:6], error)


def sweep(stores: RunStore | Everybody) -> None:
    """Remove what dead processes and runs have left behind, in every home."""
    if isinstance(stores, Everybody):
        stores.each_at_home(lambda store: sweep_staging())
        stores.each_at_home(sweep_runs)
    else:
        sweep_runs(stores)
