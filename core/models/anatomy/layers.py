"""Layer by layer: names, shapes, parameters, arithmetic, memory, and what trains. No weights are needed.

Everything is counted on a network without numbers (torch's meta device), one picture going through it, so that it
takes a moment whatever the network's size.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from core.models.anatomy.places import stage_shapes
from core.models.build import count_parameters
from core.models.catalogue import BackboneSpec, get_backbone
from core.models.freezing import apply_scenario, parameter_groups
from core.models.network import TransferModel, build_empty_model, build_empty_network
from core.models.records import ParameterCount
from core.models.splitting import DEPTH
from core.models.weights import preprocessing_of
from core.settings.schema import ModelSettings

State = Literal["trains", "partly trains", "stays frozen", "no parameters"]

FLOAT_BYTES: Final = 4
FEWEST_CLASSES: Final = 2
_BOOKKEEPING: Final = {
    f"aten.{name}" for name in ("empty", "clone", "_unsafe_view", "new_zeros", "as_strided_", "fill_")
}
"""Operators that move or make numbers and compute nothing."""
_DECORATION: Final = re.compile("native_|_legit_no_training|_with_indices|safe_")
"""What torch adds to the names that people know: `_native_batch_norm_legit_no_training`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One module of a network, or a parameter that a module with parts has for itself."""

    name: str
    """By the names of attributes, as PyTorch prints it: `layer1.0.conv1`."""
    kind: str
    """Its class."""
    detail: str
    """What PyTorch prints between the brackets; empty for a module with parts."""
    output: tuple[int, ...] | None
    """Shape of what it gives for one picture; None where it is not called by itself."""
    parameters: int
    """Those of its parts included."""
    trained: int
    """Parameters that train."""
    gflop: float
    """Of one picture's forward pass, 2 per multiply-add, its parts included."""
    activation_bytes: int
    """What it, or its parts, give for one picture in float32; nothing for what works in place."""
    statistics: Literal["kept", "moving"] | None
    """Of a normalisation layer with running statistics."""
    is_leaf: bool

    @property
    def state(self) -> State:
        """Whether it trains under the chosen strategy."""
        if not self.parameters:
            return "no parameters"
        if not self.trained:
            return "stays frozen"
        return "trains" if self.trained == self.parameters else "partly trains"

    @property
    def depth(self) -> int:
        """0 for the parts of the network itself."""
        return self.name.count(".")


@dataclass(frozen=True, kw_only=True, slots=True)
class StageShape:
    """What a stage gives, and whether it trains."""

    names: tuple[str, ...]
    channels: int
    side: int
    """Of its square grid of places; 1 behind the last pooling."""
    trains: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Uncounted:
    """An operator that has no count of arithmetic."""

    operator: str
    calls: int
    numbers: int
    """That it gives, over all calls."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Anatomy:
    """A whole network."""

    spec: BackboneSpec
    kind: str
    """Its class: `ResNet`."""
    classes: int
    image_size: int
    layers: tuple[Layer, ...]
    """In the order in which PyTorch prints them, parts behind the whole."""
    stages: tuple[StageShape, ...]
    parameters: ParameterCount
    gflop: float
    activation_bytes: int
    backward_bytes: int
    """What autograd keeps of one picture for the backward pass under this strategy, weights left out; float32."""
    uncounted: tuple[Uncounted, ...]

    @property
    def classifier(self) -> str:
        """The name of the layer that the head takes the place of."""
        return self.spec.architecture.classifier

    @property
    def top_level(self) -> tuple[str, ...]:
        """The parts of the network itself."""
        return tuple(layer.name for layer in self.layers if not layer.depth)

    @property
    def uncounted_sentence(self) -> str:
        """What FLOP leave out, for a person."""
        if not self.uncounted:
            return "Every operator was counted."
        names = ", ".join(f"{one.operator} ({one.calls})" for one in self.uncounted)
        numbers = sum(one.numbers for one in self.uncounted)
        return (
            f"Not counted: {names}. They give {numbers / 1e6:,.1f} million numbers, against "
            f"{self.gflop * 1e3:,.0f} million operations counted."
        )


def anatomy(settings: ModelSettings, classes: int | None = None) -> Anatomy:
    """A backbone with all its layers, and what of it trains with these settings.

    Args:
        classes: outputs of the head that takes the place of the last layer; None: as many as that layer has, or two
            where the network comes without one.

    Raises:
        SettingsError: no backbone has this name, or it has fewer stages than are to train.
    """
    spec, side = get_backbone(settings.backbone), preprocessing_of(settings.backbone).image_size
    if classes is None:
        classes = published_classes(settings.backbone) or FEWEST_CLASSES
    model = build_empty_model(settings.backbone, classes)
    apply_scenario(model, settings)
    counted, backward_bytes = count_parameters(model), _kept_for_backward(model, side)
    moving = {
        name for name, module in model.backbone.named_modules() if isinstance(module, _BatchNorm) and module.training
    }
    stages = tuple(_stages(model, side))
    network = with_head(model)
    seen = _observe(network.eval(), side)
    layers = tuple(_layers(network, seen, moving))
    return Anatomy(
        spec=spec,
        kind=type(network).__name__,
        classes=classes,
        image_size=side,
        layers=layers,
        stages=stages,
        parameters=counted,
        gflop=seen.flop[""] / 1e9,
        activation_bytes=sum(layer.activation_bytes for layer in layers if not layer.depth),
        backward_bytes=backward_bytes,
        uncounted=tuple(seen.uncounted()),
    )


def published_classes(backbone: str) -> int:
    """Outputs of the last layer that its library gives to a network; 0 where it comes without one."""
    layer = build_empty_network(backbone).get_submodule(get_backbone(backbone).architecture.classifier)
    return layer.out_features if isinstance(layer, nn.Linear) else 0


def with_head(model: TransferModel) -> nn.Module:
    """The network as its library builds it, the model's head in the place of its last layer. Changes the backbone."""
    model.backbone.set_submodule(model.spec.architecture.classifier, model.head)
    return model.backbone


@dataclass
class _Seen:
    """What one picture's way through a network showed, by the name of the module; the network's is empty."""

    operators: "_Operators"
    outputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bytes: Counter[str] = field(default_factory=Counter)
    flop: Counter[str] = field(default_factory=Counter)
    norms: set[str] = field(default_factory=set)
    """Normalisation layers: timm's have an activation as a part, and compute themselves all the same."""

    def bytes_below(self, name: str) -> int:
        """Of what a module's parts give; of what it gives itself where none of them is called."""
        ours = [one for one in self.innermost if one == name or one.startswith(f"{name}.")]
        return sum(self.bytes[one] for one in ours)

    @cached_property
    def innermost(self) -> list[str]:
        """The modules that were called and compute something themselves."""
        whole = {name[:place] for name in self.outputs for place, sign in enumerate(name) if sign == "."}
        return [name for name in self.outputs if name and (name not in whole or name in self.norms)]

    def uncounted(self) -> Iterator[Uncounted]:
        for name, calls in self.operators.calls.most_common():
            yield Uncounted(operator=name, calls=calls, numbers=self.operators.numbers[name])


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that `FlopCounterMode` does not know: it takes their arithmetic for none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.numbers: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        name = str(func.overloadpacket)
        if func.overloadpacket not in flop_registry and not func.is_view and name not in _BOOKKEEPING:
            short = _DECORATION.sub("", name.removeprefix("aten.")).strip("_")
            self.calls[short] += 1
            self.numbers[short] += sum(one.numel() for one in _tensors(given)[:1])
        return given


def _observe(network: nn.Module, side: int) -> _Seen:
    """Send a picture through; what trains is the same before and after."""
    trained = [one for one in network.parameters() if one.requires_grad]
    network.requires_grad_(False)  # the counter follows gradients also where there are none (SigLIP's query)
    norms = {name for name, module in network.named_modules() if isinstance(module, _BatchNorm)}
    seen = _Seen(operators=_Operators(), norms=norms)

    def note(name: str, module: nn.Module, output: Any) -> None:
        for tensor in _tensors(output)[:1]:
            seen.outputs[name] = tuple(tensor.shape[1:])
            works_in_place = getattr(module, "inplace", False) or isinstance(module, (nn.Identity, nn.Dropout))
            seen.bytes[name] += 0 if works_in_place else FLOAT_BYTES * tensor.numel()

    hooks = [
        module.register_forward_hook(lambda module, _, output, name=name: note(name, module, output))
        for name, module in network.named_modules()
    ]
    counter = FlopCounterMode(display=False, depth=DEPTH)
    with torch.no_grad(), seen.operators, counter, torch.device("meta"):
        network(torch.empty(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    for parameter in trained:
        parameter.requires_grad_(True)
    prefix = type(network).__name__
    for name, operators in counter.get_flop_counts().items():
        if name == prefix or name.startswith(f"{prefix}."):
            seen.flop[name.removeprefix(prefix).removeprefix(".")] = sum(operators.values())
    return seen


def _tensors(given: Any) -> list[Tensor]:
    return [one for one in (given if isinstance(given, (tuple, list)) else [given]) if isinstance(one, Tensor)]


def _layers(network: nn.Module, seen: _Seen, moving: set[str]) -> Iterator[Layer]:
    """All modules but the network itself, each with its own parameters behind it where it has parts, too."""
    for name, module in network.named_modules():
        if name:
            yield _layer(name, module, seen, moving)
        if next(module.children(), None) is not None:
            for key, parameter in module.named_parameters(name, recurse=False):
                yield _parameter(key, parameter)


def _layer(name: str, module: nn.Module, seen: _Seen, moving: set[str]) -> Layer:
    sizes = [(one.numel(), one.requires_grad) for one in module.parameters()]
    is_leaf = next(module.children(), None) is None
    has_statistics = isinstance(module, _BatchNorm)
    return Layer(
        name=name,
        kind=type(module).__name__,
        detail=module.extra_repr() if is_leaf else "",
        output=seen.outputs.get(name),
        parameters=sum(size for size, _ in sizes),
        trained=sum(size for size, trained in sizes if trained),
        gflop=seen.flop[name] / 1e9,
        activation_bytes=seen.bytes_below(name),
        statistics=("moving" if name in moving else "kept") if has_statistics else None,
        is_leaf=is_leaf,
    )


def _parameter(name: str, parameter: nn.Parameter) -> Layer:
    """One that a module has beside its parts: `class_token`."""
    size = parameter.numel()
    return Layer(
        name=name,
        kind="Parameter",
        detail=" x ".join(map(str, parameter.shape)),
        output=None,
        parameters=size,
        trained=size if parameter.requires_grad else 0,
        gflop=0.0,
        activation_bytes=0,
        statistics=None,
        is_leaf=True,
    )


def _stages(model: TransferModel, side: int) -> Iterator[StageShape]:
    training = [bool(group) for group in parameter_groups(model)[1]]
    shapes = stage_shapes(model.spec.name, side)
    for names, (channels, places), trains in zip(model.spec.stages, shapes, training, strict=True):
        yield StageShape(names=names, channels=channels, side=places, trains=trains)


def _kept_for_backward(model: TransferModel, side: int) -> int:
    """Bytes that autograd keeps of a picture; two go through, since BatchNorm in training mode needs more than one."""
    weights = {one.untyped_storage()._cdata for one in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # held, so that no other takes its place in memory
        return tensor

    images = torch.empty(2, 3, side, side, device="meta")
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(images)
    return sum(storage.nbytes() for storage in kept.values()) // len(images)
