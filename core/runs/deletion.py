"""Away with runs, their rows and their files, also where a full disk takes no more writing."""

from contextlib import suppress
from typing import Final

from core.comparison.experiments import experiment_key
from core.errors import RunError, StorageError
from core.home import home_folder
from core.runs.elsewhere import sweep_elsewhere
from core.runs.experiments import Experiment
from core.runs.record import checkpoint_path, delete_files
from core.runs.store import ACTIVE, NO_LABEL, RunStore

_ALL: Final = 1_000_000


def delete_experiment(store: RunStore, experiment: Experiment) -> None:
    """Forget all runs of an experiment, its name and its note.

    Raises:
        RunError: one of them is queued or running; then nothing is deleted.
        StorageError: as `delete_run`.
    """
    runs = [run for run in store.runs(limit=_ALL) if experiment_key(run.settings) == experiment.key]
    if any(run.is_active for run in runs):
        raise RunError("A run of this experiment is still at work; stop it first.")
    for run in runs:
        delete_run(store, run.id)


def delete_run(store: RunStore, run_id: str) -> None:
    """Forget an ended run and remove its files; with an experiment's last run, what was noted about it.

    Raises:
        RunError: it is queued or running, or unknown.
        StorageError: the database cannot be written, and its files, if that was for want of room, made none.
    """
    key = experiment_key(store.get(run_id).settings)
    try:
        store.delete(run_id)
    except StorageError as error:
        if not error.full or store.get(run_id).is_active:
            raise
        delete_files(run_id)  # the room that the database needs to forget it
        store.delete(run_id)
    delete_files(run_id)
    if key in store.labels() and all(experiment_key(run.settings) != key for run in store.runs(limit=_ALL)):
        store.label(key, NO_LABEL)


def sweep_runs(store: RunStore) -> None:
    """Remove what runs have left behind that ended otherwise than by their worker, which is gone.

    Folders too: of one whose worker was killed when all was in place but its end, and that was not tried again.
    """
    kept = {checkpoint_path(run.id) for run in store.runs(ACTIVE)}
    for path in home_folder("checkpoints").iterdir():
        if path not in kept:
            with suppress(OSError):  # a worker starts, whatever it cannot clear away
                path.unlink()
    sweep_elsewhere(store)
    folders = [path.name for path in home_folder("runs").iterdir()]
    for run in store.runs(("failed", "cancelled"), ids=folders):
        delete_files(run.id)
