"""Features of a shard: a task that sends its pictures through a frozen backbone and keeps what comes out.

One file for each view of a shard, named by the shard and by all else that features depend on. In half precision: 1,280
numbers are 2.6 KB. One task has one core, whatever machine it is on, so that the same numbers come out.

Legend: N pictures of a shard, F features, S the network's input size.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.augment.pipelines import EvalPipeline, TrainPipeline, normalise, picture_seed
from core.data.pixels import FILE_NAME, PixelStore
from core.errors import DatasetError, StorageError, TrainingError
from core.machine.process import peak_memory
from core.machine.speeds import Engine
from core.models.accel import LAYOUTS, Forward, one_thread, standing_still
from core.models.build import build_model
from core.models.weights import preprocessing_of
from core.settings.schema import RunSettings
from core.shards.executor import Executor
from core.shards.large_set import LargeSet
from core.shards.listing import Progress
from core.shards.objects import drop, find, is_done, making
from core.shards.taking_in import cpu_seconds, file_of, load_rows
from core.training.features import WHOLE, feature_recipe
from core.training.plan import views_of
from core.training.probe import choose_compute

FILE: Final = "features.safetensors"
FEATURES_VERSION: Final = 1
BATCH: Final = 32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How features come about, the same for all shards; plain values, fit to be sent to another machine."""

    run: RunSettings
    engine: Engine
    weights: str | None
    """SHA-256 of the backbone's weights: a machine that has others must not compute."""

    @property
    def views(self) -> tuple[int, ...]:
        """Those that are trained on, and the plain one, which is judged."""
        return tuple(sorted({0, *views_of(self.run)}))

    def name_of(self, shard: str, view: int) -> str:
        """Names the features of a shard."""
        preprocessing = preprocessing_of(self.run.model.backbone)
        recipe = feature_recipe(self.run, self.weights, preprocessing, WHOLE, "fp32", self.engine, view)
        text = json.dumps({"version": FEATURES_VERSION, "shard": shard, "dtype": "float16", **recipe}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A task: the features of one shard."""

    shard: str
    recipe: Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Computed:
    """What a task has cost."""

    pictures: int
    """That went through the network, all views together; 0 if their features were there."""
    seconds: float
    cpu_s: float
    peak_bytes: int


def recipe_of(settings: RunSettings) -> Recipe:
    """How this machine computes features for a run; weights are downloaded now if they are to be.

    Raises:
        SettingsError: the settings name a device that is not here.
        WeightsError: the backbone's weights cannot be had.
    """
    compute = choose_compute(settings)
    model = build_model(settings.model.backbone, 2, start=settings.model.start, seed=settings.seed)
    return Recipe(run=settings, engine=compute.engine, weights=model.weights_sha256)


def compute_features(
    data: LargeSet, recipe: Recipe, work: Executor, on_progress: Progress = lambda done, total: None
) -> list[Computed]:
    """See to it that every shard has its features.

    Raises:
        StorageError: a shard is not here any more, or there is no room.
        TrainingError: a machine has other weights, or the features are too large for half precision.
    """
    done: list[Computed] = []
    for one in work.map(compute_shard, (Job(shard=shard, recipe=recipe) for shard in data.shards)):
        done.append(one)
        on_progress(len(done), len(data.shards))
    return done


def compute_shard(job: Job) -> Computed:
    """The task."""
    start, cpu, count = time.perf_counter(), cpu_seconds(), 0
    views = [view for view in job.recipe.views if not is_done("features", job.recipe.name_of(job.shard, view))]
    if views:
        with one_thread(), torch.no_grad():
            for view in views:
                count += _compute_view(job, view)
    seconds, cpu_s = time.perf_counter() - start, cpu_seconds() - cpu
    return Computed(pictures=count, seconds=seconds, cpu_s=cpu_s, peak_bytes=peak_memory())


def _compute_view(job: Job, view: int) -> int:
    try:
        found = torch.cat(list(_passes(job, view)))
    except DatasetError as error:
        if drop("shards", job.shard):
            return _compute_view(job, view)
        raise StorageError(
            "A shard was damaged and is gone: take the source in again, which costs that one."
        ) from error
    if not found.isfinite().all():
        raise TrainingError("This backbone's features are too large for half precision; choose another.")
    with making("features", job.recipe.name_of(job.shard, view)) as folder:
        save_file({"features": found}, folder / FILE, metadata={"sha256": hash_of(found)})
    return len(found)


def _passes(job: Job, view: int) -> Iterator[Tensor]:
    """Features (n, F) float16 of a shard's pictures, batch by batch."""
    rows = load_rows(job.shard)
    places = [(row["place"][0], row["place"][1], row["place"][2]) for row in rows]
    groups = [row["group"] for row in rows]
    pixels = PixelStore(file_of(job.shard, FILE_NAME).parent, places, groups)
    forward, layout = _backbone(job.recipe), LAYOUTS[job.recipe.engine]
    preprocessing = preprocessing_of(job.recipe.run.model.backbone)
    for batch in _batches(pixels, groups, job.recipe, view):
        yield forward(normalise(torch.stack(batch), preprocessing, layout)).half()


def _batches(pixels: PixelStore, groups: Sequence[str], recipe: Recipe, view: int) -> Iterator[list[Tensor]]:
    """Pictures (3, S, S) uint8 as a run's cached view has them."""
    run, preprocessing = recipe.run, preprocessing_of(recipe.run.model.backbone)
    plain, augmented = EvalPipeline(preprocessing), TrainPipeline(preprocessing, run.augment)
    for start in range(0, len(pixels), BATCH):
        batch = []
        for place in range(start, min(start + BATCH, len(pixels))):
            image = torch.from_numpy(np.array(pixels[place])).permute(2, 0, 1)
            batch.append(augmented(image, picture_seed(0, view, groups[place])) if view else plain(image))
        yield batch


@lru_cache(maxsize=1)
def _backbone(recipe: Recipe) -> Forward:
    """The backbone of a recipe, kept from task to task.

    Raises:
        TrainingError: this machine has other weights.
    """
    model_settings = recipe.run.model
    model = build_model(model_settings.backbone, 2, start=model_settings.start, seed=recipe.run.seed).eval()
    if model.weights_sha256 != recipe.weights:
        raise TrainingError("A machine of this cluster has other weights of the backbone than the one that asks.")
    side = preprocessing_of(model_settings.backbone).image_size
    return standing_still(model.backbone, model_settings.backbone, recipe.engine, side=side)


def hash_of(features: Tensor) -> str:
    """SHA-256 of features, their shape and type."""
    digest = hashlib.sha256(f"{features.dtype} {tuple(features.shape)}".encode())
    digest.update(features.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_features(name: str, check: bool = False) -> Tensor:
    """Features (N, F) float16, mapped from their file: what is not looked at is not read.

    Args:
        check: read all of them for their hash.

    Raises:
        StorageError: they are not here any more, or not what was written.
    """
    path = find("features", name, FILE)
    try:
        if path is None:
            raise FileNotFoundError(name)
        with safe_open(path, framework="pt") as file:
            found: Tensor = file.get_tensor("features")
            if check and hash_of(found) != (file.metadata() or {}).get("sha256"):
                raise OSError("they have changed since they were written")
        return found
    except (OSError, SafetensorError) as error:
        if drop("features", name):
            return load_features(name, check)
        raise StorageError(
            "Features of a shard were damaged and are gone: train again, which costs that one."
        ) from error
