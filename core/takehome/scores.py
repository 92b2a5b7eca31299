"""A run's scores on its test part, with the intervals that the pages show beside them."""

from dataclasses import dataclass

import numpy as np

from core.comparison.crossed import grouped_share
from core.comparison.metrics import Array, Interval
from core.comparison.statistics import wilson
from core.comparison.wording import per_cent
from core.runs.record import RunRecord, load_predictions


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """How many pictures are right, of how many."""

    right: int
    total: int
    interval: Interval | None
    """95 %: for new pictures, or for new groups of them where the data set has groups. None of nothing."""

    @property
    def ends(self) -> str:
        """The interval in words."""
        return f"{100 * self.interval.low:.1f} to {per_cent(self.interval.high)}" if self.interval else "not measured"


def scores_of(record: RunRecord) -> tuple[Score, tuple[Score, ...]]:
    """Of all test pictures, and of each class's."""
    if not record.test_groups:
        confusion = np.array(record.confusion)
        each = [_single(int(row[place]), int(row.sum())) for place, row in enumerate(confusion)]
        return _single(int(np.trace(confusion)), int(confusion.sum())), tuple(each)
    predictions = load_predictions(record.run)
    right, groups = predictions.probabilities.argmax(1) == predictions.targets, np.array(record.test_groups)
    parts = [predictions.targets == target for target in range(len(record.dataset.class_names))]
    whole = _grouped(right, groups)
    return whole, tuple(_grouped(right[part], groups[part]) for part in parts)


def _single(right: int, total: int) -> Score:
    return Score(right=right, total=total, interval=wilson(right, total) if total else None)


def _grouped(right: Array, groups: Array) -> Score:
    interval = grouped_share(right, groups.tolist()) if len(right) else None
    return Score(right=int(right.sum()), total=len(right), interval=interval)
