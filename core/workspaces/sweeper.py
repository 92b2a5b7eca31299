"""Removes workspaces whose time is up. Never early: a clock that is an hour ahead deletes nothing that was promised."""

import logging
import shutil
import threading
import time
from typing import Final

from core.storage import explained
from core.visitors.registry import Registry
from core.workspaces.workspace import remove

GRACE_S: Final = 2 * 3600.0  # longer than a clock is wrong by a time zone's change
EVERY_S: Final = 600.0
_log = logging.getLogger(__name__)


@explained()
def sweep_workspaces() -> int:
    """Remove what was left, or not been visited for its time; what trains is waited for. How many are gone."""
    registry = Registry()
    gone = sum(remove(workspace) for workspace in registry.over(time.time() - GRACE_S))
    for folder in registry.unknown_folders():
        shutil.rmtree(folder, ignore_errors=True)
    return gone


class Sweeper:
    """Sweeps every ten minutes, beside a server, until it is stopped."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._sweep_on, daemon=True, name="workspace-sweeper").start()

    def stop(self) -> None:
        self._stopping.set()

    def _sweep_on(self) -> None:
        while not self._stopping.is_set():
            try:
                sweep_workspaces()
            except Exception:  # the boundary of a thread: the next time may do
                _log.exception("workspaces could not be swept")
            self._stopping.wait(EVERY_S)
