"""A few seconds of real work that tell how fast a backbone is on this machine, before any run has told it."""

import time
from collections.abc import Callable

import torch
from torch import nn

from core.machine import save_rate, usable_cores
from core.models.build import build_model
from core.models.freezing import apply_scenario
from core.models.weights import preprocessing_of
from core.settings import ModelSettings, OptimSettings

ROUNDS = 3  # the first is warm-up


def measure_rates(backbone: str) -> None:
    """Time forward passes and training steps on random pictures, with a random start, and remember the rates."""
    torch.set_num_threads(usable_cores())
    model = build_model(backbone, 2, start="none", seed=0)
    side, batch = preprocessing_of(backbone).image_size, OptimSettings().batch_size
    images = torch.rand(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    model.eval()
    with torch.no_grad():
        save_rate(backbone, "features", batch / _fastest(lambda: model(images)))
    apply_scenario(model, ModelSettings(backbone=backbone, scenario="finetuned", weights="none", batchnorm="kept"))
    targets = torch.arange(batch) % 2

    def step() -> None:
        torch.autograd.backward(nn.functional.cross_entropy(model(images), targets))

    save_rate(backbone, "train", batch / _fastest(step))


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest round after the first: other programs only ever slow a round down."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
