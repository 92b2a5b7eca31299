"""What a frozen backbone says about pictures, computed once and kept: neither epochs nor later runs pay for it again.

Kept per picture, by content: another split, seed, scenario or data set finds whatever pictures they have in common. A
recipe, everything else that features depend on, has a folder; in it lie shards, files that never change once they have
their name. So a reader never sees half a file, and two writers at once only do some work twice.

Legend: M pictures, features (...) of any shape, the same for all pictures of a recipe.
"""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.augment.catalogue import evaluation_calls, training_calls
from core.augment.pipelines import MAX_STRETCH
from core.augment.preprocessing import Preprocessing
from core.errors import StorageError
from core.home import ordinary, temporary_folder, thaw_home
from core.models.accel import is_plain
from core.settings.schema import RunSettings
from core.storage import explained
from core.training.shared_features import fetched_shards, put_shard

BUDGET_BYTES: Final = 2 * 1024**3
"""On disk, all recipes together; what was not used for longest goes first."""
SHARD_BYTES: Final = 32 * 1024**2  # what is computed goes to disk in pieces: a run that is stopped has not lost it
STORE_VERSION: Final = 3
LIBRARIES: Final = ("torch", "torchvision", "timm", "onnxruntime")  # of other versions, other numbers may come
WHOLE: Final = "features"  # in the place of a number of stages: what the whole backbone gives
_log = logging.getLogger(__name__)


def feature_recipe(
    settings: RunSettings,
    weights_sha256: str | None,
    preprocessing: Preprocessing,
    cut: int | str,
    precision: str,
    engine: str,
    view: int = 0,
    device: str = "cpu",
) -> dict[str, object]:
    """All that features of a frozen backbone depend on beside the picture.

    Args:
        weights_sha256: None for a random start, which depends on the seed; weights do not.
        cut: the number of frozen stages, or `WHOLE`.
        engine: the run's.
        view: 0 is plain, others are augmented.
        device: the kind that pictures and network were on, which rounds in its own way.
    """
    return {
        "backbone": settings.model.backbone,
        "weights": weights_sha256 or f"random {settings.seed}",
        "cut": cut,
        "preprocessing": preprocessing.to_dict(),
        "precision": precision,
        "engine": "torch" if computed_by_torch(cut, precision) else engine,
        "view": view,
        "transforms": [MAX_STRETCH, _transforms(settings, preprocessing, view)],
        "versions": {library: version(library) for library in LIBRARIES},
        **({"device": device} if device != "cpu" else {}),
        **({"plain": True} if device == "cpu" and is_plain(settings.model.backbone) else {}),
    }


def _transforms(settings: RunSettings, preprocessing: Preprocessing, view: int) -> str:
    """What is really done to a picture, call by call: a preset's name would stay the same when the preset changes."""
    return repr(training_calls(settings.augment, preprocessing) if view else evaluation_calls(preprocessing))


def computed_by_torch(cut: int | str, precision: str) -> bool:
    """Whether no other engine computes this: they have whole backbones, and float32, only."""
    return cut != WHOLE or precision != "fp32"


class FeatureStore:
    """Features of one recipe."""

    def __init__(self, recipe: Mapping[str, object], *others: Mapping[str, object]) -> None:
        """Recipes are everything features depend on beside the picture, as plain JSON values.

        `others`: those whose features serve as well where they are there. What is computed is of the first.
        """
        self._folder, *self._others = map(_folder_of, (recipe, *others))

    def get(
        self, keys: Sequence[str], compute: Callable[[list[int]], Iterable[Tensor]], dtype: torch.dtype
    ) -> tuple[Tensor, int]:
        """Features (M, ...) for pictures in this order, and how many of them came from the disk.

        Args:
            keys: hex digests; equal keys are the same picture.
            compute: given positions in `keys`, the features (n, ...) of those pictures in that order, batch by batch.
            dtype: what newly computed ones are kept in.
        """
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        found: Tensor | None = None
        missing = dict(places)
        for shard_keys, features in self._shards(set(places)):
            rows = [row for row, key in enumerate(shard_keys) if key in missing]
            taken = features[torch.tensor(rows)] if len(rows) < len(shard_keys) else features
            found = _room(found, len(places), taken)
            found[torch.tensor([missing.pop(shard_keys[row]) for row in rows])] = taken
        hits = sum(key not in missing for key in keys)
        if missing:
            first_of = {key: position for position, key in reversed(list(enumerate(keys)))}
            wanted = sorted((first_of[key], key) for key in missing)
            batches = (batch.to(dtype) for batch in compute([position for position, _ in wanted]))
            for shard_keys, features in self._written([key for _, key in wanted], batches):
                found = _room(found, len(places), features)
                found[torch.tensor([places[key] for key in shard_keys])] = features
        assert found is not None
        if len(places) == len(keys):
            return found, hits
        return found[torch.tensor([places[key] for key in keys])], hits

    def _shards(self, wanted: set[str]) -> Iterator[tuple[list[str], Tensor]]:
        """Shards that hold something wanted and not held by an earlier one: (keys, features mapped from the file)."""
        wanted = set(wanted)
        folders = (self._folder, *self._others)
        local = (path for folder in folders for path in sorted(folder.glob("*.safetensors")))
        for path in chain(local, (path for folder in folders for path in fetched_shards(folder, wanted))):
            if not wanted:
                return
            try:
                with safe_open(ordinary(path), framework="pt") as shard:
                    metadata = shard.metadata() or {}
                    keys = metadata["keys"].split()
                    if wanted.isdisjoint(keys):
                        continue
                    features = shard.get_tensor("features")
                if _hash(metadata["keys"], features) != metadata["sha256"]:
                    raise ValueError("it has changed since it was written")
                os.utime(path)  # least recently used goes first
            except (OSError, SafetensorError, KeyError, ValueError) as error:
                _log.info("features are computed anew: %s", error)  # evicted just now, or damaged
                continue
            yield keys, features
            wanted.difference_update(keys)

    def _written(self, keys: list[str], batches: Iterable[Tensor]) -> Iterator[tuple[list[str], Tensor]]:
        """What is computed, in shards that are on disk already, where there is room for them."""
        parts: list[Tensor] = []
        done = size = 0
        for batch in batches:
            parts.append(batch)
            size += batch.nbytes
            if size >= SHARD_BYTES:
                yield self._keep(keys, done, parts)
                done += sum(map(len, parts))
                parts, size = [], 0
        if parts:
            yield self._keep(keys, done, parts)

    def _keep(self, keys: list[str], start: int, parts: list[Tensor]) -> tuple[list[str], Tensor]:
        """As well as it can be done: a run goes on with features that are not kept, and later ones compute them."""
        features = torch.cat(parts).contiguous()
        names = keys[start : start + len(features)]
        path = self._folder / f"{uuid.uuid4().hex}.safetensors"
        try:
            _write(path, names, features)
            put_shard(path, names)
            _keep_within_budget(self._folder.parent)
        except StorageError as error:
            _log.warning("features were not kept: %s", error)
        return names, features


def _folder_of(recipe: Mapping[str, object]) -> Path:
    text = json.dumps({"version": STORE_VERSION, **recipe}, sort_keys=True)
    return thaw_home() / "cache" / "features" / hashlib.sha256(text.encode()).hexdigest()[:32]


@explained()
def _write(path: Path, keys: list[str], features: Tensor) -> None:
    """Write a shard, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = " ".join(keys)
    with temporary_folder("features") as folder:
        whole = folder / path.name
        save_file({"features": features}, whole, metadata={"keys": names, "sha256": _hash(names, features)})
        os.replace(whole, path)


def _hash(keys: str, features: Tensor) -> str:
    """SHA-256 of a shard: whose features they are, their shape, and the numbers themselves."""
    digest = hashlib.sha256(f"{keys} {features.dtype} {tuple(features.shape)}".encode())
    digest.update(features.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _room(found: Tensor | None, count: int, like: Tensor) -> Tensor:
    return torch.empty((count, *like.shape[1:]), dtype=like.dtype) if found is None else found


@explained()
def _keep_within_budget(folder: Path) -> None:
    """Drop the files that were not used for longest until the rest fits, and what a crash left behind."""
    files = []
    for file in folder.glob("*/*"):
        try:
            files.append((file.stat().st_mtime, file.stat().st_size, file))
        except FileNotFoundError:  # another process tidies up, too
            continue
    total = 0
    for _, size, file in sorted(files, reverse=True):
        total += size
        if total > BUDGET_BYTES:
            file.unlink(missing_ok=True)
