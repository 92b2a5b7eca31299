"""Away with a run, its row and its files, also where a full disk takes no more writing."""

from core.errors import StorageError
from core.runs.record import delete_files
from core.runs.store import RunStore


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
