"""The training loop: `train_one_epoch`, `evaluate`, `fit`. It knows models, batches and numbers, nothing else.

Legend: N batch, K classes. Inputs are whatever the model takes: pictures for a network, features for a head alone.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

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


def train_one_epoch(
    model: nn.Module,
    batches: Batches,
    loss_fn: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
    on_batch: OnBatch,
    should_stop: ShouldStop,
    *,
    precision: Precision = "fp32",
    piece: int | None = None,
    average: AveragedModel | None = None,
) -> tuple[float, float]:
    """One pass; switches the model to training mode. Returns (mean loss, accuracy) over the pictures seen.

    Args:
        piece: go forward and back with so many of a batch at a time, and step once. The gradient is the same, and the
            activations fit the processor's cache; only for a model that looks at each picture alone.
        average: follows the model's weights, step by step.

    Raises:
        TrainingError: the loss is not a finite number.
        Cancelled: `should_stop` said so, before a batch.
    """
    model.train()
    loss_sum, correct, seen = 0.0, 0, 0
    for number, (inputs, targets) in enumerate(batches, start=1):
        if should_stop():
            raise Cancelled
        optimizer.zero_grad(set_to_none=True)
        value = 0.0
        pieces = piece or len(targets)
        for some, wanted in zip(torch.split(inputs, pieces), torch.split(targets, pieces), strict=True):
            with cast(precision):
                logits = model(some).float()  # (N, K)
            loss = loss_fn(logits, wanted) * (len(wanted) / len(targets))
            value += loss.item()  # on a CPU this waits for nothing
            loss.backward()
            correct += int((logits.detach().argmax(1) == wanted).sum())
        if not math.isfinite(value):
            raise TrainingError(_diverged(value, optimizer))
        optimizer.step()
        schedule.step()
        if average is not None:
            average.update_parameters(model)
        loss_sum += value * len(targets)
        seen += len(targets)
        on_batch(number, loss_sum / seen)
    return loss_sum / seen, correct / seen


def _in_time(batches: Batches, time_left: Callable[[], bool]) -> Batches:
    """At least one batch, and no more once the time is up."""
    for number, batch in enumerate(batches):
        if number and not time_left():
            return
        yield batch


def _diverged(loss: float, optimizer: Optimizer) -> str:
    rate = optimizer.param_groups[0]["lr"]
    return (
        f"The loss became {loss} at learning rate {rate:.2g}, so training stopped. "
        f"Try a tenth of the learning rate, or AdamW instead of SGD."
    )


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Batches,
    on_batch: OnBatch | None = None,
    should_stop: ShouldStop | None = None,
    loss_fn: Loss = nn.functional.cross_entropy,
) -> Evaluation:
    """Loss, accuracy and probabilities over all batches; puts the model back into the mode it was in.

    Raises:
        Cancelled: `should_stop` said so, before a batch.
    """
    was_training = model.training
    model.eval()
    logits, targets = [], []
    for number, (inputs, wanted) in enumerate(batches, start=1):
        if should_stop and should_stop():
            raise Cancelled
        logits.append(model(inputs).float())
        targets.append(wanted)
        if on_batch:
            on_batch(number, math.nan)
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
    model: nn.Module,
    train_batches: Callable[[int], Batches],
    val_batches: Callable[[], Batches],
    *,
    epochs: int,
    first_epoch: int,
    stage: str,
    loss_fn: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler,
    best: Best,
    watch: Stopwatch,
    on_batch: Callable[[int, int, float], None],
    on_epoch: OnEpoch,
    should_stop: ShouldStop,
    precision: Precision = "fp32",
    piece: int | None = None,
    average: AveragedModel | None = None,
    time_left: Callable[[], bool] = lambda: True,
    val_loss_fn: Loss = nn.functional.cross_entropy,
) -> Best:
    """Train for some epochs and leave the model in the state of the best one.

    The best is the one with the smallest loss on val. Where classes are balanced it is measured with all classes of val
    weighing the same: what is chosen is then good at what was trained for. Not balanced accuracy: on a val part of few
    pictures of the rare classes many epochs would share it.

    Args:
        train_batches: batches of epoch n, n counted from `first_epoch`.
        best: what must be beaten, fresh or from an earlier stage; changed and returned.
        on_batch: (epoch, batches done, mean loss so far).
        average: where given, it is what is looked at on val and kept, in the model's place.
        time_left: asked before every epoch but the first, and before every batch but an epoch's first.
        val_loss_fn: of the logits of the whole val part; `loss_fn` is of a batch, and may smooth labels.
    """
    judged = model if average is None else average.module
    for epoch in range(first_epoch, first_epoch + epochs):
        if epoch > first_epoch and not time_left():
            break
        with watch.phase("train"):
            loss, accuracy = train_one_epoch(
                model,
                _in_time(train_batches(epoch), time_left),
                loss_fn,
                optimizer,
                schedule,
                lambda done, mean, epoch=epoch: on_batch(epoch, done, mean),  # type: ignore[misc]
                should_stop,
                precision=precision,
                piece=piece,
                average=average,
            )
        with watch.phase("val"):
            val = evaluate(judged, val_batches(), should_stop=should_stop, loss_fn=val_loss_fn)
        record = EpochRecord(
            epoch=epoch,
            stage=stage,
            train_loss=loss,
            train_accuracy=accuracy,
            val_loss=val.loss,
            val_accuracy=val.accuracy,
            lr=float(schedule.get_last_lr()[0]),
            elapsed_s=watch.elapsed(),
        )
        best.offer(record, val, judged)
        on_epoch(record)
    if best.state is None:
        raise TrainingError("The val loss was never a finite number. Try a tenth of the learning rate.")
    model.load_state_dict(best.state)
    return best
