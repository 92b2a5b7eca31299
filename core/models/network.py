"""The network of a backbone, as its library builds it and never with a download; and a backbone with a new head.

N pictures, F features of the backbone, K classes.
"""

import copy
import hashlib
import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.models.catalogue import BackboneSpec, get_backbone, starts_with


class TransferModel(nn.Module):
    """A backbone that ends in F features and a head that turns them into K logits.

    Freshly made, everything trains; `core.models.freezing.apply_scenario` changes that. What is frozen stays in eval
    mode through every `train()`, also when a parent module's is called.
    """

    def __init__(self, backbone: nn.Module, head: nn.Linear, spec: BackboneSpec, *, weights_sha256: str | None = None):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.spec = spec
        self.weights_sha256 = weights_sha256
        """Of the file the backbone started from; None for a random start."""
        self.frozen_stages = 0
        """So many stages, from the input, do not train."""
        self.only_looks_frozen = False
        """Frozen stages get no gradients and yet follow `train()`, so that their statistics move: on purpose only."""
        self.statistics_kept = False
        """Whether BatchNorm keeps its running statistics even where its stage trains."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, 3, H, W) float32, normalised."""
        logits: Tensor = self.head(self.backbone(images))
        return logits

    @property
    def frozen_prefixes(self) -> tuple[str, ...]:
        """Names within the backbone below which nothing trains."""
        return tuple(prefix for stage in self.spec.stages[: self.frozen_stages] for prefix in stage)

    def train(self, mode: bool = True) -> "TransferModel":
        """Switch to training, except for what is frozen: BatchNorm would go on moving its statistics there."""
        super().train(mode)
        if self.only_looks_frozen:
            return self
        if self.frozen_stages == len(self.spec.stages):
            self.backbone.eval()
        frozen = self.frozen_prefixes
        for name, module in self.backbone.named_modules():
            kept = self.statistics_kept and isinstance(module, _BatchNorm)
            if kept or starts_with(name, frozen):
                module.eval()
        return self


def build_network(name: str) -> nn.Module:
    """The network with random weights, drawn from torch's global generator; its ImageNet classifier has 1000 outputs.

    Where the backbone comes without a classifier, Identity stands in its place.

    Raises:
        SettingsError: no backbone has this name.
    """
    spec = get_backbone(name)
    if spec.timm_name:
        import timm

        network: nn.Module = timm.create_model(spec.timm_name, pretrained=False, **spec.timm_options)
        return network
    from torchvision import models

    network = models.get_model(name, weights=None)
    return network


def build_empty_network(name: str) -> nn.Module:
    """The network with names and shapes but no numbers (on torch's meta device): quick, whatever its size."""
    return copy.deepcopy(_template(name))  # takes half as long as building it


def build_empty_backbone(name: str) -> nn.Module:
    """The network without its classifier, and without numbers: pictures to F features."""
    return without_classifier(build_empty_network(name), get_backbone(name))


def build_empty_model(name: str, num_classes: int, *, weights_sha256: str | None = None) -> TransferModel:
    """A backbone with a head, and without numbers."""
    spec = get_backbone(name)
    head = nn.Linear(spec.features, num_classes, device="meta")
    return TransferModel(build_empty_backbone(name), head, spec, weights_sha256=weights_sha256)


def without_classifier(network: nn.Module, spec: BackboneSpec) -> nn.Module:
    """The same network, with Identity in the place of its ImageNet classifier: it gives F features."""
    network.set_submodule(spec.architecture.classifier, nn.Identity())
    return network


def build_head(features: int, num_classes: int, *, seed: int) -> nn.Linear:
    """A new head: weights uniform within 1/sqrt(F), the bound of `nn.Linear`, and a bias of zero.

    Its start depends on the three arguments only, not on the scenario, the weights or torch's global generator.
    """
    head = nn.Linear(features, num_classes, device="meta").to_empty(device="cpu")  # draws no random numbers
    digest = hashlib.sha256(f"head/{seed}/{features}/{num_classes}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
    bound = 1 / math.sqrt(features)
    with torch.no_grad():
        head.weight.uniform_(-bound, bound, generator=generator)
        head.bias.zero_()
    return head


def empty_state(name: str) -> dict[str, Tensor]:
    """Names, shapes and types of the network's parameters and buffers; not to be changed."""
    state: dict[str, Tensor] = _template(name).state_dict()
    return state


@lru_cache(maxsize=16)
def _template(name: str) -> nn.Module:
    with torch.device("meta"):
        return build_network(name)
