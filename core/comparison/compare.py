"""Is this model better than that one on these pictures?

The answer is about two trained models, never about two training strategies: for that, see `race_verdict`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from core.comparison import metrics, wording
from core.comparison.crossed import grouped_difference, grouped_share
from core.comparison.experiments import experiment_of, labels_of
from core.comparison.fairness import Outcome, check_fairness
from core.comparison.metrics import Array, Interval, Rate
from core.comparison.pictures import common, right_table
from core.comparison.statistics import (
    detectable_gap,
    mcnemar_exact,
    paired_difference,
    pictures_needed,
    rate,
)
from core.comparison.verdict import (
    BAND,
    SMALLEST_DISCORDANT,
    Agreement,
    Comparison,
    RunSummary,
    Verdict,
    check_band,
    decide,
    discordant_units,
)

TRAINING_PHASES: Final = ("features", "train", "val")
"""What a run's training time is made of: extracting features is part of training a frozen network."""


def compare(a: Outcome, b: Outcome, band: float = BAND) -> Comparison:
    """Lay two finished runs side by side and say which of the five outcomes it is.

    Other pictures or another division: not comparable. Exact McNemar p below 0.05 and an interval without 0: one is
    better.
    The whole interval inside the band: practically the same. Everything else: these pictures cannot tell.

    Raises:
        SettingsError: the band is not a fraction from 0 to 0.5.
        RunError: predictions are damaged.
    """
    check_band(band)
    fairness = check_fairness(a, b)
    name_a, name_b = _names(a, b)
    result = Comparison(
        a=_summary(a, name_a),
        b=_summary(b, name_b),
        fairness=fairness,
        pictures=len(a.pictures),
        lacks=tuple(dict.fromkeys((*a.lacks, *b.lacks))),
        band=band,
        outcome="not-comparable",
    )
    seconds = result.b.train_s
    result = replace(result, time_ratio=result.a.train_s / seconds if seconds > 0 else None)
    if fairness.comparable:
        runs = (a.tested, b.tested)
        result = _with_statistics(result, right_table(runs, common(runs)).T, a.groups)
    return replace(result, sentence=" ".join([wording.sentence(result), *result.lacks]))


def _names(a: Outcome, b: Outcome) -> tuple[str, str]:
    """What sentences call two runs: by what differs between them, and by seed where nothing else does."""
    first, second = labels_of([experiment_of(a.settings), experiment_of(b.settings)])
    if experiment_of(a.settings) != experiment_of(b.settings):
        return first, second
    if a.settings.seed != b.settings.seed:
        return f"{a.label}, seed {a.settings.seed}", f"{b.label}, seed {b.settings.seed}"
    return f"{a.label} (A)", f"{b.label} (B)"


def _summary(outcome: Outcome, name: str) -> RunSummary:
    matrix = metrics.confusion_matrix(outcome.targets, outcome.probabilities)
    diagonal, per_class = np.diagonal(matrix).tolist(), matrix.sum(axis=1).tolist()
    return RunSummary(
        run=outcome.run,
        label=outcome.label,
        name=name,
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


def _agreement(right: Array) -> Agreement:
    """McNemar's table of which pictures a and b have right, (2, N) of bool."""
    right_a, right_b = right
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


def _with_statistics(result: Comparison, right: Array, groups: Sequence[str]) -> Comparison:
    """Everything that follows from McNemar's table, the outcome included."""
    agreement = _agreement(right)
    counts = agreement.both, agreement.only_a, agreement.only_b, agreement.neither
    difference, interval = paired_difference(*counts)
    p, units = mcnemar_exact(agreement.only_a, agreement.only_b), agreement.discordant
    if groups:
        interval, p, units = _over_groups(right, groups)
    outcome: Verdict = decide(difference, interval, p, result.band)
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


def _over_groups(right: Array, groups: Sequence[str]) -> tuple[Interval, float, int]:
    """Interval, p and how many groups tell the two apart: pictures of one subject are no independent evidence."""
    found = grouped_difference(right[0], right[1], groups)
    units = discordant_units(right[0] != right[1], groups)
    if found is None or units < SMALLEST_DISCORDANT:
        return (found.interval if found else Interval(low=-1.0, high=1.0)), 1.0, units
    return found.interval, found.p_value, units


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
