"""The training loop: `train_one_epoch`, `evaluate`, `fit`. It knows models, batches and numbers, nothing else.

Legend: N batch, K classes. Inputs are whatever the model takes: pictures for a network, features for a head alone.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from core.errors import TrainingError
from core.machine.speeds import Precision
from core.training.history import Cancelled, EpochRecord, OnEpoch, ShouldStop, Stopwatch
from core.training.losses import Loss

Batches = Iterable[tuple[Tensor, Tensor]]
"""(inputs, targets (N,) int64)."""
OnBatch = Callable[[int, float], None]
"""(batches done in this epoch, mean loss so far)."""


def cast(precision: Precision) -> torch.autocast:
    """A context in which convolutions and matrix products run in this precision; weights and sums stay float32."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")


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

    def step(self, inputs: Tensor, targets: Tensor) -> tuple[float, int]:
        """One step; mean loss and number of right answers before it.

        Raises:
            TrainingError: the loss is not a finite number.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum, correct, pieces = 0.0, 0, self.piece or len(targets)
        for some, wanted in zip(torch.split(inputs, pieces), torch.split(targets, pieces), strict=True):
            with cast(self.precision):
                logits = self.model(some).float()  # (N, K)
            loss = self.loss_fn(logits, wanted) * (len(wanted) / len(targets))
            loss_sum += loss.item()  # on a CPU this waits for nothing
            torch.autograd.backward(loss)
            correct += int((logits.detach().argmax(1) == wanted).sum())
        if not math.isfinite(loss_sum):
            raise TrainingError(_diverged(loss_sum, self.optimizer))
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss_sum, correct


def train_one_epoch(stepper: Stepper, batches: Batches, on_batch: OnBatch) -> tuple[float, float]:
    """One pass; switches the model to training mode. Returns (mean loss, accuracy) over the pictures seen.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    stepper.model.train()
    loss_sum, correct, seen = 0.0, 0, 0
    for number, (inputs, targets) in enumerate(batches, start=1):
        loss, right = stepper.step(inputs, targets)
        loss_sum += loss * len(targets)
        correct += right
        seen += len(targets)
        on_batch(number, loss_sum / seen)
    return loss_sum / seen, correct / seen


def _diverged(loss: float, optimizer: Optimizer) -> str:
    rate = optimizer.param_groups[0]["lr"]
    return (
        f"The loss became {loss} at learning rate {rate:.2g}, so training stopped. "
        f"Try a tenth of the learning rate, or AdamW instead of SGD."
    )


@torch.no_grad()
def evaluate(model: nn.Module, batches: Batches, loss_fn: Loss = nn.functional.cross_entropy) -> Evaluation:
    """Loss, accuracy and probabilities over all batches; puts the model back into the mode it was in.

    Args:
        loss_fn: of the logits of all batches together.
    """
    was_training = model.training
    model.eval()
    logits, targets = [], []
    for inputs, wanted in batches:
        logits.append(model(inputs).float())
        targets.append(wanted)
    model.train(was_training)
    all_logits, all_targets = torch.cat(logits), torch.cat(targets)
    return Evaluation(
        loss=loss_fn(all_logits, all_targets).item(),
        accuracy=int((all_logits.argmax(1) == all_targets).sum()) / len(all_targets),
        probabilities=all_logits.softmax(1),
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
