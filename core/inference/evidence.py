"""What a run has learnt from that looks most like a picture: neighbours among its training pictures.

Likeness is the cosine between the features that the run's own backbone gives. A frozen backbone's are those that were
cached for training; a fine-tuned run's are computed once and kept in the same bounded store.

Legend: M pictures, F features, N pictures asked about.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from core.comparison.metrics import Array
from core.data.dataset import Dataset
from core.data.loaders import EVAL_BATCH
from core.errors import RunError
from core.inference.predictor import Predictor
from core.machine.devices import DeviceKind
from core.training.features import WHOLE, FeatureStore, feature_recipe

MOST: Final = 2000
"""Pictures of a part that are looked at, spread evenly over it: bounds memory (8192 bytes each at most 4096 features)
and, for fine-tuned runs, time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """A training picture and how much like the picture it is."""

    picture: int
    """Index into the data set's pictures."""
    similarity: float
    """Cosine of the two pictures' features: 1 for the same direction."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReferenceFeatures:
    """Pictures of one part as a run's backbone sees them."""

    pictures: tuple[int, ...]
    """Indices into the data set's pictures."""
    features: np.ndarray
    """(M, F) float32, each of length 1."""
    lengths: np.ndarray
    """(M,) float32, what they were before."""
    of: int
    """Pictures in the whole part."""


def reference_features(
    predictor: Predictor, dataset: Dataset, part: str, on_done: Callable[[int, int], None] = lambda done, total: None
) -> ReferenceFeatures:
    """The features of the pictures of `train` or `val`, from the store where they are there.

    Args:
        on_done: told (done, total) while features are computed.

    Raises:
        RunError: the data set is not the one that the run was trained on.
    """
    record = predictor.record
    split = dataset.split(record.settings.seed, record.settings.data)
    if dataset.fingerprint != record.dataset.fingerprint or split.hash != record.split.hash:
        raise RunError(
            "The pictures that this run was trained on are not here any more, or this version of Thaw divides them "
            "differently, so none can be shown."
        )
    whole = split.part(part)
    wanted = [whole[place * len(whole) // min(MOST, len(whole))] for place in range(min(MOST, len(whole)))]

    def compute(positions: list[int]) -> Iterator[Tensor]:
        for first in range(0, len(positions), EVAL_BATCH):
            batch = positions[first : first + EVAL_BATCH]
            yield torch.from_numpy(predictor.look([dataset.pixels[wanted[place]] for place in batch])[1])
            on_done(min(first + EVAL_BATCH, len(positions)), len(positions))

    store = FeatureStore(*_recipes(predictor))
    found, _ = store.get([dataset.pictures[index].group for index in wanted], compute, torch.float32)
    rows = found.float().numpy()
    lengths = np.linalg.norm(rows, axis=1)
    return ReferenceFeatures(pictures=tuple(wanted), features=_unit(rows), lengths=lengths, of=len(whole))


def nearest_neighbours(reference: ReferenceFeatures, features: Array, k: int) -> tuple[Neighbour, ...]:
    """The k pictures most like one with these features (F,), the most similar first."""
    similarities = reference.features @ _unit(features)
    order = np.argsort(-similarities, kind="stable")[:k]
    return tuple(Neighbour(picture=reference.pictures[i], similarity=float(similarities[i])) for i in order)


def ood_score(reference: ReferenceFeatures, features: Array, k: int) -> np.ndarray:
    """How far pictures (N, F) are from what was learnt: 1 - mean cosine to the k most similar, (N,) float32."""
    similarities = np.sort(_unit(features) @ reference.features.T, axis=1)[:, -k:]
    distances: np.ndarray = 1 - similarities.mean(axis=1)
    return distances


def _unit(features: Array) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    scaled: np.ndarray = features / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def _recipes(predictor: Predictor) -> list[dict[str, object]]:
    """What is computed here is of the first; of a frozen run, all that was computed for its training serves as well."""
    record = predictor.record

    def recipe(precision: str, engine: str, device: DeviceKind = "cpu") -> dict[str, object]:
        settings, weights, preprocessing = record.settings, record.weights.sha256, record.preprocessing
        return feature_recipe(settings, weights, preprocessing, WHOLE, precision, engine, device=device)

    here = recipe("fp32", predictor.engine)
    if not record.settings.model.row.leaves_backbone:
        return [{**here, "run": record.run}]
    return [here, recipe(record.precision.features, record.engine, record.device.kind)]
