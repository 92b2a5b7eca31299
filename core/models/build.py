"""A backbone with a new head: built, filled with weights, counted, described.

N pictures, F features of the backbone, K classes.
"""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.errors import RunError, WeightsError
from core.models.accel.folding import fold_batchnorm, quicken_depthwise
from core.models.catalogue import BackboneSpec, get_backbone, starts_with
from core.models.download import OnProgress
from core.models.network import build_empty_network, build_network
from core.models.records import ParameterCount
from core.models.weights import load_weights
from core.settings.schema import ModelSettings, Weights

IMAGENET_CLASSES = 1000


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


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerRow:
    """One stage of a model, or its head."""

    name: str
    """The stage's names within the backbone, or `head`."""
    kind: str
    """What it is made of: "2 x BasicBlock"."""
    parameters: int
    trained: bool
    stage: int | None
    """0 is next to the input; None for the head."""


def split_head(network: nn.Module) -> tuple[nn.Module, int]:
    """Replace the network's last Linear, its ImageNet classifier, by Identity, in place.

    Returns:
        The same network and the number of features F that it now gives.

    Raises:
        WeightsError: the last Linear has not 1000 outputs, or there is none.
    """
    name, last = next(
        ((name, module) for name, module in reversed(list(network.named_modules())) if isinstance(module, nn.Linear)),
        ("", None),
    )
    if last is None or last.out_features != IMAGENET_CLASSES:
        found = "no Linear layer" if last is None else f"{name} with {last.out_features} outputs as last Linear layer"
        raise WeightsError(f"{type(network).__name__} has {found}; its ImageNet classifier has {IMAGENET_CLASSES}.")
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return network, last.in_features


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


def build_model(
    name: str, num_classes: int, *, start: Weights, seed: int, on_progress: OnProgress | None = None
) -> TransferModel:
    """A backbone with a new head, on the CPU, in channels_last format, in training mode; everything trains.

    Torch's global generator is left as it was.

    Raises:
        SettingsError: no backbone has this name.
        WeightsError: start is `imagenet` and the weights are missing, damaged or do not fit.
    """
    spec = get_backbone(name)
    sha256 = None
    if start == "imagenet":
        weights = load_weights(name, on_progress)
        network, sha256 = build_empty_network(name), weights.sha256
        try:
            _fill(network, weights.state)
        except RuntimeError as error:
            raise WeightsError(
                f"The weights of {spec.label} ({weights.origin}) do not fit: {_in_short(error)}"
            ) from error
    else:
        network = _build_random(name, seed)
    backbone, features = split_head(network)
    model = TransferModel(backbone, build_head(features, num_classes, seed=seed), spec, weights_sha256=sha256)
    fold_batchnorm(backbone, name)
    quicken_depthwise(backbone)
    return model.to(memory_format=torch.channels_last)


def restore_model(
    name: str, state: dict[str, Tensor], *, num_classes: int, weights_sha256: str | None = None
) -> TransferModel:
    """The model that `state` (a `TransferModel.state_dict()`) was taken from, in eval mode.

    Raises:
        SettingsError: no backbone has this name.
        RunError: names or shapes in `state` are not those of this backbone with this number of classes.
    """
    backbone, features = split_head(build_empty_network(name))
    head = nn.Linear(features, num_classes, device="meta")
    model = TransferModel(backbone, head, get_backbone(name), weights_sha256=weights_sha256)
    try:
        _fill(model, state)
    except RuntimeError as error:
        raise RunError(f"The saved model does not fit {name} with {num_classes} classes: {_in_short(error)}") from error
    fold_batchnorm(backbone, name)
    quicken_depthwise(backbone)
    return model.to(memory_format=torch.channels_last).eval()


def _fill(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Put `state` into a network that has no numbers yet. The tensors are shared with `state`, not copied."""
    network.load_state_dict(state, strict=True, assign=True)
    empty = [name for name, tensor in [*network.named_parameters(), *network.named_buffers()] if tensor.is_meta]
    if empty:  # a buffer that is not saved with the weights would be lost here
        raise RuntimeError(f"no values for {', '.join(empty[:5])}")


def _in_short(error: RuntimeError) -> str:
    """Torch lists every tensor that does not fit, each on a line below the title; the first few say enough."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(lines[1:4] or lines)


def _build_random(name: str, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reseed the accelerators
        return build_network(name)


def count_parameters(model: nn.Module) -> ParameterCount:
    """All parameters and those that train, head included."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return ParameterCount(total=sum(n for n, _ in sizes), trained=sum(n for n, trained in sizes if trained))


def layer_tree(model: TransferModel) -> list[LayerRow]:
    """The stages from input to output and the head, each with its size and whether it trains."""
    rows = []
    for stage, prefixes in enumerate(model.spec.stages):
        named = [p for name, p in model.backbone.named_parameters() if starts_with(name, prefixes)]
        rows.append(_row(", ".join(prefixes), _kind(model.backbone, prefixes), named, stage))
    return [*rows, _row("head", "Linear", list(model.head.parameters()), None)]


def _row(name: str, kind: str, parameters: list[nn.Parameter], stage: int | None) -> LayerRow:
    return LayerRow(
        name=name,
        kind=kind,
        parameters=sum(p.numel() for p in parameters),
        trained=any(p.requires_grad for p in parameters),
        stage=stage,
    )


def _kind(backbone: nn.Module, prefixes: tuple[str, ...]) -> str:
    """What the modules below some names are, as a person would count them: "2 x BasicBlock"."""
    modules = dict(backbone.named_modules())
    kinds: Counter[str] = Counter()
    for prefix in prefixes:
        module = modules.get(prefix)
        parts = list(module.children()) if isinstance(module, nn.Sequential) else [module]
        kinds.update(type(part).__name__ if part is not None else "Parameter" for part in parts)
    return ", ".join(kind if n == 1 else f"{n} x {kind}" for kind, n in kinds.items())


def describe_model(settings: ModelSettings, num_classes: int) -> tuple[ParameterCount, list[LayerRow]]:
    """What a run with these settings would train, counted on a network without numbers: quick, whatever its size.

    Raises:
        SettingsError: no backbone has this name, or it has fewer stages than are to train.
    """
    from core.models.freezing import apply_scenario  # freezing needs the model's type

    backbone, features = split_head(build_empty_network(settings.backbone))
    head = nn.Linear(features, num_classes, device="meta")
    model = TransferModel(backbone, head, get_backbone(settings.backbone))
    apply_scenario(model, settings)
    return count_parameters(model), layer_tree(model)
