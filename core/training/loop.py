"""The training loop: `train_one_epoch`, `evaluate`, `fit`. It knows models, batches and numbers, nothing else.

Legend: N batch, K classes. Inputs are whatever the model takes: pictures for a network, features for a head alone.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from core.errors import TrainingError
from core.machine.devices import to_device
from core.machine.speeds import Precision
from core.training.history import Cancelled, EpochRecord, OnEpoch, ShouldStop, Stopwatch
from core.training.losses import Loss

Batches = Iterable[tuple[Tensor, Tensor]]
"""(inputs, targets (N,) int64)."""
REPORT_S: Final = 0.3  # so often at most a device is waited for, to tell how training goes
OnBatch = Callable[[int, float], None]
"""(batches done in this epoch, mean loss when it was last looked at)."""


def cast(precision: Precision, device: str = "cpu") -> torch.autocast:
    """A context in which convolutions and matrix products run in this precision; weights and sums stay float32."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Loss (mean over pictures), accuracy (fraction), probabilities (M, K) float32 in the order of the batches."""

    loss: float
    accuracy: float
    probabilities: Tensor


def until_stopped(batches: Batches, should_stop: ShouldStop) -> Batches:
    """The same batches; raises Cancelled once `should_stop` says so, before one of them."""
    for batch in batches:
        if should_stop():
            raise Cancelled
        yield batch


@dataclass(kw_only=True, slots=True, eq=False)
class Sums:
    """Losses and right answers, summed where they are computed, so that nobody waits for them."""

    loss: Tensor
    """A number in float64, where the device has that."""
    correct: Tensor

    @classmethod
    def nothing(cls, device: torch.device) -> "Sums":
        exact = torch.float32 if device.type == "mps" else torch.float64
        zeros = torch.zeros(2, dtype=torch.int64, device=device)
        return cls(loss=zeros[0].to(exact), correct=zeros[1])

    def add(self, loss: Tensor, correct: Tensor) -> None:
        self.loss += loss
        self.correct += correct


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stepper:
    """How a batch changes a model."""

    model: nn.Module
    loss_fn: Loss
    optimizer: Optimizer
    schedule: LRScheduler
    precision: Precision = "fp32"
    piece: int | None = None
    """Go forward and back with so many of a batch at a time, and step once. The gradient is the same, and the
    activations fit the processor's cache; only for a model that looks at each picture alone."""
    average: AveragedModel | None = None
    """Follows the model's weights, step by step."""

    @property
    def judged(self) -> nn.Module:
        """What is looked at on val and kept: the average where there is one."""
        return self.model if self.average is None else self.average.module

    def step(self, inputs: Tensor, targets: Tensor) -> "Sums":
        """One step; what was known before it.

        Raises:
            TrainingError: the loss is not a finite number. Only on the processor: elsewhere that shows later, since to
                look at a number is to wait for it.
        """
        self.optimizer.zero_grad(set_to_none=True)
        sums, pieces = Sums.nothing(inputs.device), self.piece or len(targets)
        for some, wanted in zip(torch.split(inputs, pieces), torch.split(targets, pieces), strict=True):
            with cast(self.precision, inputs.device.type):
                logits = self.model(some).float()  # (N, K)
            loss = self.loss_fn(logits, wanted) * (len(wanted) / len(targets))
            torch.autograd.backward(loss)
            sums.add(loss.detach(), (logits.detach().argmax(1) == wanted).sum())
        if inputs.device.type == "cpu":
            check_finite(float(sums.loss), self.optimizer)
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return sums


def train_one_epoch(stepper: Stepper, batches: Batches, on_batch: OnBatch) -> tuple[float, float]:
    """One pass; switches the model to training mode. Returns (mean loss, accuracy) over the pictures seen.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    stepper.model.train()
    device = device_of(stepper.model)
    sums, seen, mean, told = Sums.nothing(device), 0, 0.0, -math.inf
    for number, (inputs, targets) in enumerate(batches, start=1):
        step = stepper.step(to_device(inputs, device), to_device(targets, device))
        sums.add(step.loss * len(targets), step.correct)
        seen += len(targets)
        if device.type == "cpu" or time.monotonic() - told > REPORT_S:  # on a processor this waits for nothing
            mean, told = _mean_loss(sums, seen, stepper.optimizer), time.monotonic()
        on_batch(number, mean)
    return _mean_loss(sums, seen, stepper.optimizer), int(sums.correct) / seen


def _mean_loss(sums: Sums, seen: int, optimizer: Optimizer) -> float:
    loss = float(sums.loss)
    check_finite(loss, optimizer)
    return loss / seen


def check_finite(loss: float, optimizer: Optimizer) -> None:
    """Raises TrainingError where a loss is no number."""
    if math.isfinite(loss):
        return
    rate = optimizer.param_groups[0]["lr"]
    raise TrainingError(
        f"The loss became {loss} at learning rate {rate:.2g}, so training stopped. "
        f"Try a tenth of the learning rate, or AdamW instead of SGD."
    )


def device_of(model: nn.Module) -> torch.device:
    """Where a model's numbers are."""
    return next(model.parameters()).device


@torch.no_grad()
def evaluate(model: nn.Module, batches: Batches, loss_fn: Loss = nn.functional.cross_entropy) -> Evaluation:
    """Loss, accuracy and probabilities over all batches; puts the model back into the mode it was in.

    Args:
        batches: on any device; they go to the model's.
        loss_fn: of the logits of all batches together.
    """
    was_training, device = model.training, device_of(model)
    model.eval()
    logits, targets = [], []
    for inputs, wanted in batches:
        logits.append(model(to_device(inputs, device)).float())
        targets.append(to_device(wanted, device))
    model.train(was_training)
    all_logits, all_targets = torch.cat(logits), torch.cat(targets)
    return Evaluation(
        loss=loss_fn(all_logits, all_targets).item(),
        accuracy=int((all_logits.argmax(1) == all_targets).sum()) / len(all_targets),
        probabilities=all_logits.softmax(1).cpu(),
    )


@dataclass(kw_only=True, slots=True)
class Best:
    """The best epoch so far by val loss (a tie keeps the earlier one), with a copy of the state that reached it."""

    epoch: int = 0
    val_loss: float = math.inf
    val_accuracy: float = math.nan
    val_probabilities: Tensor | None = None
    """(V, K), in the order of val."""
    state: dict[str, Tensor] | None = None

    def offer(self, record: EpochRecord, val: Evaluation, model: nn.Module) -> None:
        """Keep this epoch if it is better."""
        if record.val_loss < self.val_loss:
            self.take(record, val, model)

    def take(self, record: EpochRecord, val: Evaluation, model: nn.Module) -> None:
        """Keep this epoch."""
        self.epoch, self.val_loss, self.val_accuracy = record.epoch, record.val_loss, record.val_accuracy
        self.val_probabilities = val.probabilities
        self.keep(model)

    def keep(self, model: nn.Module) -> None:
        """Copy the model's state: references would go on changing."""
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def fit(
    stepper: Stepper,
    train_batches: Callable[[int], Batches],
    evaluate_val: Callable[[nn.Module], Evaluation],
    *,
    epochs: range,
    best: Best,
    watch: Stopwatch,
    on_batch: Callable[[int, int, float], None],
    on_epoch: OnEpoch,
) -> Best:
    """Train for some epochs and leave the model in the state of the best one.

    The best is the one with the smallest loss on val. Where classes are balanced it is measured with all classes of val
    weighing the same: what is chosen is then good at what was trained for. Not balanced accuracy: on a val part of few
    pictures of the rare classes many epochs would share it.

    Args:
        train_batches: batches of an epoch, by its number.
        epochs: their numbers; not from 1 where an earlier stage has some.
        best: what must be beaten, fresh or from an earlier stage; changed and returned.
        on_batch: (epoch, batches done, mean loss so far).
    """
    for epoch in epochs:
        with watch.phase("train"):
            loss, accuracy = train_one_epoch(stepper, train_batches(epoch), partial(on_batch, epoch))
        with watch.phase("val"):
            val = evaluate_val(stepper.judged)
        record = EpochRecord(
            epoch=epoch,
            stage="train",
            train_loss=loss,
            train_accuracy=accuracy,
            val_loss=val.loss,
            val_accuracy=val.accuracy,
            lr=float(stepper.schedule.get_last_lr()[0]),
            elapsed_s=watch.elapsed(),
        )
        best.offer(record, val, stepper.judged)
        on_epoch(record)
    if best.state is None:
        raise TrainingError("The val loss was never a finite number. Try a tenth of the learning rate.")
    stepper.model.load_state_dict(best.state)
    return best
