"""Small files beside a data set's manifest: what was found out about it, which may be lost without harm."""

import json
from contextlib import suppress
from typing import Any, TypeVar

from core.data.dataset import Dataset
from core.errors import DatasetError, StoreError
from core.home import ordinary, sealed, unsealed, write_atomically
from core.objects.cache import here, share
from core.records import read_json

T = TypeVar("T")


def read_kept(dataset: Dataset, name: str, kind: type[T]) -> T | None:
    """What lies there; None where nothing does, or it is damaged: then it is found out anew."""
    try:
        return read_json(unsealed(ordinary(here(dataset.folder, name)).read_bytes())[0], kind)
    except (OSError, ValueError, RecursionError):
        return None


def write_kept(dataset: Dataset, name: str, values: Any) -> None:
    """Put it there.

    Raises:
        DatasetError: the data set is not here any more.
        StorageError: it cannot be written.
    """
    if not dataset.folder.is_dir():
        raise DatasetError("This data set was deleted in another window; reload the page.")
    write_atomically(dataset.folder / name, sealed(json.dumps(values).encode()))
    with suppress(StoreError):  # it is put there with what is next
        share(dataset.folder, name)
