"""The bare network of a backbone, as its library builds it, with its ImageNet classifier and never with a download."""

import pickle
from functools import lru_cache

import torch
from torch import nn

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
    network: nn.Module = pickle.loads(_template(name))  # a few milliseconds: a tenth of building it anew
    return network


@lru_cache(maxsize=16)
def _template(name: str) -> bytes:
    with torch.device("meta"):
        return pickle.dumps(build_network(name))
