"""From a scenario to what trains, and the proof afterwards that what was frozen did not change by a bit.

`requires_grad = False` alone does not freeze: BatchNorm statistics move in every forward pass in training mode
(pytorch issue 86590). `TransferModel.train` therefore keeps frozen stages in eval mode.
"""

import hashlib
from collections.abc import Mapping

import torch
from torch import nn

from core.models.catalogue import count_frozen_stages, starts_with
from core.models.network import TransferModel
from core.models.records import FreezeAudit
from core.settings.schema import ModelSettings


def apply_scenario(model: TransferModel, settings: ModelSettings) -> None:
    """Set what trains and what stays in eval mode, and put the model in training mode.

    Can be called again with other settings, as Linear probe, then fine-tune does.

    Raises:
        SettingsError: more last stages are to train than the backbone has.
    """
    model.frozen_stages = count_frozen_stages(settings, model.spec)
    model.only_looks_frozen = settings.row.only_looks_frozen
    model.statistics_kept = settings.statistics == "kept"
    for name, parameter in model.backbone.named_parameters():
        frozen = starts_with(name, model.frozen_prefixes)
        parameter.requires_grad_(not frozen and name.endswith(settings.row.parameters))
    model.train()


def frozen_names(model: TransferModel) -> tuple[str, ...]:
    """What must stay as it is, by its names within the backbone: frozen stages, and parameters without gradients."""
    stages = model.frozen_prefixes
    without = (name for name, parameter in model.backbone.named_parameters() if not parameter.requires_grad)
    return (*stages, *(name for name in without if not starts_with(name, stages)))


def parameter_groups(model: TransferModel) -> tuple[list[nn.Parameter], list[list[nn.Parameter]]]:
    """The parameters that train: the head's, and the backbone's by stage from input to output.

    Nothing else belongs in an optimiser. A stage that is frozen has an empty list.
    """
    named = [(name, p) for name, p in model.backbone.named_parameters() if p.requires_grad]
    stages = [[p for name, p in named if starts_with(name, prefixes)] for prefixes in model.spec.stages]
    return [p for p in model.head.parameters() if p.requires_grad], stages


def state_hashes(module: nn.Module) -> dict[str, str]:
    """SHA-256 of every parameter and buffer by name, also of buffers that are not saved.

    Type, shape and values count; the memory format (channels_last or not) does not.
    """
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: _tensor_sha256(tensor) for name, tensor in tensors.items()}


def audit(
    before: Mapping[str, str], after: Mapping[str, str], frozen_prefixes: tuple[str, ...] | None = None
) -> FreezeAudit:
    """Compare two results of `state_hashes`, below `frozen_prefixes` only where they are given, else completely.

    For a model: `audit(before, state_hashes(model.backbone), frozen_names(model))`, both of `model.backbone`.
    """
    names = sorted(n for n in {*before, *after} if frozen_prefixes is None or starts_with(n, frozen_prefixes))
    return FreezeAudit(
        checked=len(names),
        changed=tuple(name for name in names if before.get(name) != after.get(name)),
        hash_before=_combined_sha256(before, names),
        hash_after=_combined_sha256(after, names),
    )


def _tensor_sha256(tensor: torch.Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _combined_sha256(hashes: Mapping[str, str], names: list[str]) -> str:
    lines = "".join(f"{name} {hashes[name]}\n" for name in names if name in hashes)
    return hashlib.sha256(lines.encode()).hexdigest()
