"""Is this way of training better? Experiments repeated over seeds, with the five outcomes of `verdict`.

Training and validation parts, order, augmentation and the head's start vary with the seed; the test pictures do not.
From three seeds on the answer holds for new seeds and new pictures of this kind. With one or two only the trained
models can be compared, seed by seed, and the sentences say so.
"""

import statistics as averages
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from core.comparison.arms import Arm, by_seed, parts_of_seeds
from core.comparison.compare import compare
from core.comparison.crossed import LEAST_SEEDS, Chances, Crossed, Estimate, crossed_difference, resampled
from core.comparison.fairness import Outcome, mixed_rules
from core.comparison.folds import folds_of
from core.comparison.metrics import Interval
from core.comparison.planning import Settling, settling
from core.comparison.scores import ScoreGap, score_gaps
from core.comparison.statistics import holm
from core.comparison.times import TimeRatio, time_ratios
from core.comparison.verdict import ALPHA, SMALLEST_DISCORDANT, Comparison, Verdict, decide, discordant_units


@dataclass(frozen=True, kw_only=True, slots=True)
class PairVerdict:
    """Two experiments over the seeds that both have. Differences are accuracy of a minus accuracy of b."""

    a: str
    """Its training strategy, by name."""
    b: str
    label_a: str
    label_b: str
    seeds: tuple[int, ...]
    pictures: int
    """Test pictures of each seed."""
    groups: int
    """How many groups they are of; 0 where they have none."""
    folds: int | None
    """Every picture was tested once, by one of so many models of each seed; None where there is one test part."""
    differences: tuple[float, ...]
    """Seed by seed."""
    outcome: Verdict
    band: float
    reasons: tuple[str, ...]
    """Why not comparable; empty otherwise."""
    gap: float | None = None
    """Mean difference over the seeds."""
    interval: Interval | None = None
    """95 %: for new seeds and new pictures; with one seed for these two models (Newcombe); with two there is none."""
    p_value: float | None = None
    """That nothing differs: from three seeds on by the t interval's own test, with fewer by exact McNemar."""
    p_holm: float | None = None
    """The same after Holm's correction for all pairs of the race."""
    tests: int = 0
    """How many pairs the correction counts."""
    estimate: Estimate | None = None
    """From three seeds on."""
    crossed: Crossed | None = None
    """Where all seeds share their test pictures, from three seeds on: what the uncertainty is made of."""
    discordant: int = 0
    """Pictures on which the two differ with some seed; groups of them, where there are groups."""
    chances: Chances | None = None
    """That the true gap lies above, inside and below the band."""
    settling: Settling | None = None
    """What would settle it, where it cannot be told."""
    scores: tuple[ScoreGap, ...] = ()
    """The same for other scores than accuracy, from three seeds on."""
    comparisons: tuple[Comparison, ...] = ()
    """The models on their pictures, seed by seed; only with one or two seeds."""
    cold: TimeRatio | None = None
    """Over the seeds in which neither run found features in the cache; None where machines or threads differ."""
    warm: TimeRatio | None = None
    """Over the other seeds: never mixed with the former."""
    speed: str = ""
    """Which of the two trained faster, in a sentence; empty where nothing can be said."""
    sentence: str = ""

    @property
    def units(self) -> int:
        """What counts as one piece of evidence besides a seed: groups of test pictures, or pictures."""
        return self.groups or self.pictures

    @property
    def better(self) -> bool:
        """One of the two is called better."""
        return self.outcome in ("a-better", "b-better")

    @property
    def about_models(self) -> bool:
        """Too few seeds for the way of training: it is about the trained models."""
        return len(self.seeds) < LEAST_SEEDS

    @property
    def inside_band(self) -> bool:
        """The whole interval is practically no difference."""
        return self.interval is not None and -self.band <= self.interval.low and self.interval.high <= self.band


def judge_pairs(arms: Mapping[str, Arm], band: float) -> list[PairVerdict]:
    """Every pair of experiments with its outcome, after Holm's correction over those that can be compared."""
    pairs = [_pair(a, b, arms, band) for a, b in combinations(arms, 2)]
    ps = [pair.p_value for pair in pairs if pair.p_value is not None]
    corrected = iter(holm(ps))
    return [
        pair if pair.p_value is None else _with_outcome(replace(pair, p_holm=next(corrected), tests=len(ps)))
        for pair in pairs
    ]


def _pair(a: str, b: str, arms: Mapping[str, Arm], band: float) -> PairVerdict:
    """Two experiments before Holm's correction: the outcome is still `cannot-tell` or `not-comparable`."""
    seeds = tuple(seed for seed in arms[a] if seed in arms[b])
    in_a, in_b = ([arm[seed] for seed in seeds] for arm in (arms[a], arms[b]))
    comparisons = [compare(*both, band) for both in zip(in_a, in_b, strict=True)]
    reasons = _reasons([*arms[a].values()], [*arms[b].values()], comparisons)
    pair = PairVerdict(
        a=_strategy(arms[a]),
        b=_strategy(arms[b]),
        label_a=a,
        label_b=b,
        seeds=seeds,
        pictures=comparisons[0].pictures if comparisons else 0,
        groups=len(set(in_a[0].groups)) if in_a else 0,
        folds=folds_of(in_a[0].settings.data) if in_a else None,
        differences=tuple(one.difference for one in comparisons if one.difference is not None),
        outcome="not-comparable" if reasons else "cannot-tell",
        band=band,
        reasons=reasons,
        comparisons=tuple(comparisons) if len(seeds) < LEAST_SEEDS else (),
    )
    cold, warm = time_ratios(comparisons, in_a, in_b)
    pair = replace(pair, cold=cold, warm=warm)
    if reasons:
        return pair
    pair = replace(pair, gap=averages.fmean(pair.differences))
    if pair.about_models:
        return _models(pair)
    if parts_of_seeds(in_a) == "own":
        return _ways_on_own_pictures(pair, comparisons, in_a)
    return _ways(pair, in_a, in_b)


def _strategy(arm: Arm) -> str:
    return next(iter(arm.values())).settings.model.scenario


def _models(pair: PairVerdict) -> PairVerdict:
    """With one or two seeds: McNemar's test, whose p counts the seeds that were looked at."""
    ps = [one.p_value for one in pair.comparisons if one.p_value is not None]
    only = pair.comparisons[0] if len(pair.comparisons) == 1 else None
    return replace(
        pair,
        p_value=min(1.0, len(ps) * min(ps)),
        interval=only.interval if only else None,
        discordant=max(one.discordant or 0 for one in pair.comparisons),
    )


def _ways(pair: PairVerdict, a: Sequence[Outcome], b: Sequence[Outcome]) -> PairVerdict:
    """From three seeds on: an interval for new seeds and new pictures, where there are pictures enough."""
    if pair.units < SMALLEST_DISCORDANT:
        return replace(pair, p_value=1.0)
    right = by_seed([*a, *b])  # both arms by the same order of pictures
    right_a, right_b = right[: len(a)], right[len(a) :]
    found = crossed_difference(right_a, right_b, a[0].groups)
    pair = replace(pair, crossed=found, scores=score_gaps(a, b))
    return _with_estimate(pair, found.estimate, discordant_units((right_a != right_b).any(axis=0), a[0].groups))


def _ways_on_own_pictures(pair: PairVerdict, comparisons: Sequence[Comparison], runs: Sequence[Outcome]) -> PairVerdict:
    """The same for older runs, in which every seed drew its own test part."""
    estimate = resampled(pair.differences, _overlap(runs))
    if estimate is None:
        return replace(pair, p_value=1.0)
    return _with_estimate(pair, estimate, sum(one.discordant or 0 for one in comparisons))


def _with_estimate(pair: PairVerdict, estimate: Estimate, discordant: int) -> PairVerdict:
    return replace(
        pair,
        estimate=estimate,
        interval=estimate.interval,
        p_value=estimate.p_value,
        discordant=discordant,
        chances=estimate.chances(pair.band),
    )


def _overlap(runs: Sequence[Outcome]) -> float:
    """How much of a test part another seed tests on as well, on average."""
    parts = [frozenset(run.tested) for run in runs]
    return float(np.mean([len(one & other) / max(len(one), len(other)) for one, other in combinations(parts, 2)]))


def _reasons(a: Sequence[Outcome], b: Sequence[Outcome], comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Why two experiments cannot be compared over these seeds, each sentence once."""
    reasons = [reason for one in comparisons for reason in one.fairness.reasons]
    reasons += filter(None, [mixed_rules([*a, *b])])
    if not comparisons:
        reasons = reasons or ["They have no seed in common."]
    if not reasons and parts_of_seeds(a) == "mixed":
        reasons.append(
            "Some seeds share their test pictures and others have pictures of their own, as older runs do. Compare "
            "runs of one kind."
        )
    return tuple(dict.fromkeys(reasons))


def _with_outcome(pair: PairVerdict) -> PairVerdict:
    """The outcome of a comparable pair whose corrected p is known."""
    assert pair.p_holm is not None and pair.gap is not None
    if pair.about_models:
        outcomes = [one.outcome for one in pair.comparisons]
        return replace(pair, outcome=decide_over_models(outcomes, pair.differences, pair.p_holm))
    if pair.interval is None:
        return pair
    outcome = decide_over_seeds(pair.gap, pair.interval, pair.p_holm, pair.discordant, pair.band)
    unsettled = pair.crossed if outcome == "cannot-tell" else None
    return replace(pair, outcome=outcome, settling=settling(unsettled, pair.band) if unsettled else None)


def decide_over_seeds(gap: float, interval: Interval, p: float, discordant: int, band: float) -> Verdict:
    """The fixed rules from three seeds on; fewer discordant pictures than McNemar's test needs never make a better."""
    return decide(gap, interval, p if discordant >= SMALLEST_DISCORDANT else 1.0, band)


def decide_over_models(outcomes: Sequence[Verdict], differences: Sequence[float], p: float) -> Verdict:
    """The fixed rules for one or two seeds, from what is said of each.

    Looking at several pairs or seeds can only take a "better" back, and no seed may point the other way.
    """
    found = [outcome for outcome in outcomes if outcome in ("a-better", "b-better")]
    if found and p < ALPHA and len({np.sign(value) for value in differences}) == 1:
        return found[0]
    return "same" if set(outcomes) == {"same"} else "cannot-tell"
