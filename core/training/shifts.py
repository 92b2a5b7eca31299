"""The test pictures as another camera, another day would have them: what a network learnt may not hold there.

Shifts of the inputs of a network, in the spirit of ImageNet-C (Hendrycks and Dietterich 2019), each one strong.

Legend: N pictures, S side.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms

from core.augment.pipelines import EvalPipeline, normalise
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset
from core.models.network import TransferModel
from core.models.splitting import BackHalf, FrontHalf, activation_bytes
from core.models.weights import preprocessing_of
from core.settings.schema import RunSettings
from core.training.features import WHOLE, FeatureStore, feature_recipe
from core.training.history import Cancelled, ShouldStop
from core.training.plan import BOUNDARY_BYTES

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


STRENGTHS: Final = (BLUR, NOISE, QUALITY, DARKER, HUE)
Halves = tuple[nn.Module | None, nn.Module, int | str]
"""What is frozen, where its answers are kept; what comes after it; and what features call the cut between them."""


class ShiftedPictures:
    """Some pictures of a data set as a network gets them, shifted."""

    def __init__(
        self, dataset: Dataset, indices: Sequence[int], preprocessing: Preprocessing, should_stop: ShouldStop
    ) -> None:
        self._dataset, self._indices, self._should_stop = dataset, indices, should_stop
        self._preprocessing = preprocessing

    @cached_property
    def _plain(self) -> Tensor:
        """(N, 3, S, S) uint8."""
        pipeline, pixels = EvalPipeline(self._preprocessing), self._dataset.pixels
        pictures = (torch.from_numpy(np.array(pixels[index])).permute(2, 0, 1) for index in self._indices)
        return torch.stack([pipeline(picture) for picture in pictures])

    def inputs(self, shift: str, places: Sequence[int]) -> Iterator[Tensor]:
        """Those at these places, ascending, in batches (n, 3, S, S); noise goes by the place, whoever else is asked.

        Raises:
            Cancelled: it is to stop.
        """
        for start in range(0, len(self._indices), BATCH):
            wanted = [place - start for place in places if start <= place < start + BATCH]
            if self._should_stop():
                raise Cancelled
            if wanted:
                batch, dice = self._plain[start : start + BATCH], torch.Generator().manual_seed(start)
                yield normalise(SHIFTS[shift](batch, dice)[wanted], self._preprocessing)


@torch.inference_mode()
def right_when_shifted(
    settings: RunSettings,
    model: TransferModel,
    dataset: Dataset,
    test: tuple[int, ...],
    should_stop: ShouldStop = lambda: False,
) -> dict[str, tuple[bool, ...]]:
    """Which shifted test pictures a trained model, which is switched to eval mode, names rightly, by shift.

    What its frozen stages say of them is kept: runs with other seeds ask the same of the same stages.

    Raises:
        Cancelled: `should_stop` said so.
    """
    chosen = test[:: -(-len(test) // MOST)]
    targets = torch.tensor([dataset.pictures[index].target for index in chosen])
    keys = [f"{dataset.pictures[index].group}-{place}" for place, index in enumerate(chosen)]
    preprocessing = preprocessing_of(settings.model.backbone)
    pictures = ShiftedPictures(dataset, chosen, preprocessing, should_stop)
    model.eval()
    front, back, cut = _halves(model, len(chosen), preprocessing.image_size)
    recipe = feature_recipe(settings, model.weights_sha256, preprocessing, cut, "fp32", "torch")
    right: dict[str, tuple[bool, ...]] = {}
    for name in SHIFTS:
        inputs = partial(pictures.inputs, name)
        if front is None:
            batches: Iterable[Tensor] = inputs(range(len(chosen)))
        else:
            store = FeatureStore({**recipe, "shift": [name, BATCH, *STRENGTHS]})
            batches = torch.split(store.get(keys, _through(front, inputs), torch.float32)[0], BATCH)
        said = torch.cat([back(batch).argmax(1) for batch in batches])
        right[name] = tuple((said == targets).tolist())
    return right


def _through(
    front: nn.Module, inputs: Callable[[Sequence[int]], Iterator[Tensor]]
) -> Callable[[list[int]], Iterator[Tensor]]:
    return lambda places: map(front, inputs(places))


def _halves(model: TransferModel, pictures: int, side: int) -> Halves:
    """A model cut where its frozen stages end; whole where nothing is frozen, or what it says there takes much room."""
    stages = 0 if model.only_looks_frozen else model.frozen_stages
    if stages == len(model.spec.stages):
        return model.backbone, model.head, WHOLE
    each = 2 * activation_bytes(model.spec.name, stages, side) if stages else 0
    if stages == 0 or each * pictures * len(SHIFTS) > BOUNDARY_BYTES:
        return None, model, 0
    return FrontHalf(model), BackHalf(model), stages
