"""A backbone as a sequence of steps, so that it can be cut in two where its frozen stages end.

Legend: N pictures, F features of the backbone.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from core.models.build import TransferModel, split_head
from core.models.catalogue import get_backbone, starts_with
from core.models.network import build_empty_network

DEPTH = 8  # of modules within modules that are counted; the catalogue's deepest stage lies at 3

Step = tuple[str, Callable[[Tensor], Tensor]]
"""The name within the backbone, and what is done; nameless steps have no parameters."""


class FrontHalf(nn.Module):
    """The frozen stages of a model: images (N, 3, H, W), normalised, to activations (N, ...)."""

    def __init__(self, model: TransferModel) -> None:
        super().__init__()
        self._model = model

    def forward(self, images: Tensor) -> Tensor:
        return _run(steps_of(self._model.backbone)[: _cut(self._model)], images)


class BackHalf(nn.Module):
    """What trains in a model: activations as `FrontHalf` gives them to logits (N, K)."""

    def __init__(self, model: TransferModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, activations: Tensor) -> Tensor:
        logits: Tensor = self.model.head(_run(steps_of(self.model.backbone)[_cut(self.model) :], activations))
        return logits


def steps_of(backbone: Any) -> list[Step]:
    """The steps that a backbone's own `forward` takes, one after the other; tested to give the same features.

    Raises:
        TypeError: the backbone is of no family of the catalogue.
    """
    if hasattr(backbone, "conv_stem"):  # timm's EfficientNet
        return [
            *_named(backbone, "conv_stem", "bn1"),
            *_children(backbone, "blocks"),
            *_named(backbone, "conv_head", "bn2"),
            ("", backbone.forward_head),
        ]
    if hasattr(backbone, "layer4"):
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
        return [*_named(backbone, *names), ("", _flatten)]
    if hasattr(backbone, "encoder"):
        return [
            ("conv_proj", lambda images: _embed(backbone, images)),
            *((f"encoder.layers.{name}", layer) for name, layer in backbone.encoder.layers.named_children()),
            ("encoder.ln", backbone.encoder.ln),
            ("", lambda tokens: tokens[:, 0]),
        ]
    if not hasattr(backbone, "features"):
        raise TypeError(f"{type(backbone).__name__} is of no known family.")
    features = _children(backbone, "features")
    if hasattr(backbone, "permute"):  # Swin
        return [*features, *_named(backbone, "norm", "permute", "avgpool", "flatten")]
    flatten: list[Step] = [] if isinstance(backbone.classifier[1], nn.Flatten) else [("", _flatten)]
    return [*features, *_named(backbone, "avgpool"), *flatten, *_children(backbone, "classifier")]


def _named(backbone: nn.Module, *names: str) -> list[Step]:
    return [(name, backbone.get_submodule(name)) for name in names]


def _children(backbone: nn.Module, name: str) -> list[Step]:
    return [(f"{name}.{child}", module) for child, module in backbone.get_submodule(name).named_children()]


def _flatten(activations: Tensor) -> Tensor:
    return activations.flatten(1)


def _embed(backbone: Any, images: Tensor) -> Tensor:
    """Tokens (N, 1 + patches, F) with their places, as the encoder's layers want them."""
    patches = backbone._process_input(images)
    tokens = torch.cat([backbone.class_token.expand(len(images), -1, -1), patches], dim=1)
    placed: Tensor = backbone.encoder.dropout(tokens + backbone.encoder.pos_embedding)
    return placed


def _cut(model: TransferModel) -> int:
    """The step at which the first stage that trains begins."""
    first = model.spec.stages[model.frozen_stages]
    names = [name for name, _ in steps_of(model.backbone)]
    return next(place for place, name in enumerate(names) if name and starts_with(name, first))


def _run(steps: Sequence[Step], values: Tensor) -> Tensor:
    for _, step in steps:
        values = step(values)
    return values


@lru_cache(maxsize=32)
def stage_costs(name: str) -> tuple[float, ...]:
    """Share of the backbone's arithmetic that each stage does, from input to output; they add up to 1."""
    backbone, _ = split_head(build_empty_network(name))
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
    backbone, features = split_head(build_empty_network(name))
    model = TransferModel(backbone, nn.Linear(features, 2, device="meta"), get_backbone(name)).eval()
    model.frozen_stages = frozen_stages
    with torch.no_grad():
        activations: Tensor = FrontHalf(model)(torch.empty(1, 3, side, side, device="meta"))
    return 2 * activations.numel()
