"""Convolutions with an activation behind them: what torch computes, and its gradients."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from core.models.accel import convolution
from core.models.accel.convolution import COLUMNS, Geometry, convolve

KINDS = {
    "dense": (5, 7, 1),
    "in groups": (6, 4, 2),
    "depthwise": (6, 6, 6),
    "depthwise, twice as many": (4, 8, 4),
}
"""Channels in, out, groups."""


def reference(inputs: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry, relu6: bool) -> Tensor:
    """The same in torch's own words: every zero is really there."""
    (above, beside), more = how.padding, how.behind
    around = nn.functional.pad(inputs, (beside, beside + more, above, above + more))
    output = nn.functional.conv2d(around, weight, bias, how.stride, 0, how.dilation, how.groups)
    return nn.functional.relu6(output) if relu6 else output


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_same(
    kind: str, side: int, kernel: tuple[int, int], how: Geometry, *, relu6: bool, bias: bool = True
) -> None:
    """Values and all gradients, of pictures that are not square."""
    channels, outputs, groups = KINDS[kind]
    how = Geometry(stride=how.stride, padding=how.padding, behind=how.behind, dilation=how.dilation, groups=groups)
    tensors = [drawn(2, channels, side, side + 3), 3 * drawn(outputs, channels // groups, *kernel, seed=1)]
    tensors += [drawn(outputs, seed=2)] if bias else []
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in tensors] for _ in range(2))

    found = convolve(*ours, *([] if bias else [None]), how, relu6=relu6)
    expected = reference(*theirs, *([] if bias else [None]), how, relu6)
    weights = drawn(*expected.shape, seed=3)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()

    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        alone = convolve(*tensors, *([] if bias else [None]), how, relu6=relu6)
        torch.testing.assert_close(alone, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("relu6", [False, True], ids=["plain", "relu6"])
@pytest.mark.parametrize(
    ("kernel", "how"),
    [
        ((1, 1), Geometry()),
        ((3, 3), Geometry(padding=(1, 1))),
        ((3, 3), Geometry(stride=(2, 2), behind=1)),
        ((5, 5), Geometry(padding=(2, 2))),
        ((5, 5), Geometry(stride=(2, 2), padding=(1, 1), behind=1)),
        ((7, 7), Geometry(padding=(3, 3))),
        ((2, 4), Geometry()),
        ((4, 6), Geometry(stride=(1, 2), padding=(0, 2))),
        ((3, 5), Geometry(padding=(2, 4), dilation=(2, 2))),
        ((5, 5), Geometry(stride=(3, 3))),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
def test_values_and_gradients_are_those_of_torch(kind: str, relu6: bool, kernel: tuple[int, int], how: Geometry):
    assert_same(kind, 14, kernel, how, relu6=relu6)


@pytest.mark.parametrize("side", range(2, 12))
def test_so_they_are_at_any_size(side: int):
    for stride, behind in itertools.product((1, 2), (0, 1)):
        assert_same(
            "depthwise", side, (5, 5), Geometry(stride=(stride,) * 2, padding=(2, 2), behind=behind), relu6=True
        )


@pytest.mark.parametrize("kind", KINDS)
def test_there_may_be_no_bias(kind: str):
    assert_same(kind, 9, (5, 5), Geometry(padding=(2, 2)), relu6=True, bias=False)


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_only_the_gradients_that_are_asked_for_are_found(
    monkeypatch: pytest.MonkeyPatch, wanted: tuple[bool, ...], kernel: int
):
    asked: list[tuple[bool, ...]] = []
    found = convolution._gradients
    monkeypatch.setattr(convolution, "_gradients", lambda *given: asked.append(given[4]) or found(*given))
    tensors = [drawn(2, 6, 9, 9), drawn(6, 1, kernel, kernel), drawn(6)]
    for tensor, needed in zip(tensors, wanted, strict=True):
        tensor.requires_grad_(needed)

    convolve(*tensors, Geometry(groups=6), relu6=True).sum().backward()

    assert [tensor.grad is not None for tensor in tensors] == list(wanted)
    assert all(not some or whole for one in asked for some, whole in zip(one, wanted, strict=True))


@pytest.mark.parametrize(("columns", "times"), [(3, 1), (4, 2), (5, 2), (7, 3)])
def test_a_wide_depthwise_kernel_is_taken_a_few_columns_at_a_time(
    monkeypatch: pytest.MonkeyPatch, columns: int, times: int
):
    widths: list[int] = []
    found = convolution._gradients

    def watched(*given: object) -> object:
        if given[4][1]:
            widths.append(given[2].shape[-1])
        return found(*given)

    monkeypatch.setattr(convolution, "_gradients", watched)
    weight = drawn(6, 1, columns, columns).requires_grad_()

    convolve(drawn(2, 6, 9, 9), weight, None, Geometry(groups=6)).sum().backward()

    assert len(widths) == times and max(widths) <= COLUMNS and sum(widths) == columns


def test_under_autocast_it_computes_in_half_precision_and_gradients_come_back_whole():
    weight, bias = drawn(6, 1, 5, 5).requires_grad_(), drawn(6).requires_grad_()
    inputs, how = drawn(2, 6, 12, 12), Geometry(padding=(2, 2), groups=6)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = convolve(inputs, weight, bias, how)
    found.float().sum().backward()
    expected = [tensor.grad.clone() for tensor in (weight, bias)]
    weight.grad = bias.grad = None
    reference(inputs, weight, bias, how, False).sum().backward()

    assert found.dtype == torch.bfloat16
    for half, whole in zip(expected, (weight.grad, bias.grad), strict=True):
        assert half.dtype == torch.float32
        assert (half - whole).abs().max() <= 0.02 * whole.abs().max()


def test_layouts_stay_channels_last():
    inputs = drawn(2, 6, 9, 9).contiguous(memory_format=torch.channels_last).requires_grad_()

    output = convolve(inputs, drawn(6, 1, 5, 5), None, Geometry(padding=(2, 2), groups=6), relu6=True)
    output.sum().backward()

    for tensor in (output, inputs.grad):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
