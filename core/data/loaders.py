"""Data loaders over decoded pixels. Order and augmentation depend on (seed, epoch, picture), never on global state.

Legend: N batch, H W a picture's own size, S the network's input size.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from core.data.dataset import Dataset, Split
from core.data.pictures import Picture

Batch = tuple[Tensor, Tensor, Tensor]
"""Images (N, 3, S, S) uint8, targets (N,) int64, picture indices (N,) int64."""
EVAL_BATCH = 8  # forward passes are fastest where activations fit the cache; benchmarks/process.py shows it


class Pictures(TorchDataset[tuple[Tensor, int, int]]):
    """Some pictures of a data set, each sent through a pipeline when asked for."""

    def __init__(self, dataset: Dataset, indices: Sequence[int], prepare: Callable[[Tensor, Picture], Tensor]) -> None:
        """`prepare`: (pixels (3, H, W) uint8, the picture) to network input (3, S, S) uint8."""
        self._dataset, self._indices, self._prepare = dataset, indices, prepare

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int, int]:
        index = self._indices[position]
        picture = self._dataset.pictures[index]
        image = torch.from_numpy(np.array(self._dataset.pixels[index])).permute(2, 0, 1)
        return self._prepare(image, picture), picture.target, index


class EpochBatches(Sampler[list[int]]):
    """Positions in the order of one epoch, in batches; a last batch of one joins its neighbour.

    BatchNorm cannot adapt to a single picture, and dropping it would leave one picture out of every epoch.
    """

    def __init__(self, count: int, batch_size: int, seed: int, epoch: int) -> None:
        self._count, self._batch_size = count, batch_size
        self._seed = _order_seed(seed, epoch)

    def __len__(self) -> int:
        full, rest = divmod(self._count, self._batch_size)
        return max(1, full + (rest > 1))

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

    def batches_per_epoch(self) -> int:
        return len(EpochBatches(len(self.split.train), self.batch_size, self.seed, 0))

    def train(self, epoch: int) -> Iterable[Batch]:
        """Batches of one epoch, in its order, with its augmentation."""
        order = EpochBatches(len(self.split.train), self.batch_size, self.seed, epoch)

        def prepare(image: Tensor, picture: Picture) -> Tensor:
            return self.train_pipeline(image, self.picture_seed(self.seed, epoch, picture.content))

        # an own generator: a loader without one draws from the global state each epoch
        pictures = Pictures(self.dataset, self.split.train, prepare)
        return DataLoader(pictures, batch_sampler=order, generator=torch.Generator())

    def view(self, number: int, indices: Sequence[int]) -> Iterable[Batch]:
        """These pictures in this order: view 0 as at evaluation, view n augmented.

        A view depends on the picture's pixels and n, not on the run's seed: features of it serve every run.
        """

        def prepare(image: Tensor, picture: Picture) -> Tensor:
            if number == 0:
                return self.eval_pipeline(image)
            return self.view_pipeline(image, self.picture_seed(0, number, picture.group))

        pictures = Pictures(self.dataset, indices, prepare)
        return DataLoader(pictures, batch_size=EVAL_BATCH, generator=torch.Generator())

    def evaluation(self, part: str) -> Iterable[Batch]:
        """Pictures of `val` or `test` in a fixed order, without augmentation."""
        return self.view(0, self.split.part(part))
