"""What each stage of a backbone gives, as a grid of places: the same for convolutions and for tokens.

Legend: N pictures, C channels, h and w places of a stage's grid.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from core.models.catalogue import BackboneSpec, get_backbone, starts_with
from core.models.network import build_empty_backbone
from core.models.splitting import steps_of

_TO_CHANNELS_FIRST = "permute"  # Swin's name for the step up to which its channels come last


def stage_maps(backbone: nn.Module, spec: BackboneSpec, images: Tensor) -> list[Tensor]:
    """For each stage, from input to output, its last activations that know of places: (N, C, h, w).

    A stage behind the last pooling knows of none: its h and w are 1.
    """
    steps = steps_of(backbone, spec)
    names = [name for name, _ in steps]
    starts = _starts(names, spec)
    found: dict[int, Tensor] = {}
    values = images
    for place, (_, step) in enumerate(steps):
        stage = sum(start <= place for start in starts) - 1
        values = step(values)
        grid = _as_grid(values, spec, last=_TO_CHANNELS_FIRST in names[place + 1 :])
        if stage not in found or grid.shape[-1] > 1:
            found[stage] = grid
    return [found[stage] for stage in sorted(found)]


def _starts(names: Sequence[str], spec: BackboneSpec) -> list[int]:
    """The step at which each stage begins; what comes before the second belongs to the first."""
    later = [next(place for place, name in enumerate(names) if starts_with(name, stage)) for stage in spec.stages[1:]]
    return [0, *later]


def _as_grid(values: Tensor, spec: BackboneSpec, *, last: bool) -> Tensor:
    """(N, C, h, w) of a grid, of tokens, or of a plain vector, whose grid is one place.

    Args:
        last: whether channels come last.
    """
    if values.ndim == 4:
        return values.permute(0, 3, 1, 2) if last else values
    if values.ndim == 2:
        return values[:, :, None, None]
    side = math.isqrt(values.shape[1])
    places = values[:, values.shape[1] - side**2 :]  # tokens of their own (class, registers) come first
    return places.transpose(1, 2).reshape(len(values), -1, side, side)


@lru_cache(maxsize=32)
def stage_shapes(name: str, side: int) -> tuple[tuple[int, int], ...]:
    """(C, h) of what each stage of a backbone gives of a square picture with this side."""
    backbone = build_empty_backbone(name).eval()
    with torch.no_grad():
        maps = stage_maps(backbone, get_backbone(name), torch.empty(1, 3, side, side, device="meta"))
    return tuple((grid.shape[1], grid.shape[-1]) for grid in maps)
