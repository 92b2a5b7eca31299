"""A backbone as a sequence of steps, so that it can be cut in two where its frozen stages end.

Legend: N pictures, F features of the backbone.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from core.models.catalogue import CLASS_TOKEN, EMBED, FLATTEN, PATCHES, BackboneSpec, get_backbone, starts_with
from core.models.network import TransferModel, build_empty_backbone, build_empty_model

DEPTH = 8  # of modules within modules that are counted; the catalogue's deepest stage lies at 3

Step = tuple[str, Callable[[Tensor], Tensor]]
"""The name within the backbone, and what is done; steps that are no modules have no parameters."""


class FrontHalf(nn.Module):
    """The frozen stages of a model: images (N, 3, H, W), normalised, to activations (N, ...)."""

    def __init__(self, model: TransferModel) -> None:
        super().__init__()
        self._model = model

    def forward(self, images: Tensor) -> Tensor:
        return run_steps(steps_of(self._model.backbone, self._model.spec)[: _cut(self._model)], images)


class BackHalf(nn.Module):
    """What trains in a model: activations as `FrontHalf` gives them to logits (N, K)."""

    def __init__(self, model: TransferModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, activations: Tensor) -> Tensor:
        steps = steps_of(self.model.backbone, self.model.spec)[_cut(self.model) :]
        logits: Tensor = self.model.head(run_steps(steps, activations))
        return logits


def steps_of(backbone: nn.Module, spec: BackboneSpec) -> list[Step]:
    """The steps that a backbone's own `forward` takes, one after the other; tested to give the same features."""
    return [step for name in spec.architecture.steps for step in _named(backbone, name)]


def _named(backbone: nn.Module, name: str) -> list[Step]:
    """A step of an architecture, or the steps that its name stands for."""
    if name in _NAMELESS:
        return [(name, partial(_NAMELESS[name], backbone))]
    parent, all_children, _ = name.partition(".*")
    module = backbone.get_submodule(parent)
    if all_children:
        return [(f"{parent}.{child}", module) for child, module in module.named_children()]
    return [(name, module)]


def _flatten(backbone: nn.Module, activations: Tensor) -> Tensor:
    return activations.flatten(1)


def _embed(backbone: Any, images: Tensor) -> Tensor:
    """Tokens (N, 1 + patches, F) with their places, as the encoder's layers want them."""
    patches = backbone._process_input(images)
    tokens = torch.cat([backbone.class_token.expand(len(images), -1, -1), patches], dim=1)
    placed: Tensor = backbone.encoder.dropout(tokens + backbone.encoder.pos_embedding)
    return placed


def _patches(backbone: Any, images: Tensor) -> Tensor:
    """The same of timm's: a class token only where it has one."""
    placed: Tensor = backbone.norm_pre(backbone._pos_embed(backbone.patch_embed(images)))
    return placed


def _class_token(backbone: nn.Module, tokens: Tensor) -> Tensor:
    return tokens[:, 0]


_NAMELESS: Final[dict[str, Callable[[Any, Tensor], Tensor]]] = {
    FLATTEN: _flatten,
    EMBED: _embed,
    PATCHES: _patches,
    CLASS_TOKEN: _class_token,
}


def _cut(model: TransferModel) -> int:
    """The step at which the first stage that trains begins."""
    first = model.spec.stages[model.frozen_stages]
    names = [name for name, _ in steps_of(model.backbone, model.spec)]
    return next(place for place, name in enumerate(names) if starts_with(name, first))


def run_steps(steps: Sequence[Step], values: Tensor) -> Tensor:
    """One after the other."""
    for _, step in steps:
        values = step(values)
    return values


@lru_cache(maxsize=32)
def stage_costs(name: str) -> tuple[float, ...]:
    """Share of the backbone's arithmetic that each stage does, from input to output; they add up to 1."""
    backbone = build_empty_backbone(name).requires_grad_(False)
    counter = FlopCounterMode(display=False, depth=DEPTH)
    with counter, torch.no_grad(), torch.device("meta"):
        backbone.eval()(torch.empty(1, 3, 224, 224))
    counts = {key: sum(operations.values()) for key, operations in counter.get_flop_counts().items()}
    prefix = type(backbone).__name__ + "."
    found = [sum(counts.get(prefix + name, 0) for name in stage) for stage in get_backbone(name).stages]
    return tuple(count / sum(found) for count in found)


@lru_cache(maxsize=32)
def activation_bytes(name: str, frozen_stages: int, side: int) -> int:
    """Bytes in float16 of one picture's activations where the frozen stages end."""
    model = build_empty_model(name, 2).eval()
    model.frozen_stages = frozen_stages
    with torch.no_grad():
        activations: Tensor = FrontHalf(model)(torch.empty(1, 3, side, side, device="meta"))
    return 2 * activations.numel()
