"""Away with a run, its row and its files, also where a full disk takes no more writing."""

from core.errors import StorageError
from core.home import home_folder
from core.runs.record import checkpoint_path, delete_files
from core.runs.store import ACTIVE, RunStore


def delete_run(store: RunStore, run_id: str) -> None:
    """Forget an ended run and remove its files.

    Raises:
        RunError: it is queued or running, or unknown.
        StorageError: the database cannot be written, and its files, if that was for want of room, made none.
    """
    try:
        store.delete(run_id)
    except StorageError as error:
        if not error.full or store.get(run_id).is_active:
            raise
        delete_files(run_id)  # the room that the database needs to forget it
        store.delete(run_id)
    delete_files(run_id)


def sweep_checkpoints(store: RunStore) -> None:
    """Remove what runs have left behind that ended otherwise than by their worker."""
    kept = {checkpoint_path(run.id) for run in store.runs(ACTIVE)}
    for path in home_folder("checkpoints").iterdir():
        if path not in kept:
            path.unlink(missing_ok=True)
