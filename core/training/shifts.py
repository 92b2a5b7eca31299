"""The test pictures as another camera, another day would have them: what a network learnt may not hold there.

Shifts of the inputs of a network, in the spirit of ImageNet-C (Hendrycks and Dietterich 2019), each one strong.

Legend: N pictures, S side.
"""

import io
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from core.augment.pipelines import EvalPipeline, normalise
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset
from core.models.network import TransferModel
from core.training.history import Cancelled, ShouldStop

MOST: Final = 100
"""Test pictures that are shifted; of more, a regular sample."""
BATCH: Final = 10
BLUR: Final = 0.015  # deviation, as a share of the side
NOISE: Final = 35.0  # deviation, in levels of 255
QUALITY: Final = 8  # of JPEG, of 100
DARKER: Final = 0.35
HUE: Final = 0.35  # of a whole turn


def _blurred(images: Tensor, _: torch.Generator) -> Tensor:
    sigma = BLUR * images.shape[-1]
    blurred: Tensor = transforms.gaussian_blur(images, kernel_size=[2 * round(3 * sigma) + 1] * 2, sigma=[sigma] * 2)
    return blurred


def _noisy(images: Tensor, dice: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=dice) * NOISE
    return (images.float() + noise).round_().clamp_(0, 255).to(torch.uint8)


def _compressed(images: Tensor, _: torch.Generator) -> Tensor:
    return torch.stack([_through_jpeg(image) for image in images])


def _through_jpeg(image: Tensor) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=QUALITY)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


def _darker(images: Tensor, _: torch.Generator) -> Tensor:
    darker: Tensor = transforms.adjust_brightness(images, DARKER)
    return darker


def _recoloured(images: Tensor, _: torch.Generator) -> Tensor:
    turned: Tensor = transforms.adjust_hue(images, HUE)
    return turned


SHIFTS: Final[dict[str, Callable[[Tensor, torch.Generator], Tensor]]] = {
    "blur": _blurred,
    "noise": _noisy,
    "JPEG": _compressed,
    "darker": _darker,
    "other colours": _recoloured,
}
"""By what they are called: (N, 3, S, S) uint8 to the same."""


@torch.inference_mode()
def right_when_shifted(
    model: TransferModel,
    dataset: Dataset,
    test: tuple[int, ...],
    preprocessing: Preprocessing,
    should_stop: ShouldStop = lambda: False,
) -> dict[str, tuple[bool, ...]]:
    """Which shifted test pictures a trained model, which is switched to eval mode, names rightly, by shift.

    Raises:
        Cancelled: `should_stop` said so.
    """
    chosen = test[:: -(-len(test) // MOST)]
    pipeline, targets = EvalPipeline(preprocessing), [dataset.pictures[index].target for index in chosen]
    model.eval()
    right: dict[str, list[bool]] = {name: [] for name in SHIFTS}
    for start in range(0, len(chosen), BATCH):
        pixels = [
            torch.from_numpy(np.array(dataset.pixels[index])).permute(2, 0, 1)
            for index in chosen[start : start + BATCH]
        ]
        plain = torch.stack([pipeline(image) for image in pixels])
        for name, shift in SHIFTS.items():
            if should_stop():
                raise Cancelled
            said = model(normalise(shift(plain, torch.Generator().manual_seed(start)), preprocessing)).argmax(1)
            right[name] += [a == b for a, b in zip(said.tolist(), targets[start:], strict=False)]
    return {name: tuple(row) for name, row in right.items()}
