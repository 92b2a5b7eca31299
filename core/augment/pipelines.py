"""From a decoded picture to what the network sees: one pipeline for evaluation, one for training.

Shapes: N batch, H W the picture's pixels, S the side of the square the network takes.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torchvision.transforms import v2

from core.augment.catalogue import evaluation_calls, training_calls
from core.augment.preprocessing import Preprocessing
from core.augment.specs import Call
from core.settings.schema import AugmentSettings

MAX_STRETCH: Final = 20
"""Longest side of a picture in short sides. What lies further out is cut off before scaling: a strip of 1 x 50,000
pixels would otherwise grow to 10 GB on its way to the centre crop."""

_DRAWING: Final = frozenset({torch.rand, torch.randint, torch.randperm, Tensor.uniform_})
"""Every function through which torchvision's transforms draw. A test fails if one is missing."""


class SeededDraws(TorchFunctionMode):
    """Inside this context, this thread's random draws come from a generator of their own.

    torchvision's transforms take no generator: they draw from the process-wide one. Seeding that and putting it back
    would do in one thread, but dropout in the training thread would then draw from, and rewind, the loader's numbers.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _DRAWING:
            return func(*args, **(kwargs or {}), generator=self._generator)
        return func(*args, **kwargs) if kwargs else func(*args)


def picture_seed(seed: int, epoch: int, key: str) -> int:
    """The seed of one picture's draws in one epoch: the same in every process, on every machine.

    Args:
        seed: the run's.
        epoch: counted from 1; where features are cached, the number of the view.
        key: what tells pictures apart, whatever their order: the content's hash.
    """
    digest = blake2b(f"{seed}:{epoch}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # a generator's seed is a signed 64-bit number


class EvalPipeline:
    """What every picture goes through that is not trained on: resize, centre crop. Nothing random."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._transforms = build_transforms(evaluation_calls(preprocessing))

    def __call__(self, image: Tensor) -> Tensor:
        """(..., 3, H, W) uint8 to (..., 3, S, S) uint8, on any device. Small pictures are enlarged."""
        image = _without_far_ends(image)
        for transform in self._transforms:
            image = transform(image)
        return image.contiguous()


class TrainPipeline:
    """What pictures go through in training; every random choice is a pure function of the seed.

    Raises:
        SettingsError: the settings name something the catalogue does not have.
    """

    def __init__(self, preprocessing: Preprocessing, settings: AugmentSettings) -> None:
        self.steps = [(name, build_transforms(calls)) for name, calls in training_calls(settings, preprocessing)]

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """(3, H, W) uint8 to (3, S, S) uint8, on any device; `seed` from `picture_seed`. Safe in any thread.

        The numbers are drawn on the processor, so they are the same whatever the picture lies on.
        """
        image = _without_far_ends(image)
        with SeededDraws(seed):
            for _, transforms in self.steps:
                for transform in transforms:
                    image = transform(image)
        return image.contiguous()


def normalise(batch: Tensor, preprocessing: Preprocessing, layout: torch.memory_format = torch.channels_last) -> Tensor:
    """(N, 3, S, S) uint8 to float32, as the weights expect it; channels last is what torch is fastest with."""
    scale, shift = _scale_and_shift(preprocessing, batch.device)
    floats = batch.to(torch.float32).mul_(scale[:, None, None]).add_(shift[:, None, None])
    return floats.contiguous(memory_format=layout)  # last: to convert and to lay out anew in one go takes twice as long


@lru_cache(maxsize=16)
def _scale_and_shift(preprocessing: Preprocessing, device: torch.device) -> tuple[Tensor, Tensor]:
    """Three numbers each, made once: a card is waited for when numbers go over."""
    scale = [1 / (255 * std) for std in preprocessing.std]
    shift = [-mean / std for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True)]
    return torch.tensor(scale, device=device), torch.tensor(shift, device=device)


def build_transforms(calls: Iterable[Call]) -> list[Any]:
    """torchvision's transforms, as called."""
    return [getattr(v2, call.name)(**{k: _built(v) for k, v in call.arguments.items()}) for call in calls]


def _built(value: Any) -> Any:
    nested = isinstance(value, tuple) and bool(value) and isinstance(value[0], Call)
    return build_transforms(value) if nested else value


def _without_far_ends(image: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    longest = MAX_STRETCH * min(height, width)
    if max(height, width) <= longest:
        return image
    cropped: Tensor = v2.functional.center_crop(image, [min(height, longest), min(width, longest)])
    return cropped
