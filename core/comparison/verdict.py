"""Is this model better than that one on these pictures? Five outcomes, by fixed rules.

The answer is about two trained models, never about two ways of training: for that, see `race`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from core.comparison import metrics, wording
from core.comparison.crossed import grouped_difference, grouped_share
from core.comparison.fairness import Fairness, Outcome, check_fairness
from core.comparison.metrics import Array, Interval, Rate
from core.comparison.pictures import common, right_table
from core.comparison.statistics import (
    SMALLEST_DISCORDANT,
    detectable_gap,
    mcnemar_exact,
    paired_difference,
    pictures_needed,
    rate,
)
from core.errors import SettingsError

Verdict = Literal["a-better", "b-better", "same", "cannot-tell", "not-comparable"]

BAND: Final = 0.02
"""Differences in accuracy within this (fraction, 0.02 is two points) are practically no difference."""
ALPHA: Final = 0.05
TRAINING_PHASES: Final = ("features", "train", "val")
"""What a run's training time is made of: extracting features is part of training a frozen network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """One run on its own test pictures. Rates carry 95 % Wilson intervals; None where nothing can be said."""

    run: str
    label: str
    name: str
    """What sentences call it: the label, with the run's id where both have the same label."""
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


def compare(a: Outcome, b: Outcome, band: float = BAND) -> Comparison:
    """Lay two finished runs side by side and say which of the five outcomes it is.

    Not fair: not comparable. Exact McNemar p below 0.05 and an interval of the difference without 0: one is better.
    The whole interval inside the band: practically the same. Everything else: these pictures cannot tell.

    Raises:
        SettingsError: the band is not a fraction from 0 to 0.5.
        RunError: predictions are damaged.
    """
    check_band(band)
    fairness = check_fairness(a, b)
    same_label = a.label == b.label
    result = Comparison(
        a=_summary(a, same_label),
        b=_summary(b, same_label),
        fairness=fairness,
        pictures=len(a.pictures),
        lacks=tuple(dict.fromkeys((*a.lacks, *b.lacks))),
        band=band,
        outcome="not-comparable",
    )
    seconds = result.b.train_s
    result = replace(result, time_ratio=result.a.train_s / seconds if seconds > 0 else None)
    if fairness.comparable:
        result = _with_statistics(result, _agreement(a, b), a.groups)
    return replace(result, sentence=" ".join([wording.sentence(result), *result.lacks]))


def check_band(band: float) -> None:
    """Raise SettingsError unless the band of practical equality is a fraction from 0 to 0.5."""
    if not 0 <= band <= 0.5:
        raise SettingsError(f"band is {band:g}; it must lie between 0 and 0.5 (0.02 is two points).")


def _summary(outcome: Outcome, same_label: bool) -> RunSummary:
    matrix = metrics.confusion_matrix(outcome.targets, outcome.probabilities)
    diagonal, per_class = np.diagonal(matrix).tolist(), matrix.sum(axis=1).tolist()
    return RunSummary(
        run=outcome.run,
        label=outcome.label,
        name=f"{outcome.label} ({outcome.run})" if same_label else outcome.label,
        accuracy=_accuracy(outcome, sum(diagonal), sum(per_class)),
        balanced_accuracy=metrics.balanced_accuracy(matrix),
        recalls=tuple(rate(correct, total) for correct, total in zip(diagonal, per_class, strict=True)),
        log_loss=metrics.log_loss(outcome.targets, outcome.probabilities),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        class_names=outcome.class_names,
        train_s=float(sum(outcome.timings.get(phase, 0.0) for phase in TRAINING_PHASES)),
    )


def _accuracy(outcome: Outcome, correct: int, total: int) -> Rate | None:
    found = rate(correct, total)
    if found is None or not outcome.groups:
        return found
    ends = grouped_share(outcome.tested.right(list(outcome.tested)), outcome.groups)
    return replace(found, low=ends.low, high=ends.high)


def _agreement(a: Outcome, b: Outcome) -> Agreement:
    """McNemar's table of two runs on the same pictures, which may stand in different orders."""
    runs = (a.tested, b.tested)
    right_a, right_b = right_table(runs, common(runs)).T
    both, only_a, only_b, neither = (
        tuple(np.flatnonzero(cell).tolist())
        for cell in (right_a & right_b, right_a & ~right_b, ~right_a & right_b, ~right_a & ~right_b)
    )
    return Agreement(
        both=len(both),
        only_a=len(only_a),
        only_b=len(only_b),
        neither=len(neither),
        both_index=both,
        only_a_index=only_a,
        only_b_index=only_b,
        neither_index=neither,
    )


def _with_statistics(result: Comparison, agreement: Agreement, groups: Sequence[str]) -> Comparison:
    """Everything that follows from McNemar's table, the outcome included."""
    counts = agreement.both, agreement.only_a, agreement.only_b, agreement.neither
    difference, interval = paired_difference(*counts)
    p, units = mcnemar_exact(agreement.only_a, agreement.only_b), agreement.discordant
    if groups:
        interval, p, units = _over_groups(agreement, groups)
    outcome: Verdict = decide(difference, interval, p, result.band) if result.fairness.fair else "not-comparable"
    result = replace(
        result,
        outcome=outcome,
        groups=len(set(groups)),
        agreement=agreement,
        discordant=agreement.discordant,
        difference=difference,
        interval=interval,
        p_value=p,
        detectable_gap=None if groups else detectable_gap(result.pictures, agreement.discordant / result.pictures),
        note=wording.few_discordant(units, bool(groups)),
    )
    unsettled = outcome == "cannot-tell" and not groups  # the formulas are for pictures that each say something new
    return _with_pictures_needed(result, agreement.discordant) if unsettled else result


def _over_groups(agreement: Agreement, groups: Sequence[str]) -> tuple[Interval, float, int]:
    """Interval, p and how many groups tell the two apart: pictures of one subject are no independent evidence."""
    right = _right(agreement, len(groups))
    found = grouped_difference(right[0], right[1], groups)
    units = discordant_units(right[0] != right[1], groups)
    if found is None or units < SMALLEST_DISCORDANT:
        return (found.interval if found else Interval(low=-1.0, high=1.0)), 1.0, units
    return found.interval, found.p_value, units


def _right(agreement: Agreement, pictures: int) -> Array:
    """Which pictures a and b have right, (2, N) of bool."""
    right = np.zeros((2, pictures), dtype=bool)
    right[:, list(agreement.both_index)] = True
    right[0, list(agreement.only_a_index)] = right[1, list(agreement.only_b_index)] = True
    return right


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


def _with_pictures_needed(result: Comparison, discordant: int) -> Comparison:
    """How many pictures it would take at this disagreement to see the observed gap, or the band if that is wider."""
    observed, disagreement = abs(result.difference or 0.0), discordant / result.pictures
    gap = max(observed, result.band)
    share = max(disagreement, gap)  # runs differ at least as often as they differ in accuracy
    needed = pictures_needed(gap, share)
    if needed is not None and needed <= result.pictures and observed > 0:  # enough for the band, not for what is there
        gap, share = observed, disagreement
        needed = pictures_needed(gap, share)
    if needed is None:
        return result
    # the formula is for large samples: below six discordant pictures the exact test can never say yes, and these
    # pictures were just found to be too few
    at_least = max(needed, math.ceil(SMALLEST_DISCORDANT / share), result.pictures + 1)
    return replace(result, gap_sought=gap, pictures_needed=at_least)
