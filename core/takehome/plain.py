"""A run's network as its library knows it: one network with K outputs, under the names its own weights have."""

import torch
from torch import Tensor, nn

from core.models.catalogue import get_backbone

_BACKBONE, _HEAD = "backbone.", "head."  # how TransferModel names its two parts


def library_of(backbone: str) -> tuple[str, str]:
    """The package a backbone comes from, and its name there."""
    timm_name = get_backbone(backbone).timm_name
    return ("timm", timm_name) if timm_name else ("torchvision", backbone)


def classifier_of(backbone: str) -> str:
    """The dotted name of the network's last Linear, whose place the head takes."""
    return get_backbone(backbone).architecture.classifier


def to_plain(state: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """A `TransferModel`'s state under the library's names."""
    classifier = classifier_of(backbone)
    return {
        f"{classifier}.{name.removeprefix(_HEAD)}" if name.startswith(_HEAD) else name.removeprefix(_BACKBONE): tensor
        for name, tensor in state.items()
    }


def from_plain(state: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """The other way round: a state under the library's names as a `TransferModel` has it."""
    classifier = f"{classifier_of(backbone)}."
    return {
        f"{_HEAD}{name.removeprefix(classifier)}" if name.startswith(classifier) else f"{_BACKBONE}{name}": tensor
        for name, tensor in state.items()
    }


def build_plain(backbone: str, num_classes: int, state: dict[str, Tensor]) -> nn.Module:
    """The library's own network with K outputs, filled with a state under the library's names; in eval mode."""
    network = _create(backbone, num_classes)
    network.load_state_dict(state)
    return network.eval()


def plain_shapes(backbone: str, num_classes: int) -> dict[str, Tensor]:
    """The state that `build_plain` takes, as tensors without numbers."""
    with torch.device("meta"):
        return _create(backbone, num_classes).state_dict()


def _create(backbone: str, num_classes: int) -> nn.Module:
    library, name = library_of(backbone)
    if library == "timm":
        import timm

        network: nn.Module = timm.create_model(name, num_classes=num_classes, **get_backbone(backbone).timm_options)
        return network
    from torchvision import models

    network = models.get_model(name, weights=None, num_classes=num_classes)
    return network
