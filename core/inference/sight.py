"""What a network sees: its first filters, what its stages make of a picture, and which pictures excite a channel most.

Natural patches, not optimised pictures: people predict a unit's response better from them (Borowski et al. 2021).

Legend: M pictures, C channels, h and w places of a stage's grid, S side of the network's input.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from core.augment.pipelines import EvalPipeline, normalise
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset
from core.data.loaders import EVAL_BATCH
from core.errors import RunError
from core.inference.job import OnDone
from core.inference.predictor import Predictor
from core.inference.subject import START, Subject, check_start, find_subject, run_state
from core.models.anatomy.places import stage_maps, stage_shapes
from core.models.build import build_model
from core.models.catalogue import BackboneSpec
from core.models.network import TransferModel
from core.runs.record import is_recorded
from core.settings.schema import RunSettings
from core.training.features import FeatureStore, feature_recipe

T = TypeVar("T")
Recipe = dict[str, object]
"""All that what is cached depends on."""

MOST: Final = 2000
"""Pictures that are looked at for patches, spread evenly over all."""
LEVELS: Final = ("low", "middle", "high")
_PATCH: Final = (1 / 7, 2 / 7, 1 / 2)
"""Side of a patch as a share of the input's, by level: what a place sees grows with depth. Chosen by eye."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StageMap:
    """What one stage makes of a picture."""

    level: int
    """Of `LEVELS`."""
    stage: int
    """0 is next to the input."""
    values: np.ndarray
    """(C, h, w) float32."""

    def strongest(self, count: int) -> list[int]:
        """The channels with the strongest response anywhere, the strongest first; of equals that with the higher mean.

        Equals are common: ReLU6 gives no more than 6.
        """
        order = np.lexsort((-self.values.mean(axis=(1, 2)), -self.values.max(axis=(1, 2))))
        return [int(channel) for channel in order[:count]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Peaks:
    """Where each channel of three stages responds most in each of some pictures."""

    pictures: tuple[int, ...]
    """Indices into the data set's pictures."""
    of: int
    """Pictures in the data set."""
    values: tuple[np.ndarray, ...]
    """By level (M, C) float32: the strongest response."""
    places: tuple[np.ndarray, ...]
    """By level (M, C) int64: where it is, in rows of the stage's grid."""
    around: tuple[np.ndarray, ...]
    """By level (M, C) float32: the mean response there and at the places next to it, which decides between equals."""
    sides: tuple[int, ...]
    """By level: the grid's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """A part of a picture, as the network receives it, that excites a channel."""

    picture: int
    """Index into the data set's pictures."""
    value: float
    """The channel's response there."""
    around: float
    """Its mean response there and at the places next to it: ReLU6 gives no more than 6, and many places reach that."""
    left: int
    top: int
    side: int
    """Pixels of the network's input."""


_BLACK: Final = np.zeros((8, 8, 3), np.uint8)


class _Asked(Protocol):
    def input_of(self, pixels: np.ndarray) -> Tensor: ...

    def ask_model(self, pictures: Sequence[np.ndarray], work: Callable[[TransferModel, Tensor], T]) -> T: ...


class _Untrained:
    """A network as training finds it, asked as a predictor is."""

    def __init__(self, model: TransferModel, preprocessing: Preprocessing) -> None:
        self._model, self._preprocessing = model.eval(), preprocessing
        self._pipeline, self._lock = EvalPipeline(preprocessing), threading.Lock()

    def input_of(self, pixels: np.ndarray) -> Tensor:
        return self._pipeline(torch.from_numpy(np.array(pixels)).permute(2, 0, 1))

    def ask_model(self, pictures: Sequence[np.ndarray], work: Callable[[TransferModel, Tensor], T]) -> T:
        inputs = torch.stack([self.input_of(pixels) for pixels in pictures])
        with self._lock:
            return work(self._model, normalise(inputs, self._preprocessing))


class Sight:
    """A network that looks at pictures. Safe to share between threads."""

    def __init__(self, asked: _Asked, spec: BackboneSpec, preprocessing: Preprocessing, recipe: Recipe) -> None:
        self._asked, self._recipe = asked, recipe
        self.spec, self.side = spec, preprocessing.image_size
        shapes = stage_shapes(spec.name, self.side)
        seeing = [stage for stage, (_, side) in enumerate(shapes) if side > 1]
        self.stages: Final = (seeing[0], seeing[len(seeing) // 2], seeing[-1])
        """The stages that are looked at, by level."""
        self.channels: Final = tuple(shapes[stage][0] for stage in self.stages)
        self.sides: Final = tuple(shapes[stage][1] for stage in self.stages)

    def input_of(self, pixels: np.ndarray) -> np.ndarray:
        """What the network receives of decoded pixels (H, W, 3) uint8: (S, S, 3) uint8."""
        received: np.ndarray = self._asked.input_of(pixels).permute(1, 2, 0).contiguous().numpy()
        return received

    def filters(self) -> np.ndarray:
        """The weights of the first convolution: (C, 3, k, k) float32."""
        with torch.no_grad():
            found: np.ndarray = self._asked.ask_model([_BLACK], lambda model, _: _first_filters(model)).numpy()
        return found

    def look(self, pixels: np.ndarray) -> tuple[StageMap, ...]:
        """What a low, a middle and a high stage make of decoded pixels (H, W, 3) uint8."""
        maps = [grid[0].numpy() for grid in self._maps([pixels])]
        return tuple(
            StageMap(level=level, stage=stage, values=values)
            for level, (stage, values) in enumerate(zip(self.stages, maps, strict=True))
        )

    def peaks(self, dataset: Dataset, on_done: OnDone = lambda done, total: None) -> Peaks:
        """Where each channel responds most in the pictures of a data set, from the store where it is there.

        Args:
            on_done: told (done, total) while pictures are looked at.
        """
        count = len(dataset.pictures)
        wanted = [place * count // min(MOST, count) for place in range(min(MOST, count))]

        def compute(positions: list[int]) -> Iterator[Tensor]:
            for first in range(0, len(positions), EVAL_BATCH):
                batch = [dataset.pixels[wanted[place]] for place in positions[first : first + EVAL_BATCH]]
                yield torch.cat([_strongest(grid) for grid in self._maps(batch)], dim=2)
                on_done(min(first + EVAL_BATCH, len(positions)), len(positions))

        keys = [dataset.pictures[index].group for index in wanted]
        found, _ = FeatureStore(self._recipe).get(keys, compute, torch.float32)
        values, places, around = (torch.split(found[:, row], list(self.channels), dim=1) for row in range(3))
        return Peaks(
            pictures=tuple(wanted),
            of=count,
            values=tuple(one.numpy() for one in values),
            places=tuple(one.long().numpy() for one in places),
            around=tuple(one.numpy() for one in around),
            sides=self.sides,
        )

    def patches(self, peaks: Peaks, level: int, channel: int, count: int) -> list[Patch]:
        """The places that excite a channel most, at most one of each picture, the strongest first; of equals
        that with the stronger surroundings."""
        order = np.lexsort((-peaks.around[level][:, channel], -peaks.values[level][:, channel]))
        return [self._patch(peaks, level, channel, int(row)) for row in order[:count]]

    def _patch(self, peaks: Peaks, level: int, channel: int, row: int) -> Patch:
        side, grid = round(self.side * _PATCH[level]), peaks.sides[level]
        down, right = divmod(int(peaks.places[level][row, channel]), grid)
        left, top = (
            min(max(round((place + 0.5) * self.side / grid - side / 2), 0), self.side - side) for place in (right, down)
        )
        value, around = float(peaks.values[level][row, channel]), float(peaks.around[level][row, channel])
        return Patch(picture=peaks.pictures[row], value=value, around=around, left=left, top=top, side=side)

    def _maps(self, pictures: Sequence[np.ndarray]) -> list[Tensor]:
        """By level (N, C, h, w)."""
        with torch.inference_mode():
            maps = self._asked.ask_model(pictures, lambda model, inputs: stage_maps(model.backbone, model.spec, inputs))
        return [maps[stage].float() for stage in self.stages]


def _strongest(grid: Tensor) -> Tensor:
    """(N, C, h, w) to (N, 3, C): each channel's strongest response, the place where it is, and the mean around it.

    Of places with equal responses, the one with the strongest neighbours.
    """
    values = grid.amax((2, 3), keepdim=True)
    around = torch.nn.functional.avg_pool2d(grid, 3, stride=1, padding=1, count_include_pad=False)
    strongest, places = around.masked_fill(grid < values, -torch.inf).flatten(2).max(2)
    return torch.stack([values[:, :, 0, 0], places.float(), strongest], dim=1)


def _first_filters(model: TransferModel) -> Tensor:
    first = next(module for module in model.backbone.modules() if isinstance(module, nn.Conv2d))
    return first.weight.detach().float().contiguous()


def sight_of(subject: Subject) -> Sight:
    """A run after training, or a backbone as its training begins.

    Raises:
        RunError: the run's weights are missing or damaged.
        WeightsError: the pretrained weights are not here.
    """
    record = subject.record
    if record is None:
        return sight_before(subject)
    if is_recorded(record.run):
        run_state(record)  # it says why there is none
    predictor = Predictor.load(record.run)
    return Sight(predictor, subject.spec, record.preprocessing, _recipe(subject, f"run {record.run}"))


def sight_before(subject: Subject) -> Sight:
    """What training starts from.

    Raises:
        WeightsError: the pretrained weights are not here, or are not those that the run began with.
    """
    check_start(subject)
    settings, preprocessing = subject.settings, subject.preprocessing
    model = build_model(settings.backbone, subject.classes or 2, start=settings.start, seed=subject.seed)
    weights = model.weights_sha256 or f"random {subject.seed}"
    return Sight(_Untrained(model, preprocessing), subject.spec, preprocessing, _recipe(subject, weights))


def sight_beside(subject: Subject, beside: str) -> Sight:
    """Another run, or what this one began with (`START`): what stands beside it.

    Raises:
        RunError: the other's backbone is another one, so that channels with one number have nothing in common.
        WeightsError: what it began with is not here.
    """
    if beside == START:
        return sight_before(subject)
    other = find_subject(beside)
    if other.spec.name != subject.spec.name:
        raise RunError(
            f"{other.spec.label} and {subject.spec.label} have channels of their own: only runs of one backbone can "
            "be looked at side by side."
        )
    return sight_of(other)


def _recipe(subject: Subject, weights: str) -> Recipe:
    settings = RunSettings(model=subject.settings, seed=subject.seed)
    recipe = feature_recipe(settings, None, subject.preprocessing, 0, "fp32", "torch")
    return {**recipe, "weights": weights, "peaks": 4}
