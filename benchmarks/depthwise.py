"""The gradient of a depthwise kernel's weights: `python benchmarks/depthwise.py`.

Torch's own against `core.models.accel.convolution`, which takes a few columns at a time; they take turns. Sizes are
those of EfficientNet's and ConvNeXt's layers, 8 pictures. Prints Markdown: milliseconds, and the ratio with its
interval.
"""

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

from paired import interval, ratios, spoken, take_turns

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine, usable_cores
from core.machine.process import keep_freed_memory, prepare_process

prepare_process()
keep_freed_memory()

import torch

from core.models.accel.convolution import Geometry, convolve

PICTURES, ROUNDS = 8, 15
LAYERS = [(96, 112, 3, 2), (240, 28, 5, 1), (144, 56, 5, 2), (672, 14, 5, 1), (1152, 7, 5, 1), (96, 56, 7, 1)]
"""Channels, side, kernel, stride."""
Work = Callable[[], tuple[torch.Tensor, ...]]


def arms(channels: int, side: int, kernel: int, stride: int) -> tuple[Work, Work]:
    """Torch's way and ours, each finding the weights' gradient alone."""
    inputs = torch.rand(PICTURES, channels, side, side).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(channels, 1, kernel, kernel).requires_grad_()
    padding = (kernel // 2, kernel // 2)
    how = Geometry(stride=(stride, stride), padding=padding, groups=channels)
    theirs = torch.nn.functional.conv2d(inputs, weight, None, stride, padding, 1, channels)
    ours = convolve(inputs, weight, None, how)
    grad = torch.rand_like(theirs)

    def back(output: torch.Tensor) -> Work:
        return lambda: torch.autograd.grad(output, weight, grad, retain_graph=True)

    torch.testing.assert_close(back(theirs)()[0], back(ours)()[0], atol=1e-2, rtol=1e-3)
    return back(theirs), back(ours)


def main() -> None:
    """Every layer in turn."""
    torch.set_num_threads(usable_cores())
    print(f"{date.today()}, {this_machine()}, torch {this_machine().torch}.\n")
    print("| channels | side | kernel | stride | torch, ms | Thaw, ms | ratio |\n|---|---|---|---|---|---|---|")
    for layer in LAYERS:
        theirs, ours = take_turns(*arms(*layer), rounds=ROUNDS)
        medians = (f"{1000 * interval(seconds)[0]:.2f}" for seconds in (theirs, ours))
        print(f"| {' | '.join(map(str, (*layer, *medians)))} | {spoken(ratios(theirs, ours))} |")


if __name__ == "__main__":
    main()
