"""A convolution and the BatchNorm behind it computed as one convolution, wherever the statistics stand still.

With running statistics that do not move, BatchNorm is a scale and a shift per channel, and so can be part of the
convolution's weight and bias: the same function, the same gradients, one pass over the activations less. In a small
network those passes take a third of the time or more. Names, parameters and `state_dict` stay as they are.
"""

import copy
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from core.models.accel.convolution import COLUMNS, Geometry, convolve

SAMPLE_SIDE = 64  # pixels of the picture that is sent through to see which BatchNorm follows which convolution

_known_pairs: dict[str, list[tuple[str, str]]] = {}


def fold_batchnorm(network: nn.Module, kind: str | None = None) -> int:
    """Let every convolution do the work of the BatchNorm behind it, as long as that one is in eval mode.

    In training mode, where statistics come from the batch, both do what they did. What a hook sees behind a convolution
    is then already normalised. Rounding differs: by 5e-6 of the largest feature at most over the catalogue (a test).

    Args:
        network: takes pictures (N, 3, H, W); changed in place, its mode is left as it was.
        kind: networks of one kind have the same layers, and which belong together is looked for once.

    Returns:
        How many pairs there are; 0 for a network without BatchNorm.
    """
    pairs = (kind and _known_pairs.get(kind)) or _find_pairs(network)
    if kind:
        _known_pairs[kind] = pairs
    for conv_name, norm_name in pairs:
        conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        pair = _Pair(conv, norm)
        vars(conv)["forward"], vars(norm)["forward"] = pair.run_conv, pair.run_norm
    return len(pairs)


def quicken_depthwise(network: nn.Module) -> int:
    """Let depthwise convolutions that no BatchNorm follows find their gradients in the quicker way, too.

    Args:
        network: changed in place, after `fold_batchnorm`.

    Returns:
        How many there are.
    """
    alone = [
        module
        for module in network.modules()
        if type(module) is nn.Conv2d
        and module.groups == module.in_channels > 1
        and module.kernel_size[1] > COLUMNS
        and "forward" not in vars(module)
        and _plain_geometry(module) is not None
    ]
    for conv in alone:
        vars(conv)["forward"] = MethodType(_run_alone, conv)
    return len(alone)


def _run_alone(conv: nn.Conv2d, inputs: Tensor) -> Tensor:
    how = _plain_geometry(conv)
    assert how is not None
    return convolve(inputs, conv.weight, conv.bias, how)


def _plain_geometry(conv: nn.Conv2d) -> Geometry | None:
    """How a convolution moves over any inputs; None where it does more than that, or pads as the inputs want it."""
    if type(conv) is not nn.Conv2d or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return None
    return Geometry(
        stride=_two(conv.stride), padding=_two(conv.padding), dilation=_two(conv.dilation), groups=conv.groups
    )


def _find_pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Send one picture through and watch whose output is whose input: names of convolutions and BatchNorms."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return []
    sources: list[tuple[nn.Conv2d, Tensor]] = []  # outputs are held on to, so that none takes another one's place
    names = {module: name for name, module in network.named_modules()}
    pairs = []

    def leave_conv(module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        sources.append((module, output))

    def enter_norm(module: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        if sources and sources[-1][1] is inputs[0]:
            pairs.append((names[sources[-1][0]], names[module]))

    hooks = [m.register_forward_hook(leave_conv) for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(enter_norm) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    modes = {module: module.training for module in network.modules()}
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 3, SAMPLE_SIDE, SAMPLE_SIDE))
    for hook in hooks:
        hook.remove()
    for module, mode in modes.items():
        module.training = mode
    return pairs


class _Pair:
    """A convolution that does the work of the BatchNorm behind it whenever that one is in eval mode."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self._conv, self._norm = conv, norm
        # called in the convolution's place, with plain tensors for weight and bias: its own forward may do more than
        # convolve (timm pads there), and its parameters must stay where optimisers and audits find them
        self._stand_in = copy.copy(conv)
        self._stand_in.__dict__ = {**conv.__dict__, "_parameters": {}}
        self._activated = False  # whether the convolution has just done the activation, too

    def run_conv(self, inputs: Tensor) -> Tensor:
        self._activated = False
        conv, how = self._conv, self._geometry(inputs)
        forward: Any = type(conv).forward
        if self._norm.training:
            if how is not None and how.groups == inputs.shape[1] > 1:
                return convolve(inputs, conv.weight, conv.bias, how)
            output: Tensor = forward(conv, inputs)
            return output
        weight, bias = self._folded()
        if how is not None:
            self._activated = isinstance(getattr(self._norm, "act", None), nn.ReLU6)
            return convolve(inputs, weight, bias, how, relu6=self._activated)
        self._stand_in.__dict__.update(weight=weight, bias=bias)
        output = forward(self._stand_in, inputs)
        self._stand_in.__dict__.update(weight=None, bias=None)  # a step's graph is not kept, and copying stays possible
        return output

    def _geometry(self, inputs: Tensor) -> Geometry | None:
        """How the convolution moves over these inputs; None where it does more than that."""
        conv = self._conv
        if type(conv).__name__ != "Conv2dSame":  # timm's, with the padding of TensorFlow
            return _plain_geometry(conv)
        stride, dilation = _two(conv.stride), _two(conv.dilation)
        high, wide = map(_same_padding, inputs.shape[-2:], _two(conv.kernel_size), stride, dilation)
        if high % 2 != wide % 2:
            return None
        padding = (high // 2, wide // 2)
        return Geometry(stride=stride, dilation=dilation, groups=conv.groups, padding=padding, behind=high % 2)

    def run_norm(self, inputs: Tensor) -> Tensor:
        if self._norm.training:
            forward: Any = type(self._norm).forward
            output: Tensor = forward(self._norm, inputs)
            return output
        activation = getattr(self._norm, "act", None)  # timm's BatchNorm has its activation inside
        return inputs if activation is None or self._activated else activation(inputs)

    def _folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the two as one; gradients flow to the convolution and to BatchNorm's scale and shift."""
        conv, norm = self._conv, self._norm
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)  # (channels,)
        mean = norm.running_mean if conv.bias is None else norm.running_mean - conv.bias
        return conv.weight * scale[:, None, None, None], norm.bias - mean * scale


def _two(numbers: Any) -> tuple[int, int]:
    first, second = numbers
    return first, second


def _same_padding(side: int, kernel: int, stride: int, dilation: int) -> int:
    """Zeros on both sides together with which there are side / stride outputs, rounded up."""
    return max(0, (-(-side // stride) - 1) * stride + dilation * (kernel - 1) + 1 - side)
