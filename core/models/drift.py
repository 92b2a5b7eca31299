"""What training moved inside a network: layer by layer, relative to what was there before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.models.catalogue import starts_with
from core.models.network import TransferModel
from core.models.records import LayerChange

STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """What moved in a whole network."""

    layers: tuple[LayerChange, ...]
    """From input to output, the head last."""
    changed_bytes: int
    """Size of all parameters and buffers that are not what they were."""


def snapshot(model: TransferModel) -> dict[str, Tensor]:
    """Copies, on the processor, of what training may move. What is really frozen is not copied."""
    frozen = () if model.only_looks_frozen else tuple(f"backbone.{prefix}" for prefix in model.frozen_prefixes)
    moving = {name: tensor for name, tensor in _tensors(model).items() if not starts_with(name, frozen)}
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in moving.items()}


@torch.no_grad()
def measure_drift(model: TransferModel, before: Mapping[str, Tensor]) -> Drift:
    """Compare a model, on the processor, with its `snapshot`; what is not in there is unmoved, as the audit proves."""
    after = _tensors(model)
    layers = []
    for path, layer in model.named_modules():
        own = dict(layer.named_parameters(path, recurse=False)), dict(layer.named_buffers(path, recurse=False))
        weights, statistics = list(own[0]), [name for name in own[1] if name.endswith(STATISTICS)]
        if weights or statistics:
            layers.append(
                LayerChange(
                    name=path.removeprefix("backbone."),
                    stage=_stage_of(path, model),
                    weights=_relative(weights, before, after),
                    statistics=_relative(statistics, before, after),
                )
            )
    moved = [old for name, old in before.items() if not torch.equal(old, after[name])]
    return Drift(layers=tuple(layers), changed_bytes=sum(old.nbytes for old in moved))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _stage_of(path: str, model: TransferModel) -> int | None:
    name = path.removeprefix("backbone.")
    return next((number for number, stage in enumerate(model.spec.stages) if starts_with(name, stage)), None)


def _relative(names: Sequence[str], before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float | None:
    """Over all numbers of these tensors together; None without tensors."""
    if not names:
        return None
    pairs = [(before[name].double(), after[name].double()) for name in names if name in before]
    moved = sum(float((new - old).square().sum()) for old, new in pairs)
    size = sum(float(old.square().sum()) for old, _ in pairs)
    return (moved / size) ** 0.5 if size else float(moved > 0)
