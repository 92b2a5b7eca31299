"""The bare network of a backbone, as its library builds it, with its ImageNet classifier and never with a download."""

import copy
from functools import lru_cache

import torch
from torch import Tensor, nn

from core.models.catalogue import get_backbone

TIMM_NAMES = {"efficientnet_lite0": "tf_efficientnet_lite0"}


def build_network(name: str) -> nn.Module:
    """The network with random weights, drawn from torch's global generator; 1000 outputs.

    Raises:
        SettingsError: no backbone has this name.
    """
    spec = get_backbone(name)
    if spec.source == "package":
        import timm

        network: nn.Module = timm.create_model(TIMM_NAMES[name], pretrained=False)
        return network
    from torchvision import models

    network = models.get_model(name, weights=None)
    return network


def build_empty_network(name: str) -> nn.Module:
    """The network with names and shapes but no numbers (on torch's meta device): quick, whatever its size."""
    return copy.deepcopy(_template(name))  # takes half as long as building it


def empty_state(name: str) -> dict[str, Tensor]:
    """Names, shapes and types of the network's parameters and buffers; not to be changed."""
    state: dict[str, Tensor] = _template(name).state_dict()
    return state


@lru_cache(maxsize=16)
def _template(name: str) -> nn.Module:
    with torch.device("meta"):
        return build_network(name)
