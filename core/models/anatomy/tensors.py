"""Every parameter and buffer of a network by its key, and two sets of them held against each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn

from core.models.build import build_model
from core.models.catalogue import get_backbone
from core.models.drift import STATISTICS
from core.models.freezing import apply_scenario
from core.models.network import TransferModel, build_empty_model
from core.settings.schema import ModelSettings

State = Mapping[str, Tensor]
"""Tensors by key, as `state_dict` gives them."""
UpdatedBy = Literal["optimiser", "solver", "every batch", "nothing"]
Change = Literal["same", "changed", "other shape", "only before", "only after"]

_MANY: Final = 10**7
_HEAD: Final = "head."
_BACKBONE: Final = "backbone."


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRow:
    """One parameter or buffer."""

    key: str
    """As in the network's own `state_dict`."""
    kind: Literal["parameter", "buffer"]
    shape: tuple[int, ...]
    dtype: str
    mean: float | None
    """None where there are no numbers, and for a buffer that counts."""
    deviation: float | None
    requires_grad: bool
    in_optimizer: bool
    updated_by: UpdatedBy
    """What changes it in training with the chosen strategy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorChange:
    """One key in two states."""

    key: str
    change: Change
    relative: float | None
    """Norm of the difference over the norm before; None where the two cannot be held against each other."""
    largest: float | None
    """Largest difference of one number."""
    before: tuple[int, ...] | None
    """Its shape; None where it is not there."""
    after: tuple[int, ...] | None


def network_keys(state: State, backbone: str) -> dict[str, Tensor]:
    """The tensors of a `TransferModel` under the keys of the network itself: `head.weight` is `fc.weight` again."""
    head = f"{get_backbone(backbone).architecture.classifier}."
    return {_network_key(key, head): tensor for key, tensor in state.items()}


def _network_key(key: str, head: str) -> str:
    return head + key.removeprefix(_HEAD) if key.startswith(_HEAD) else key.removeprefix(_BACKBONE)


def start_state(settings: ModelSettings, classes: int, seed: int) -> dict[str, Tensor]:
    """What a run with these settings begins with, by the keys of the network itself; nothing is downloaded unasked.

    Raises:
        WeightsError: the pretrained weights cannot be had.
    """
    model = build_model(settings.backbone, classes, start=settings.start, seed=seed)
    return network_keys(model.state_dict(), settings.backbone)


@torch.no_grad()
def tensor_table(settings: ModelSettings, classes: int, state: State | None = None) -> list[TensorRow]:
    """All parameters and buffers from input to output, and what becomes of each with these settings.

    Args:
        state: where the numbers come from, by the keys of the network itself; None: only shapes are told.

    Raises:
        SettingsError: no backbone has this name, or it has fewer stages than are to train.
    """
    model = build_empty_model(settings.backbone, classes)
    apply_scenario(model, settings)
    head = f"{model.spec.architecture.classifier}."
    moving = _moving(model)
    rows = [
        _row(_network_key(name, head), tensor, settings, name in moving, state or {})
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]
    ]
    order = {key: place for place, key in enumerate(network_keys(model.state_dict(), settings.backbone))}
    return sorted(rows, key=lambda row: order.get(row.key, len(order)))


def _moving(model: TransferModel) -> set[str]:
    """The buffers that follow every batch."""
    return {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
        for name, _ in module.named_buffers(recurse=False)
    }


def _row(key: str, tensor: Tensor, settings: ModelSettings, moves: bool, state: State) -> TensorRow:
    is_parameter = isinstance(tensor, nn.Parameter)
    values = state.get(key)
    mean = deviation = None
    if values is not None and values.is_floating_point() and values.numel():
        deviation, mean = (float(one) for one in torch.std_mean(_wide(values), correction=0))
    trains = is_parameter and tensor.requires_grad
    steps = settings.row.takes_steps
    return TensorRow(
        key=key,
        kind="parameter" if is_parameter else "buffer",
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        mean=mean,
        deviation=deviation,
        requires_grad=trains,
        in_optimizer=trains and steps,
        updated_by=("optimiser" if steps else "solver") if trains else "every batch" if moves else "nothing",
    )


@torch.no_grad()
def compare_states(before: State, after: State) -> list[TensorChange]:
    """Key by key, the most changed first; what cannot be held against each other leads."""
    rows = [_change(key, before.get(key), after.get(key)) for key in dict.fromkeys([*before, *after])]
    return sorted(rows, key=lambda row: -row.relative if row.relative is not None else float("-inf"))


def _change(key: str, before: Tensor | None, after: Tensor | None) -> TensorChange:
    shapes = {
        "before": before if before is None else tuple(before.shape),
        "after": after if after is None else tuple(after.shape),
    }
    if before is None or after is None:
        missing: Change = "only after" if before is None else "only before"
        return TensorChange(key=key, change=missing, relative=None, largest=None, **shapes)
    if before.shape != after.shape:
        return TensorChange(key=key, change="other shape", relative=None, largest=None, **shapes)
    old, difference = _wide(before), _wide(after) - _wide(before)
    moved, size = float(difference.norm()), float(old.norm())
    return TensorChange(
        key=key,
        change="same" if torch.equal(before, after) else "changed",
        relative=moved / size if size else float(moved > 0),
        largest=float(difference.abs().max()) if old.numel() else 0.0,
        **shapes,
    )


def _wide(values: Tensor) -> Tensor:
    """Twice as exact, but for the few tensors that would take a gigabyte."""
    return values.double() if values.numel() < _MANY else values.float()


def changed_statistics(rows: list[TensorChange]) -> list[TensorChange]:
    """Running means and variances that are not what they were: they move without a gradient."""
    return [row for row in rows if row.change == "changed" and row.key.endswith(STATISTICS)]
