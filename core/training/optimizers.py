"""Optimiser and schedule from plain arguments."""

import math
from collections.abc import Callable, Sequence

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

WARM_UP = 0.25  # share of a one-cycle run in which the rate rises; Smith 2018 uses 0.3 to 0.45 for long runs
START = 0.04  # rate at the start of one-cycle, as a share of the peak: torch's OneCycleLR divides by 25
STEP_AT, STEP_FACTOR = (0.5, 0.75), 0.1  # tenfold drops at half and three quarters of the run


def build_optimizer(
    name: str,
    head: Sequence[nn.Parameter],
    stages: Sequence[Sequence[nn.Parameter]],
    *,
    lr: float,
    backbone_lr: float,
    stage_decay: float,
    momentum: float,
    weight_decay: float,
) -> Optimizer:
    """AdamW or SGD, fused, with a rate for the head and one for each stage; what has no parameters is left out.

    Args:
        stages: from input to output. The last one gets `backbone_lr`, each earlier one `stage_decay` of the next one's
            (Howard and Ruder 2018 call that discriminative fine-tuning).
    """
    groups = [{"params": list(head), "lr": lr}]
    for depth, parameters in enumerate(reversed(stages)):
        groups.append({"params": list(parameters), "lr": backbone_lr * stage_decay**depth})
    groups = [group for group in groups if group["params"]]
    if name == "sgd":
        return SGD(groups, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
    return AdamW(groups, lr=lr, weight_decay=weight_decay, fused=True)


def build_schedule(name: str, optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """A schedule to be stepped once per batch."""
    factor = SCHEDULES[name]
    return LambdaLR(optimizer, lambda step: factor(min(1.0, step / max(1, total_steps))))


def _one_cycle(done: float) -> float:
    """Up along half a cosine to the full rate, then down to nothing (Smith 2018, with torch's annealing)."""
    if done < WARM_UP:
        return START + (1 - START) * (1 - math.cos(math.pi * done / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def _step(done: float) -> float:
    return float(STEP_FACTOR ** sum(done >= at for at in STEP_AT))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "one-cycle": _one_cycle,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "step": _step,
    "constant": lambda done: 1.0,
}
"""Share of the full rate by share of the run that is done."""
