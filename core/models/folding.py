"""A convolution and the BatchNorm behind it computed as one convolution, wherever the statistics stand still.

With running statistics that do not move, BatchNorm is a scale and a shift per channel, and so can be part of the
convolution's weight and bias: the same function, the same gradients, one pass over the activations less. In a small
network those passes take a third of the time or more. Names, parameters and `state_dict` stay as they are.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

SAMPLE_SIDE = 64  # pixels of the picture that is sent through to see which BatchNorm follows which convolution

CEILING = 6.0  # of ReLU6, the activation that oneDNN does within a convolution here

_occasion: ContextVar[object | None] = ContextVar("occasion", default=None)


@contextmanager
def weights_stand_still(occasion: object | None = None) -> Iterator[None]:
    """Within this block no weights change, so that each convolution is folded once and not for every batch.

    Tensors do not tell when they have changed: fused optimisers leave a tensor's version as it was.

    Args:
        occasion: the same object again stands for the same weights; None: for this block only.
    """
    token = _occasion.set(occasion or object())
    try:
        yield
    finally:
        _occasion.reset(token)


def fold_batchnorm(network: nn.Module) -> int:
    """Let every convolution do the work of the BatchNorm behind it, as long as that one is in eval mode.

    In training mode, where statistics come from the batch, both run as they did. What a hook sees behind a convolution
    is then already normalised. Rounding differs: by 5e-6 of the largest feature at most over the catalogue (a test).

    Args:
        network: takes pictures (N, 3, H, W); changed in place, its mode is left as it was.

    Returns:
        How many pairs there are; 0 for a network without BatchNorm.
    """
    pairs = _find_pairs(network)
    for conv, norm in pairs:
        pair = _Pair(conv, norm)
        vars(conv)["forward"], vars(norm)["forward"] = pair.run_conv, pair.run_norm
    return len(pairs)


def _find_pairs(network: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Send one picture through and watch whose output is whose input."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return []
    sources: list[tuple[nn.Conv2d, Tensor]] = []  # outputs are held on to, so that none takes another one's place
    pairs = []

    def leave_conv(module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        sources.append((module, output))

    def enter_norm(module: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        if sources and sources[-1][1] is inputs[0]:
            pairs.append((sources[-1][0], module))

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


def _can_fuse(inputs: Tensor) -> bool:
    """Whether oneDNN can do convolution and activation in one pass, as torch's compiler lets it; not with gradients."""
    if torch.is_grad_enabled() or inputs.device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    half = torch.is_autocast_enabled("cpu") or inputs.dtype == torch.bfloat16
    return not half or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _Pair:
    """A convolution that does the work of the BatchNorm behind it whenever that one is in eval mode."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self._conv, self._norm = conv, norm
        # called in the convolution's place, with plain tensors for weight and bias: its own forward may do more than
        # convolve (timm pads there), and its parameters must stay where optimisers and audits find them
        self._stand_in = copy.copy(conv)
        self._stand_in.__dict__ = {**conv.__dict__, "_parameters": {}}
        self._kept: tuple[object, tuple[Tensor, Tensor]] | None = None
        self._activated = False  # whether the convolution has just done the activation, too

    def run_conv(self, inputs: Tensor) -> Tensor:
        forward: Any = type(self._conv).forward
        if self._norm.training:
            output: Tensor = forward(self._conv, inputs)
            return output
        occasion = None if torch.is_grad_enabled() else _occasion.get()
        weight, bias = self._folded() if occasion is None else self._folded_once(occasion)
        if self._pads_one_side(inputs):
            # a row and column of zeros in front of the kernel, instead of a padded copy of the input
            return self._convolve(inputs, nn.functional.pad(weight, (1, 0, 1, 0)), bias, weight.shape[-1] // 2)
        if type(self._conv) is nn.Conv2d and self._conv.padding_mode == "zeros":
            return self._convolve(inputs, weight, bias, self._conv.padding)
        self._stand_in.__dict__.update(weight=weight, bias=bias)
        output = forward(self._stand_in, inputs)
        self._stand_in.__dict__.update(weight=None, bias=None)  # a step's graph is not kept, and copying stays possible
        return output

    def _pads_one_side(self, inputs: Tensor) -> bool:
        """Whether TensorFlow's "same" padding adds one row and column more behind than before (timm's Conv2dSame)."""
        conv, even = self._conv, inputs.shape[-1] % 2 == inputs.shape[-2] % 2 == 0
        depthwise = conv.groups == conv.in_channels > 1  # for others the larger kernel costs more than it saves
        return type(conv).__name__ == "Conv2dSame" and conv.stride == (2, 2) and even and depthwise

    def _convolve(self, inputs: Tensor, weight: Tensor, bias: Tensor, padding: Any) -> Tensor:
        conv = self._conv
        limited = isinstance(getattr(self._norm, "act", None), nn.ReLU6)
        self._activated = limited and _can_fuse(inputs) and not isinstance(padding, str)
        if not self._activated:
            return nn.functional.conv2d(inputs, weight, bias, conv.stride, padding, conv.dilation, conv.groups)
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            inputs, weight, bias = inputs.to(dtype), weight.to(dtype), bias.to(dtype)
        sides = [padding, padding] if isinstance(padding, int) else padding
        output: Tensor = torch.ops.mkldnn._convolution_pointwise(
            inputs, weight, bias, sides, conv.stride, conv.dilation, conv.groups, "hardtanh", [0.0, CEILING], ""
        )
        return output

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

    def _folded_once(self, occasion: object) -> tuple[Tensor, Tensor]:
        """As `_folded`, computed once for each occasion."""
        if self._kept is None or self._kept[0] is not occasion:
            self._kept = (occasion, self._folded())
        return self._kept[1]
