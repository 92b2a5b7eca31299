"""What a convolutional backbone does with pictures, written down as an ONNX graph without its numbers.

A network without numbers (on torch's meta device) is sent one batch, and every operation that torch is asked for is
noted: a tenth of a second, where torch's own exporter, which knows all of torch, takes 3 (ResNet-18) to 12
(EfficientNet-Lite0): two to three times as long as the first frozen run, which would have to wait for it. The small
convolutional networks of the catalogue, which gain by it, need no more than the operations below.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.models.network import build_empty_backbone

OPSET: Final = 18
IR_VERSION: Final = 10  # of the file format: what runtimes of the last two years read
IMAGES: Final = "images"


class Untranslatable(Exception):
    """The network does something that is not among the operations here."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Normalised images (N, 3, S, S), any N, to features (N, F)."""

    model: bytes
    """An ONNX model that leaves its numbers to whoever loads it."""
    numbers: tuple[str, ...]
    """Their names in the backbone's `state_dict`."""


@lru_cache(maxsize=16)
def graph_of(name: str, side: int) -> Graph:
    """The graph of a backbone in eval mode for pictures of S = `side` pixels.

    Raises:
        Untranslatable: it does something that is not translated here.
    """
    backbone = build_empty_backbone(name).eval()
    images = torch.empty(2, 3, side, side, device="meta")
    notes = _Notes(backbone, images)
    with torch.no_grad(), notes:
        features: Tensor = backbone(images)
    return notes.graph(name, images, features)


def can_translate(name: str) -> bool:
    """Whether there is a graph of this backbone."""
    try:
        graph_of(name, 224)
    except Untranslatable:
        return False
    return True


class _Notes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation that is called within the context, under the names of ONNX."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._state: dict[str, Tensor] = dict(network.state_dict(keep_vars=True))
        self._names = {id(tensor): name for name, tensor in self._state.items()} | {id(images): IMAGES}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._held: list[object] = []  # a tensor that is let go would leave its id to another one

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operation = func._schema.name.removeprefix("aten::")
        kind = operation.removesuffix("_")
        if kind in _KEEP_SHAPE:
            output = args[0] if operation != kind else torch.empty_like(args[0])
            result = (output, output, output) if kind == "native_batch_norm" else output
        else:
            result = func(*args, **(kwargs or {}))
            output = result[0] if isinstance(result, tuple) else result
        if kind == "empty":  # BatchNorm asks for it, and nothing of it goes on
            return result
        if kwargs or kind not in _OPERATIONS:
            raise Untranslatable(kind)
        self._held += [result, args]
        name = _OPERATIONS[kind](self, *args)
        self._names[id(output)] = name  # also where it was done in place: the same tensor has a new value
        return result

    def graph(self, title: str, images: Tensor, features: Tensor) -> Graph:
        """All that was noted, from images to features."""
        shapes = [(self._names[id(features)], ["n", features.shape[1]]), (IMAGES, ["n", *images.shape[1:]])]
        output, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
        asked = {name for node in self._nodes for name in node.input}
        numbers = [name for name in self._state if name in asked]
        initializers = [*map(self._outside, numbers), *self._constants]
        graph = helper.make_graph(self._nodes, title, [given], [output], initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return Graph(model=model.SerializeToString(), numbers=tuple(numbers))

    def _outside(self, name: str) -> TensorProto:
        """A tensor whose numbers come from elsewhere."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=self._state[name].shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="given when it is loaded")
        return tensor

    def name(self, tensor: Tensor) -> str:
        """What a tensor is called in the graph."""
        if id(tensor) not in self._names:
            raise Untranslatable("a tensor from elsewhere")
        return self._names[id(tensor)]

    def add(self, operator: str, inputs: Sequence[Tensor | str], **attributes: Any) -> str:
        """Note an operation of ONNX; the name of its output."""
        names = [tensor if isinstance(tensor, str) else self.name(tensor) for tensor in inputs]
        output = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, names, [output], **attributes))
        return output

    def constant(self, value: Any, dtype: Any) -> str:
        """A number, or several, that belong to the graph."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name


def _simple(operator: str, **attributes: Any) -> Callable[..., str]:
    return lambda notes, *inputs: notes.add(operator, inputs, **attributes)


def _pad(notes: _Notes, values: Tensor, sides: Sequence[int], fill: float = 0.0) -> str:
    left, right, top, bottom = sides
    around = notes.constant([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return notes.add("Pad", [values, around, notes.constant(fill, np.float32)])


def _convolution(notes: _Notes, values: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> str:
    stride, padding, dilation, transposed, _, groups = how
    if transposed:
        raise Untranslatable("transposed convolution")
    inputs = [values, weight] if bias is None else [values, weight, bias]
    return notes.add("Conv", inputs, strides=stride, pads=[*padding, *padding], dilations=dilation, group=groups)


def _batch_norm(notes: _Notes, *inputs_and_how: Any) -> str:
    *inputs, training, _, epsilon = inputs_and_how
    if training:
        raise Untranslatable("BatchNorm in training mode")
    return notes.add("BatchNormalization", inputs, epsilon=epsilon)


def _clip(notes: _Notes, values: Tensor, low: float, high: float) -> str:
    return notes.add("Clip", [values, notes.constant(low, np.float32), notes.constant(high, np.float32)])


def _mean(notes: _Notes, values: Tensor, axes: Sequence[int], keep: bool = False) -> str:
    return notes.add("ReduceMean", [values, notes.constant(axes, np.int64)], keepdims=int(keep))


def _view(notes: _Notes, values: Tensor, shape: Sequence[int]) -> str:
    if len(shape) != 2 or shape[0] != len(values):
        raise Untranslatable("a view that does not flatten each picture")
    return notes.add("Flatten", [values], axis=1)


def _max_pool(notes: _Notes, values: Tensor, size: Sequence[int], stride: Sequence[int], *how: Any) -> str:
    padding = how[0] if how else [0, 0]
    return notes.add("MaxPool", [values], kernel_shape=size, strides=stride, pads=[*padding, *padding])


# whose output is as large as the input: torch would work that out in Python, which took three quarters of the time
_KEEP_SHAPE: Final = frozenset({"hardsigmoid", "hardswish", "hardtanh", "native_batch_norm", "relu", "sigmoid", "silu"})

# VGG's adaptive pooling is left out on purpose: there, another copy of half a gigabyte of weights would buy 8 %
_OPERATIONS: Final[dict[str, Callable[..., str]]] = {
    "add": _simple("Add"),
    "addmm": lambda notes, bias, values, weight: notes.add("Gemm", [values, weight, bias]),
    "constant_pad_nd": _pad,
    "convolution": _convolution,
    "hardsigmoid": _simple("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hardswish": _simple("HardSwish"),
    "hardtanh": _clip,
    "max_pool2d_with_indices": _max_pool,
    "mean": _mean,
    "mul": _simple("Mul"),
    "native_batch_norm": _batch_norm,
    "relu": _simple("Relu"),
    "sigmoid": _simple("Sigmoid"),
    "silu": lambda notes, values: notes.add("Mul", [values, notes.add("Sigmoid", [values])]),
    "t": _simple("Transpose"),
    "view": _view,
}
