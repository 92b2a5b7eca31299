"""Features of as many drawn pictures as are wanted: what `truth.py` and `groups.py` draw their data sets from.

The pictures are those of the built-in set's generator, with numbers that the built-in set does not use; or, in groups,
several photos of one insect on one ground. They are drawn and go through the frozen backbone once, and what it says is
kept in the home folder. Heads on such features take hundredths of a second, so hundreds of races can be run.

Legend: M pictures, V views (0 plain, others augmented), F features.
"""

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.augment.pipelines import EvalPipeline, TrainPipeline, normalise, picture_seed
from core.data.dataset import Dataset, Split
from core.data.drawn.camera import Camera
from core.data.drawn.drawings import CLASS_NAMES, compose, develop, draw
from core.data.drawn.insects import ant, bee
from core.data.drawn.parts import unit
from core.data.pictures import Picture
from core.home import home_folder
from core.models.accel import LAYOUTS
from core.models.accel.compiled import CompiledBackbone
from core.models.build import build_model
from core.models.weights import preprocessing_of
from core.settings.schema import AugmentSettings, ModelSettings
from core.training.head import solve_head

PIECE: Final = 200  # pictures that are kept together: a pool that is broken off goes on there
FIRST, FIRST_INDIVIDUAL = 10_000, 400_000  # where the numbers of the pools begin
VIEWS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Pictures by their features."""

    features: Tensor
    """(V, M, F) float32."""
    targets: Tensor
    """(M,) int64."""
    groups: Tensor
    """(M,) int64; a number of its own for each picture where there are no groups."""

    def __len__(self) -> int:
        return len(self.targets)


def edition() -> str:
    """Tells today's generator from others: what an earlier one drew is not mixed with it."""
    return hashlib.sha256(b"".join(draw(name, 0).tobytes() for name in CLASS_NAMES)).hexdigest()[:8]


def photo(class_name: str, individual: int, number: int) -> Image.Image:
    """One of several photos of an insect: ground, light and the insect stay, the camera and the exposure change."""
    its = np.random.default_rng((individual, CLASS_NAMES.index(class_name)))
    of_this = np.random.default_rng((individual, CLASS_NAMES.index(class_name), 1 + number))
    short = int(its.integers(256, 289))
    size = (int(short * its.choice((1.25, 4 / 3, 1.5))), short)
    insect = ant(its) if class_name == "ants" else bee(its, flying=False)
    light = unit([its.uniform(-0.8, 0.8), -its.uniform(0.3, 0.9), its.uniform(0.55, 0.9)])
    scene = int(its.integers(2**31))
    scale, heading, tilt = short * of_this.uniform(0.4, 0.7), of_this.uniform(0, 2 * np.pi), of_this.uniform(0, 1.0)
    camera = Camera(scale, insect.reach, heading, tilt, of_this.normal(0, 0.15), light)
    return develop(of_this, compose(np.random.default_rng(scene), size, camera, insect, False))


def plain_pool(count: int) -> Pool:
    """`count` pictures of the built-in generator, as many of each class, none of them twice."""

    def picture(number: int) -> Image.Image:
        return draw(CLASS_NAMES[number % 2], FIRST + number // 2)

    features = _kept("plain", count, picture)
    return Pool(features=features, targets=torch.arange(count) % 2, groups=torch.arange(count))


def grouped_pool(individuals: int, each: int) -> Pool:
    """`each` photos of every individual; individuals of both classes by turns."""

    def picture(number: int) -> Image.Image:
        individual = number // each
        return photo(CLASS_NAMES[individual % 2], FIRST_INDIVIDUAL + individual // 2, number % each)

    groups = torch.arange(individuals * each) // each
    return Pool(features=_kept(f"groups-of-{each}", len(groups), picture), targets=groups % 2, groups=groups)


def others(pool: Pool, rows: Sequence[int]) -> Tensor:
    """The pictures of a pool that neither are among these nor of their groups: fresh to whoever learnt from these.

    Of the same pool, not of another one: a pool may be a little easier than the next, and no data set could know it.
    """
    return torch.nonzero(~torch.isin(pool.groups, pool.groups[list(rows)])).flatten()


def _kept(name: str, count: int, picture: Callable[[int], Image.Image]) -> Tensor:
    """Features (V, M, F) of pictures by number, from the home folder or computed now."""
    folder = home_folder("benchmarks", f"{name}-{edition()}")
    look = None
    pieces = []
    for start in range(0, count, PIECE):
        path = folder / f"{start:06}.npy"
        if not path.exists():
            look = look or _Backbone(VIEWS)
            found = look(picture, range(start, start + PIECE))
            part = path.with_suffix(".part.npy")
            np.save(part, found.numpy())
            part.rename(path)
            print(f"{name}: {start + PIECE:,} of {count:,}", file=sys.stderr, flush=True)
        pieces.append(torch.from_numpy(np.load(path)))
    return torch.cat(pieces, dim=1)[:, :count]


class _Backbone:
    """The frozen backbone that every run begins with, and the inputs it gets."""

    def __init__(self, views: int) -> None:
        name = ModelSettings().backbone
        self._prepared = preprocessing_of(name)
        network = build_model(name, len(CLASS_NAMES), start="imagenet", seed=0).eval()
        self._compiled = CompiledBackbone(network.backbone, name, self._prepared.image_size, threads=1)
        self._plain, self._augmented = EvalPipeline(self._prepared), TrainPipeline(self._prepared, AugmentSettings())
        self._views = views

    def __call__(self, picture: Callable[[int], Image.Image], numbers: Sequence[int]) -> Tensor:
        """(V, n, F) of the pictures of these numbers."""
        images = [torch.from_numpy(np.array(picture(number))).permute(2, 0, 1) for number in numbers]
        return self.features_of(images, [str(number) for number in numbers])

    def features_of(self, images: Sequence[Tensor], keys: Sequence[str]) -> Tensor:
        """(V, n, F) of images (3, H, W) uint8; the key of each says how its views are augmented."""
        views = [[self._plain(image) for image in images]]
        for view in range(1, self._views):
            seeds = [picture_seed(0, view, key) for key in keys]
            views.append([self._augmented(image, seed) for image, seed in zip(images, seeds, strict=True)])
        return torch.stack([self._features(torch.stack(inputs)) for inputs in views])

    def _features(self, inputs: Tensor) -> Tensor:
        with torch.inference_mode():
            twos = torch.split(normalise(inputs, self._prepared, LAYOUTS["onnxruntime"]), 2)
            return torch.cat([self._compiled(two).float() for two in twos])


def backbone_features(images: Sequence[Tensor], keys: Sequence[str], views: int = VIEWS) -> Tensor:
    """(V, M, F) of images (3, H, W) uint8, as a run has them; `keys` name the pictures."""
    return _Backbone(views).features_of(images, keys)


def listing(pool: Pool, rows: Sequence[int], number: int, grouped: bool = False) -> Dataset:
    """These pictures of a pool as a data set without pixels: what divides a real one divides it.

    Args:
        number: of the data set. It is part of the pictures' names, which decide what is tested: else the same pictures
            of the pool would be tested in all data sets.
        grouped: whether the groups are said; else every picture stands for itself.
    """
    pictures = tuple(
        Picture(
            name=str(row),
            target=int(pool.targets[row]),
            given=None,
            content=f"{number}/{row:08}",
            group=f"{number}/{row:08}",
            place=(0, 1, 1),
            subject=f"{int(pool.groups[row])}" if grouped else "",
            together=f"{number}/{int(pool.groups[row])}" if grouped else "",
        )
        for row in rows
    )
    by = "individual" if grouped else ""
    return Dataset(
        id="0" * 16,
        title="drawn",
        kind="drawn",
        fingerprint="0" * 64,
        class_names=CLASS_NAMES,
        pictures=pictures,
        skipped=(),
        ignored=(),
        decode_s=0.0,
        added="",
        grouped_by=by,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A way of training a head on features that are there."""

    name: str
    views: int = VIEWS
    l2: float | None = None
    """None: chosen inside train, as the scenario Frozen does."""
    share: float = 1.0
    """Of the features that it may use, drawn anew by each seed: recipes whose seeds differ much."""


def train(recipe: Recipe, pool: Pool, rows: Sequence[int], split: Split, seed: int) -> tuple[Tensor, Tensor]:
    """The head (K, F), (K,) that a recipe gives on the train part of a listing of these rows."""
    taken = torch.tensor([rows[index] for index in split.train])
    kept = _used(recipe, pool.features.shape[-1], seed)
    features = pool.features[: recipe.views, taken][..., kept].flatten(0, 1)
    groups = pool.groups[taken].repeat(recipe.views)
    solved = solve_head(features, pool.targets[taken].repeat(recipe.views), groups, len(CLASS_NAMES), l2=recipe.l2)
    weight = torch.zeros(len(CLASS_NAMES), pool.features.shape[-1])
    weight[:, kept] = solved.weight
    return weight, solved.bias


def _used(recipe: Recipe, features: int, seed: int) -> Tensor:
    if recipe.share == 1:
        return torch.arange(features)
    order = torch.randperm(features, generator=torch.Generator().manual_seed(seed))
    return order[: round(recipe.share * features)].sort().values


def right(head: tuple[Tensor, Tensor], pool: Pool, rows: Tensor | None = None) -> np.ndarray:
    """On which pictures a head is right, by their plain view: (N,) bool."""
    features, targets = pool.features[0], pool.targets
    if rows is not None:
        features, targets = features[rows], targets[rows]
    found: np.ndarray = ((features @ head[0].T + head[1]).argmax(1) == targets).numpy()
    return found
