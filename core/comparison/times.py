"""Which of two scenarios trained faster, where that can be said: first runs and runs with cached features apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.comparison.fairness import Outcome
from core.comparison.metrics import Interval
from core.comparison.statistics import median_ratio
from core.comparison.verdict import Comparison


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeRatio:
    """Training seconds of one scenario over those of another, run by run."""

    runs: int
    median: float
    interval: Interval | None
    """95 % bootstrap interval of the median; None with fewer than three runs."""


def time_ratios(
    comparisons: Sequence[Comparison], a: Sequence[Outcome], b: Sequence[Outcome]
) -> tuple[TimeRatio | None, TimeRatio | None]:
    """How much longer a trained than b, seed by seed: cold and warm; None where times were not measured alike."""
    chips = {chip.field for one in comparisons for chip in one.fairness.chips}
    if chips & {"machine", "threads", "engine"}:
        return None, None
    cold: list[float] = []
    warm: list[float] = []
    for one, *runs in zip(comparisons, a, b, strict=True):
        if one.time_ratio:
            (warm if any(run.cached_features for run in runs) else cold).append(one.time_ratio)
    return _time_ratio(cold), _time_ratio(warm)


def _time_ratio(ratios: Sequence[float]) -> TimeRatio | None:
    if not ratios:
        return None
    middle, interval = median_ratio(ratios)
    return TimeRatio(runs=len(ratios), median=middle, interval=interval)
