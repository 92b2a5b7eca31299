"""Data loaders over decoded pixels. Order and augmentation depend on (seed, epoch, picture), never on global state.

Legend: N batch, H W a picture's own size, S the network's input size.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from core.data.dataset import Dataset, Split
from core.data.parts import steps_per_epoch
from core.data.pictures import Picture
from core.machine.devices import to_device

Batch = tuple[Tensor, Tensor, Tensor]
"""Images (N, 3, S, S) uint8, targets (N,) int64, picture indices (N,) int64."""
CPU = torch.device("cpu")
EVAL_BATCH = 8  # forward passes are fastest where activations fit the cache; benchmarks/process.py shows it


Prepare = Callable[[Iterable[Tensor], Sequence[Picture]], Iterable[Tensor]]
"""Pixels (3, H, W) uint8 and their pictures to network inputs (3, S, S) uint8, in the same order."""


class DevicePixels:
    """The decoded pictures of a data set on a device: each goes over once, as far as there is room for it there."""

    def __init__(self, dataset: Dataset, device: torch.device, room: int) -> None:
        """`room`: bytes of pictures that stay; the others come anew each time, as on the processor all do."""
        self._dataset, self._device, self._room = dataset, device, room
        self._kept: dict[int, Tensor] = {}

    def __getitem__(self, index: int) -> Tensor:
        """(3, H, W) uint8."""
        if index in self._kept:
            return self._kept[index]
        image = torch.from_numpy(np.array(self._dataset.pixels[index])).permute(2, 0, 1)
        if self._device.type != "cpu":
            image = to_device(image, self._device).contiguous()
        if image.nbytes <= self._room:
            self._room -= image.nbytes
            self._kept[index] = image
        return image


class Pictures(TorchDataset[tuple[Tensor, int, int]]):
    """Some pictures of a data set, sent through a pipeline when asked for."""

    def __init__(self, dataset: Dataset, pixels: DevicePixels, indices: Sequence[int], prepare: Prepare) -> None:
        self._dataset, self._pixels, self._indices, self._prepare = dataset, pixels, indices, prepare

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int, int]:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[tuple[Tensor, int, int]]:
        """A batch of them, as a DataLoader asks for it."""
        indices = [self._indices[position] for position in positions]
        pictures = [self._dataset.pictures[index] for index in indices]
        prepared = self._prepare((self._pixels[index] for index in indices), pictures)
        return [(image, one.target, index) for image, one, index in zip(prepared, pictures, indices, strict=True)]


def in_groups(images: Iterable[Tensor], pipeline: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Each image (3, H, W) as the pipeline leaves it; those of one size go through together, as (n, 3, H, W)."""
    images = list(images)
    places: dict[torch.Size, list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault(image.shape, []).append(place)
    for group in places.values():
        done = pipeline(torch.stack([images[place] for place in group]))
        for place, image in zip(group, done, strict=True):
            images[place] = image
    return images


class EpochBatches(Sampler[list[int]]):
    """Positions in the order of one epoch, in batches; a last batch of one joins its neighbour.

    BatchNorm cannot adapt to a single picture, and dropping it would leave one picture out of every epoch.
    """

    def __init__(self, count: int, batch_size: int, seed: int, epoch: int) -> None:
        self._count, self._batch_size = count, batch_size
        self._seed = _order_seed(seed, epoch)

    def __len__(self) -> int:
        return steps_per_epoch(self._count, self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self._count, generator=torch.Generator().manual_seed(self._seed)).tolist()
        for number in range(len(self)):
            last = number == len(self) - 1
            yield order[number * self._batch_size : None if last else (number + 1) * self._batch_size]


def _order_seed(seed: int, epoch: int) -> int:
    digest = hashlib.blake2b(f"order:{seed}:{epoch}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True, kw_only=True)
class Loaders:
    """Everything needed to go through one split, any number of times, in any thread: it holds no state of a pass."""

    dataset: Dataset
    split: Split
    train_pipeline: Callable[[Tensor, int], Tensor]
    """(picture, seed) to input."""
    view_pipeline: Callable[[Tensor, int], Tensor]
    """The same for cached views, which are always as large as what is tested on."""
    eval_pipeline: Callable[[Tensor], Tensor]
    picture_seed: Callable[[int, int, str], int]
    """(seed, epoch, content key) to the seed of one augmented picture."""
    batch_size: int
    seed: int
    device: torch.device = CPU
    """Where pictures are prepared, and batches are."""
    room: int = 0
    """Bytes of decoded pictures that may stay there."""
    pass_size: int = EVAL_BATCH
    """Pictures of a batch that nothing is trained with."""
    together: bool = False
    """Whether pictures of one size go through a pipeline that draws nothing at once: a card has more to do then."""

    @cached_property
    def _pixels(self) -> DevicePixels:
        return DevicePixels(self.dataset, self.device, self.room)

    def batches_per_epoch(self) -> int:
        return len(EpochBatches(len(self.split.train), self.batch_size, self.seed, 0))

    def train(self, epoch: int) -> Iterable[Batch]:
        """Batches of one epoch, in its order, with its augmentation."""
        order = EpochBatches(len(self.split.train), self.batch_size, self.seed, epoch)

        def prepare(images: Iterable[Tensor], pictures: Sequence[Picture]) -> Iterable[Tensor]:
            seeds = (self.picture_seed(self.seed, epoch, picture.content) for picture in pictures)
            return map(self.train_pipeline, images, seeds)

        # an own generator: a loader without one draws from the global state each epoch
        pictures = Pictures(self.dataset, self._pixels, self.split.train, prepare)
        return DataLoader(pictures, batch_sampler=order, generator=torch.Generator())

    def view(self, number: int, indices: Sequence[int]) -> Iterable[Batch]:
        """These pictures in this order: view 0 as at evaluation, view n augmented.

        A view depends on the picture's pixels and n, not on the run's seed: features of it serve every run.
        """

        def prepare(images: Iterable[Tensor], pictures: Sequence[Picture]) -> Iterable[Tensor]:
            if number == 0:
                return in_groups(images, self.eval_pipeline) if self.together else map(self.eval_pipeline, images)
            return map(self.view_pipeline, images, (self.picture_seed(0, number, one.group) for one in pictures))

        pictures = Pictures(self.dataset, self._pixels, indices, prepare)
        return DataLoader(pictures, batch_size=self.pass_size, generator=torch.Generator())

    def evaluation(self, part: str) -> Iterable[Batch]:
        """Pictures of `val` or `test` in a fixed order, without augmentation."""
        return self.view(0, self.split.part(part))
