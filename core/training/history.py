"""What a run leaves behind, as plain records: epochs, timings by phase, and how far it has come."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta

from core.machine.speeds import Precision, Work
from core.records import Amount, Count, Share

PHASES: Final = ("decode", "features", "train", "val", "test", "other")
"""Where a run's seconds go; `other` is what is left: building the network, hashing, writing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochRecord:
    """One pass over the training pictures. Losses are means over pictures, accuracies fractions.

    Where class weights are balanced, losses are too: each part's with all of its classes weighing the same.
    """

    epoch: Count
    """Counted from 1 through the whole run. Where the head is solved for, an iteration of the solver."""
    stage: Annotated[str, Meta(pattern=r"\A(train|probe)\Z")]
    """`probe` for the head in Linear probe, then fine-tune; else `train`."""
    train_loss: float
    train_accuracy: Share
    """Measured while training, on augmented pictures, so it lags behind."""
    val_loss: float
    val_accuracy: Share
    lr: Amount | None
    """The head's rate at the end of the epoch; None where the head is solved for."""
    elapsed_s: Amount
    """Since the run's start, feature time included, decoding excluded."""


def curve_by_epoch(history: Sequence[EpochRecord], last: int) -> list[tuple[int, float]]:
    """Points of a curve: (epoch, validation accuracy), epoch 0 before the first.

    A head that is solved for knows no epochs: it is a level line from 0 to `last`; where the network trains after it, a
    point at 0.
    """
    solved = [record.val_accuracy for record in history if record.lr is None]
    steps = [record for record in history if record.lr is not None]
    if not steps:
        return [(epoch, accuracy) for accuracy in solved[-1:] for epoch in (0, max(1, last))]
    before = steps[0].epoch - 1
    return [*((0, accuracy) for accuracy in solved[-1:]), *((one.epoch - before, one.val_accuracy) for one in steps)]


def last_epoch(histories: Iterable[Sequence[EpochRecord]]) -> int:
    """Where the longest of these curves ends, in epochs."""
    return max((sum(record.lr is not None for record in history) for history in histories), default=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run has come; goes to the store, and from there to every page that looks."""

    phase: str = "build"
    done: int = 0
    """Batches of this phase's present pass."""
    total: int = 0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    """Mean training loss of the epoch so far."""
    fraction: float = 0.0
    """Share of the whole run that is done, by the plan's own count of work, 0 to 1."""
    worked_s: float | None = None
    """Since the run's start, when this was written down; what was done before it was taken up again counts."""


NOTHING_YET: Final = Progress()


OnProgress = Callable[[Progress], None]
OnEpoch = Callable[[EpochRecord], None]
ShouldStop = Callable[[], bool]


class Cancelled(Exception):
    """Raised between two batches when `should_stop` says so; a normal end, never shown as an error."""


@dataclass(kw_only=True, slots=True)
class Stopwatch:
    """Seconds by phase, and work counted where it is done."""

    start: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)
    paces: dict[tuple[Work, Precision], tuple[int, float]] = field(default_factory=dict)
    """Pictures and seconds of each kind of work, for later estimates."""
    earlier_s: float = 0.0
    """That were worked before the run was taken up again."""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def count(self, what: str, number: int = 1) -> None:
        """Count pictures sent forward, optimiser steps and the like: what tests check instead of seconds."""
        self.work[what] = self.work.get(what, 0) + number

    def paced(self, work: Work, precision: Precision, pictures: int, seconds: float) -> None:
        """Add pictures that took some seconds."""
        before = self.paces.get((work, precision), (0, 0.0))
        self.paces[work, precision] = (before[0] + pictures, before[1] + seconds)

    def elapsed(self) -> float:
        return time.perf_counter() - self.start

    def go_on_from(self, elapsed_s: float) -> None:
        """Count on from there, as if what has passed since the start had not."""
        self.earlier_s = elapsed_s - self.elapsed()
        self.start -= self.earlier_s
