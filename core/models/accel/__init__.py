"""Every trick that makes networks quicker on a processor, behind this door: nobody imports what lies behind it.

`accelerate` goes over a model once, and `standing_still` is for passes through a backbone that does not change.
`one_thread` and `Shelf` are for whoever trains. What is set before torch is loaded (huge pages, freed memory, garbage
collection) stands in `core.machine.process`. Each trick is tested against the plain way, and what it gains is measured
by benchmarks/accel.py. THAW_PLAIN=1 turns all of them off.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from core.machine.process import tricks_wanted
from core.machine.speeds import Engine
from core.models.accel.compiled import CompiledBackbone
from core.models.accel.folding import fold_batchnorm, quicken_depthwise
from core.models.accel.onnx_graph import can_translate
from core.models.accel.shelf import Shelf
from core.models.accel.threads import one_thread
from core.models.network import TransferModel, empty_state

__all__ = ["LAYOUTS", "Forward", "Shelf", "accelerate", "engines_of", "is_plain", "one_thread", "standing_still"]

LAYOUTS: Final[dict[Engine, torch.memory_format]] = {
    "torch": torch.channels_last,
    "onnxruntime": torch.contiguous_format,
}
"""Of the images that each engine wants; others are copied first."""
Forward = Callable[[Tensor], Tensor]


def accelerate(model: TransferModel) -> TransferModel:
    """Let a model's layers work in quicker ways: same function, gradients and names, up to rounding.

    Args:
        model: changed in place, and given back. One that is not on a processor is left alone.
    """
    if tricks_wanted() and model.head.weight.device.type == "cpu":
        fold_batchnorm(model.backbone, model.spec.name)
        quicken_depthwise(model.backbone)
    return model


def is_plain(backbone: str) -> bool:
    """Whether torch's features through this backbone round in another way here than where tricks are wanted."""
    return not tricks_wanted() and any(name.endswith("running_mean") for name in empty_state(backbone))


def engines_of(backbone: str) -> tuple[Engine, ...]:
    """What can compute forward passes in fp32 through this backbone, the one that is usually quicker last."""
    return ("torch", "onnxruntime") if tricks_wanted() and can_translate(backbone) else ("torch",)


def standing_still(backbone: nn.Module, name: str, engine: Engine, *, side: int, threads: int = 1) -> Forward:
    """The forward pass of a backbone for as long as its weights do not change, by an engine, if it can be had.

    Args:
        backbone: the one called `name`, in eval mode.
        side: of the pictures, in pixels.
        threads: that each pass is to use, where torch is not the engine: 1 for several callers at once.
    """
    if engine == "torch" or engine not in engines_of(name):
        return backbone
    return CompiledBackbone(backbone, name, side, threads=threads)
