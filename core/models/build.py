"""A backbone with a new head: built, filled with weights, made quick, counted, described."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.errors import RunError, WeightsError
from core.machine.devices import DeviceKind
from core.models.accel import accelerate
from core.models.catalogue import get_backbone, starts_with
from core.models.download import OnProgress
from core.models.freezing import apply_scenario
from core.models.network import (
    TransferModel,
    build_empty_model,
    build_empty_network,
    build_head,
    build_network,
    without_classifier,
)
from core.models.records import ParameterCount
from core.models.weights import load_weights
from core.settings.schema import ModelSettings, Weights


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


def build_model(
    name: str,
    num_classes: int,
    *,
    start: Weights,
    seed: int,
    on_progress: OnProgress | None = None,
    device: DeviceKind = "cpu",
) -> TransferModel:
    """A backbone with a new head, in channels_last format, in training mode; everything trains.

    Its numbers are the same on every device. Torch's global generator is left as it was.

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
    head = build_head(spec.features, num_classes, seed=seed)
    model = TransferModel(without_classifier(network, spec), head, spec, weights_sha256=sha256)
    model.to(memory_format=torch.channels_last)
    return accelerate(model if device == "cpu" else model.to(device))


def restore_model(
    name: str, state: dict[str, Tensor], *, num_classes: int, weights_sha256: str | None = None
) -> TransferModel:
    """The model that `state` (a `TransferModel.state_dict()`) was taken from, in eval mode.

    Raises:
        SettingsError: no backbone has this name.
        RunError: names or shapes in `state` are not those of this backbone with this number of classes.
    """
    model = build_empty_model(name, num_classes, weights_sha256=weights_sha256)
    try:
        _fill(model, state)
    except RuntimeError as error:
        raise RunError(f"The saved model does not fit {name} with {num_classes} classes: {_in_short(error)}") from error
    return accelerate(model.to(memory_format=torch.channels_last)).eval()


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
    model = build_empty_model(settings.backbone, num_classes)
    apply_scenario(model, settings)
    return count_parameters(model), layer_tree(model)
