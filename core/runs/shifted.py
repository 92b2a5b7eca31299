"""Runs of a sweep over depths: how they fare on shifted copies of their test pictures, kept beside their record."""

import json
import logging
from typing import TYPE_CHECKING, Final

from core.data.dataset import Dataset
from core.home import ordinary, sealed, unsealed, write_atomically
from core.objects.cache import here
from core.records import typed
from core.runs.experiments import kind_of
from core.runs.record import run_folder
from core.runs.store import Run
from core.storage import explain
from core.training.history import Cancelled, ShouldStop

if TYPE_CHECKING:  # it brings torch
    from core.training.scenarios import Trained

FILE: Final = "shifted.json"
_log = logging.getLogger(__name__)


def shift_after(run: Run, dataset: Dataset, trained: "Trained", should_stop: ShouldStop) -> None:
    """Look at shifted test pictures with the trained model, where the run is one of a sweep.

    Called in the worker when the run's folder is written: what goes wrong here is no matter of the run.
    """
    if kind_of(run.race) != "sweep":
        return
    from core.training.shifts import right_when_shifted

    try:
        right = right_when_shifted(run.settings, trained.model, dataset, trained.split.test, should_stop)
        write_atomically(run_folder(run.id) / FILE, sealed(json.dumps(right).encode()))
    except Cancelled:
        _log.info("no shifted test pictures were looked at: the run was stopped")
    except Exception as error:  # a boundary, as that of a run
        known = explain(error)
        _log.warning("no shifted test pictures were looked at: %s", known or error, exc_info=known is None)


def load_shifted(run_id: str) -> dict[str, tuple[bool, ...]]:
    """Which shifted test pictures a run names rightly, by shift; empty where it was not asked."""
    try:
        text, _ = unsealed(ordinary(here(run_folder(run_id), FILE)).read_bytes())
        return typed(json.loads(text), dict[str, tuple[bool, ...]])
    except (OSError, ValueError, RecursionError):
        return {}
