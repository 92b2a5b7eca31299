"""Features that another machine has computed: shards in the store that machines share.

Processors of different kinds round in their own ways, so each kind has its own. What cannot be had is computed.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import torch

from core.errors import StorageError, StoreError
from core.home import temporary_folder
from core.machine.facts import this_machine
from core.objects.store import Store, store_here
from core.storage import home_path

SHARD: Final = "features.safetensors"
KEYS: Final = "keys.txt"
PATIENCE_S: Final = 3.0  # computing is an answer, too
SPARED_S: Final = 60.0  # after it was silent
_silent_until = 0.0
_log = logging.getLogger(__name__)

T = TypeVar("T")


def put_shard(path: Path, keys: Sequence[str]) -> None:
    """Put a shard of a recipe's folder into the store, if it can be done."""

    def put(store: Store) -> None:
        with temporary_folder("features") as staging:
            (staging / KEYS).write_text("\n".join(keys))
            store.put(f"{_key(path.parent)}/{path.stem}", {SHARD: path, KEYS: staging / KEYS})

    _try(put)


def fetched_shards(folder: Path, wanted: set[str]) -> Iterator[Path]:
    """Shards of a recipe that are fetched into its folder, as long as they hold something that is still wanted."""
    for name in _try(lambda store: store.keys(_key(folder))) or []:
        path = folder / f"{name}.safetensors"
        if wanted and not path.exists() and _try(partial(_fetch, path, wanted)):
            yield path


def _fetch(path: Path, wanted: set[str], store: Store) -> bool:
    """Whether a shard holds something that is wanted, and is here now."""
    key = f"{_key(path.parent)}/{path.stem}"
    index = store.index(key)
    with temporary_folder("fetch") as staging:
        if index is None or wanted.isdisjoint(store.read(key, index, KEYS, staging).decode().split()):
            return False
        store.get(key, index, SHARD, staging / SHARD)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / SHARD, path)
    return True


def _try(do: Callable[[Store], T]) -> T | None:
    """What the store says; None where there is none, it does not answer, or what it has is damaged."""
    global _silent_until
    try:
        store = store_here(PATIENCE_S)
        return None if store is None or time.monotonic() < _silent_until else do(store)
    except StoreError as error:
        _silent_until = time.monotonic() + SPARED_S
        _log.warning("features are computed without the store: %s", error)
    except (StorageError, FileNotFoundError, KeyError) as error:
        _log.warning("features are computed anew: %s", error)
    return None


def _key(folder: Path) -> str:
    kind = f"{this_machine().processor} {torch.backends.cpu.get_cpu_capability()}"
    return f"{folder.relative_to(home_path()).as_posix()}/{hashlib.sha256(kind.encode()).hexdigest()[:16]}"
