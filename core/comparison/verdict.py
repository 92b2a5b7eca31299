"""What may be said about two trained models on the same pictures: five outcomes, by fixed rules."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from core.comparison.fairness import Fairness
from core.comparison.metrics import Array, Interval, Rate
from core.errors import SettingsError

Verdict = Literal["a-better", "b-better", "same", "cannot-tell", "not-comparable"]

BAND: Final = 0.02
"""Differences in accuracy within this (fraction, 0.02 is two points) are practically no difference."""
ALPHA: Final = 0.05
SMALLEST_DISCORDANT: Final = 6
"""Discordant pictures from which an exact McNemar p below 0.05 is possible: 2 / 2**6 = 0.031, 2 / 2**5 = 0.0625."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """One run on its own test pictures. Rates carry 95 % Wilson intervals; None where nothing can be said."""

    run: str
    label: str
    name: str
    """What sentences call it: its strategy, with what sets it apart from the other one."""
    accuracy: Rate | None
    balanced_accuracy: float | None
    recalls: tuple[Rate | None, ...]
    """Per class, in the order of `class_names`."""
    log_loss: float | None
    confusion: tuple[tuple[int, ...], ...]
    """Pictures by true class (row) and predicted class (column)."""
    class_names: tuple[str, ...]
    train_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How often two runs were right together, alone and not at all, and on which pictures (index into a's test part).

    This is McNemar's table.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    both_index: tuple[int, ...]
    only_a_index: tuple[int, ...]
    only_b_index: tuple[int, ...]
    neither_index: tuple[int, ...]

    @property
    def discordant(self) -> int:
        return self.only_a + self.only_b


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two runs side by side. What needs a common set of test pictures is None where there is none."""

    a: RunSummary
    b: RunSummary
    fairness: Fairness
    pictures: int
    band: float
    outcome: Verdict
    groups: int = 0
    """How many groups the pictures are of; 0 where they have none."""
    agreement: Agreement | None = None
    discordant: int | None = None
    difference: float | None = None
    """Accuracy of a minus accuracy of b."""
    interval: Interval | None = None
    """95 % interval of the difference."""
    p_value: float | None = None
    """Exact McNemar, two-sided; over groups, that for clustered pairs."""
    detectable_gap: float | None = None
    """Smallest gap that this many pictures show at the observed disagreement (80 % power, 5 %); None: no gap does, or
    pictures are of groups."""
    gap_sought: float | None = None
    """The gap `pictures_needed` is about: the observed one; the band if that is wider and would take more pictures."""
    pictures_needed: int | None = None
    """How many pictures it would take (80 % power, 5 %); only where these cannot tell, and are of no groups."""
    note: str = ""
    time_ratio: float | None = None
    """Training seconds of a over those of b; one timing each, so no interval."""
    lacks: tuple[str, ...] = ()
    """Which classes the parts of either lack: sentences that belong to any verdict."""
    sentence: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, nothing rounded."""
        return plain(self)


def plain(record: Any) -> dict[str, Any]:
    """A dataclass as the JSON values that a reader of its file would get."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(record), allow_nan=False))
    return values


def check_band(band: float) -> None:
    """Raise SettingsError unless the band of practical equality is a fraction from 0 to 0.5."""
    if not 0 <= band <= 0.5:
        raise SettingsError(f"band is {band:g}; it must lie between 0 and 0.5 (0.02 is two points).")


def discordant_units(differ: Array, groups: Sequence[str]) -> int:
    """Pictures, (N,) of bool, that tell two runs apart; groups of them, where there are groups."""
    return len(set(np.asarray(groups)[differ].tolist())) if len(groups) else int(differ.sum())


def decide(difference: float, interval: Interval, p: float, band: float) -> Verdict:
    """The fixed rules for two runs that may be compared."""
    if p < ALPHA and not interval.low <= 0 <= interval.high:
        return "a-better" if difference > 0 else "b-better"
    if -band <= interval.low and interval.high <= band:
        return "same"
    return "cannot-tell"
