"""A convolution with weights of its own choosing, and a ReLU6 behind it where one follows: torch's results, sooner.

Forward, oneDNN does the activation in the same pass. Backward, it finds the gradient of a depthwise kernel's weights
ten times slower when the kernel is more than three columns wide (what it has for depthwise kernels stops at three, and
a general method takes over). So a wider kernel is taken three columns at a time; with the copies that this needs, twice
as fast remains (`benchmarks/depthwise.py`).

Legend: N pictures, C channels, H W a picture's pixels, K a kernel's side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import conv2d, hardtanh, pad

CEILING: Final = 6.0  # of ReLU6
COLUMNS: Final = 3  # of a depthwise kernel whose gradient oneDNN finds quickly


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """How a kernel moves over a picture."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    """Rows and columns of zeros on either side."""
    behind: int = 0
    """Rows and columns of zeros more, below and to the right only, as TensorFlow's "same" padding has them."""
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


def convolve(inputs: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, *, relu6: bool = False) -> Tensor:
    """`conv2d`, and `relu6` if asked for; gradients flow to all three tensors. Autocast is followed.

    Args:
        inputs: (N, C, H, W), float32 or bfloat16.
        weight: (C', C / groups, K, K).
        bias: (C',).
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        inputs, weight, bias = inputs.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    depthwise = how.groups == inputs.shape[1] > 1
    if how.behind and not depthwise:  # for others the larger kernel of `_symmetric` costs more than it saves
        inputs = pad(inputs, (how.padding[1], how.padding[1] + how.behind, how.padding[0], how.padding[0] + how.behind))
        how = Geometry(stride=how.stride, dilation=how.dilation, groups=how.groups)
    if not _has_onednn(inputs):
        return _plain(inputs, weight, bias, how, relu6)
    if not torch.is_grad_enabled():
        return _forward(inputs, weight, bias, how, relu6)
    if relu6 or depthwise:
        result: Tensor = _Convolution.apply(inputs, weight, bias, how, relu6)
        return result
    return _plain(inputs, weight, bias, how, relu6)


def _has_onednn(inputs: Tensor) -> bool:
    if inputs.device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    return inputs.dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _plain(inputs: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, relu6: bool) -> Tensor:
    kernel, padding = _symmetric(weight, how)
    output = conv2d(inputs, kernel, bias, how.stride, padding, how.dilation, how.groups)
    return hardtanh(output, 0.0, CEILING) if relu6 else output


def _forward(inputs: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, relu6: bool) -> Tensor:
    kernel, padding = _symmetric(weight, how)
    activation: tuple[Any, ...] = ("hardtanh", [0.0, CEILING], "") if relu6 else ("none", [], "")
    output: Tensor = torch.ops.mkldnn._convolution_pointwise(
        inputs, kernel, bias, padding, how.stride, how.dilation, how.groups, *activation
    )
    return output


def _symmetric(weight: Tensor, how: Geometry) -> tuple[Tensor, tuple[int, int]]:
    """The same convolution with equal padding on all sides: rows and columns of zeros in front of the kernel."""
    front = how.behind
    if not front:
        return weight, how.padding
    return pad(weight, (front, 0, front, 0)), (how.padding[0] + front, how.padding[1] + front)


class _Convolution(torch.autograd.Function):
    """oneDNN's convolution with its activation, and the gradients of both."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, relu6: bool) -> Tensor:
        output = _forward(inputs, weight, bias, how, relu6)
        ctx.save_for_backward(inputs, weight, output if relu6 else None)
        ctx.how = how
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, output = ctx.saved_tensors
        if output is not None:  # where the output is 0 or 6, so was the activation's slope
            grad = torch.ops.aten.hardtanh_backward(grad, output, 0.0, CEILING)
        how, wanted = ctx.how, ctx.needs_input_grad[:3]
        depthwise = how.groups == inputs.shape[1] > 1
        if not depthwise or (weight.shape[-1] <= COLUMNS and not how.behind):
            return (*_gradients(grad, inputs, weight, how, wanted), None, None)
        grad_inputs = None
        if wanted[0]:
            kernel, padding = _symmetric(weight, how)
            around = Geometry(stride=how.stride, padding=padding, dilation=how.dilation, groups=how.groups)
            grad_inputs, _, _ = _gradients(grad, inputs, kernel, around, (True, False, False))
        grad_weight = _grad_weight(grad, inputs, weight, how) if wanted[1] else None
        return grad_inputs, grad_weight, grad.sum((0, 2, 3)) if wanted[2] else None, None, None


def _gradients(
    grad: Tensor, inputs: Tensor, weight: Tensor, how: Geometry, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor | None, ...]:
    """Of inputs, weight and bias."""
    found: tuple[Tensor | None, ...] = torch.ops.aten.convolution_backward(
        grad,
        inputs,
        weight,
        [len(weight)],
        how.stride,
        how.padding,
        how.dilation,
        False,
        (0, 0),
        how.groups,
        wanted,
    )
    return found


def _grad_weight(grad: Tensor, inputs: Tensor, weight: Tensor, how: Geometry) -> Tensor:
    """Of a depthwise kernel, a few columns at a time: each time as of a narrow kernel over a part of the inputs."""
    rows_too = bool(how.behind)  # else padding above and below is the same, and oneDNN adds it
    narrow = Geometry(
        stride=how.stride,
        padding=(0 if rows_too else how.padding[0], 0),
        dilation=how.dilation,
        groups=how.groups,
    )
    parts = []
    for first in range(0, weight.shape[-1], COLUMNS):
        columns = weight[..., first : first + COLUMNS].contiguous()
        seen = _seen_by(inputs, columns.shape[-2:], first, grad.shape[-2:], how, rows_too=rows_too)
        _, part, _ = _gradients(grad, seen, columns, narrow, (False, True, False))
        assert part is not None
        parts.append(part)
    return torch.cat(parts, dim=-1)


def _seen_by(
    inputs: Tensor, size: Sequence[int], first: int, outputs: Sequence[int], how: Geometry, *, rows_too: bool
) -> Tensor:
    """What some columns of a kernel, from `first` on, see of the inputs on their way, padding included.

    Args:
        size: rows and columns of that part of the kernel.
        outputs: rows and columns of the convolution's output.
        rows_too: with the padding above and below; else only with that on the left and right.
    """
    rows, columns = (
        step * (count - 1) + spread * (side - 1) + 1
        for step, count, spread, side in zip(how.stride, outputs, how.dilation, size, strict=True)
    )
    # row r and column c of what is seen are row r - top and column c - left of the inputs
    top, left = how.padding[0], how.padding[1] - first * how.dilation[1]
    count, channels, height, width = inputs.shape
    if not rows_too:
        rows, top = height, 0
    seen = inputs.new_empty(count, rows, columns, channels).permute(0, 3, 1, 2)
    up, fore = max(0, top), max(0, left)
    down, aft = max(up, min(rows, height + top)), max(fore, min(columns, width + left))
    seen[:, :, up:down, fore:aft] = inputs[:, :, up - top : down - top, fore - left : aft - left]
    for margin in (seen[:, :, :up], seen[:, :, down:], seen[..., :fore], seen[..., aft:]):
        if margin.numel():
            margin.zero_()  # not the whole: it is large, and written to anyway
    return seen
