"""What a backbone says at the end of each of its stages: one vector per picture and stage, the mean over places.

The last stage's is what a head gets. All of them come from one pass.

Legend: N pictures, W numbers of all stages together.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from core.models.catalogue import BackboneSpec, get_backbone, starts_with
from core.models.network import TransferModel, build_empty_backbone
from core.models.splitting import Step, run_steps, steps_of

EVERY_STAGE: Final = "every stage, pooled"
"""In the place of a number of stages, where features are kept."""


class Boundaries(nn.Module):
    """Images (N, 3, H, W), normalised, to what every stage says (N, W), from input to output."""

    def __init__(self, model: TransferModel) -> None:
        super().__init__()
        self._model = model

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat(_pooled_stages(self._model.backbone, self._model.spec, images), dim=1)


@lru_cache(maxsize=32)
def stage_widths(name: str) -> tuple[int, ...]:
    """How many of the W numbers belong to each stage."""
    backbone = build_empty_backbone(name).eval()
    with torch.no_grad():
        found = _pooled_stages(backbone, get_backbone(name), torch.empty(1, 3, 224, 224, device="meta"))
    return tuple(pooled.shape[1] for pooled in found)


def _pooled_stages(backbone: nn.Module, spec: BackboneSpec, images: Tensor) -> list[Tensor]:
    found, values, placed = list[Tensor](), images, images
    stages = _by_stage(backbone, spec)
    for steps in stages[:-1]:
        for step in steps:
            values = run_steps([step], values)
            placed = values if values.dim() > 2 else placed  # VGG flattens before its fully connected layers
        found.append(_pooled(placed, spec).float())
    return [*found, run_steps(stages[-1], values).float()]


def _by_stage(backbone: nn.Module, spec: BackboneSpec) -> list[list[Step]]:
    """A backbone's steps, stage by stage; what has no parameters belongs to the stage before it."""
    steps = steps_of(backbone, spec)
    starts = [
        next(place for place, step in enumerate(steps) if starts_with(step[0], stage)) for stage in spec.stages[1:]
    ]
    return [steps[start:end] for start, end in pairwise([0, *starts, len(steps)])]


def _pooled(values: Tensor, spec: BackboneSpec) -> Tensor:
    """The mean over places: of a grid (N, C, H, W), which Swin has as (N, H, W, C), or of tokens (N, places, C)."""
    if values.dim() == 3:
        return values.mean(1)
    return values.mean((1, 2) if "permute" in spec.architecture.steps else (2, 3))
