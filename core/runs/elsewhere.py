"""How far a run has come, for another machine to go on from there: its checkpoint in the store that machines share."""

import logging
import time
from pathlib import Path
from typing import Final

from core.errors import StorageError, StoreError
from core.home import home_folder, temporary_folder
from core.objects.store import store_here
from core.runs.record import checkpoint_path
from core.runs.store import ACTIVE, Run, RunStore
from core.storage import home_path

SHARE: Final = 0.05  # of the time of a run goes into sending, at most
FILE: Final = "checkpoint.safetensors"
_log = logging.getLogger(__name__)


def sweep_elsewhere(store: RunStore) -> None:
    """Remove checkpoints from the store that machines share whose runs are not at work any more.

    Raises:
        StoreError: it does not answer.
    """
    objects = store_here()
    if objects is None:
        return
    there = objects.keys(home_folder("checkpoints").relative_to(home_path()).as_posix())
    active = {run.id for run in store.runs(ACTIVE)} if there else set()
    for run_id in set(there) - active:
        objects.delete(_key_of(checkpoint_path(run_id)))


def _key_of(path: Path) -> str:
    return path.relative_to(home_path()).with_suffix("").as_posix()


class KeptElsewhere:
    """The checkpoint of one attempt at a run; without a store nothing is done."""

    def __init__(self, run: Run) -> None:
        self._store, self._path, self._attempt = store_here(), checkpoint_path(run.id), run.attempt
        self._key, self._not_before = _key_of(self._path), 0.0

    def put(self, path: Path) -> None:
        """Put it there as it is now, unless the last one took so long that training would wait too often for it."""
        start = time.monotonic()
        if self._store is None or start < self._not_before:
            return
        try:
            self._store.put(self._key, {FILE: path}, self._attempt)
        except StorageError as error:  # the run goes on, and the next time it may work
            _log.warning("no checkpoint was put into the store: %s", error)
        now = time.monotonic()
        self._not_before = now + (now - start) / SHARE

    def bring(self) -> None:
        """Fetch the one that was put there last, if there is one: whoever put it had come furthest.

        Raises:
            StoreError: the store does not answer.
        """
        if self._store is None:
            return
        try:
            index = self._store.index(self._key)
            if index is not None:
                with temporary_folder("fetch") as staging:
                    self._store.get(self._key, index, FILE, staging / FILE)
                    (staging / FILE).replace(self._path)
        except StoreError:
            raise
        except (StorageError, OSError) as error:
            _log.warning("the checkpoint in the store cannot be used, so the run begins anew: %s", error)

    def remove(self) -> None:
        """The run has ended."""
        if self._store is None:
            return
        try:
            self._store.delete(self._key)
        except StorageError as error:  # whoever sweeps removes it
            _log.warning("a checkpoint stays in the store: %s", error)
