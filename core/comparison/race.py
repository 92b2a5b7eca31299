"""Is this way of training better? Scenarios repeated over seeds, seed by seed, with the five outcomes of `verdict`.

Split, order, augmentation and the head's start vary with the seed, all on one data set: the answer holds for that data
set and not for others. With one seed only the two trained models can be compared, and the sentences say so.
"""

import statistics as averages
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from core.comparison import race_wording
from core.comparison.fairness import Outcome
from core.comparison.metrics import Interval
from core.comparison.pictures import common, right_table
from core.comparison.statistics import cochran_q, holm, median_ratio, sign_flip, smallest_sign_flip
from core.comparison.verdict import ALPHA, BAND, Comparison, Verdict, check_band, compare, plain
from core.errors import RunError
from core.settings import SCENARIO_LABELS, SCENARIOS, differences

Arm = dict[int, Outcome]
"""The runs of one scenario, by seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSummary:
    """One scenario over its seeds; accuracies are fractions of each seed's own test pictures."""

    scenario: str
    label: str
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeRatio:
    """Training seconds of one scenario over those of another, run by run."""

    runs: int
    median: float
    interval: Interval | None
    """95 % bootstrap interval of the median; None with fewer than three runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairVerdict:
    """Two scenarios over the seeds that both have."""

    a: str
    b: str
    label_a: str
    label_b: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    """Accuracy of a minus accuracy of b, seed by seed."""
    outcome: Verdict
    band: float
    reasons: tuple[str, ...]
    """Why not comparable; empty otherwise."""
    median: float | None = None
    p_value: float | None = None
    """Sign-flip over seeds; exact McNemar where there is one seed."""
    p_holm: float | None = None
    """The same after Holm's correction for all pairs of the race."""
    tests: int = 0
    """How many pairs the correction counts."""
    smallest_p: float | None = None
    """The smallest p after Holm that this many seeds can give; None with one seed."""
    comparison: Comparison | None = None
    """The two models on their pictures; only with one seed."""
    cold: TimeRatio | None = None
    """Over the seeds in which neither run found features in the cache; None where machines or threads differ."""
    warm: TimeRatio | None = None
    """Over the other seeds: never mixed with the former."""
    speed: str = ""
    """Which of the two trained faster, in a sentence; empty where nothing can be said."""
    sentence: str = ""

    @property
    def better(self) -> bool:
        """One of the two is called better."""
        return self.outcome in ("a-better", "b-better")

    @property
    def inside_band(self) -> bool:
        """Every seed's difference is practically no difference."""
        return all(abs(difference) <= self.band for difference in self.differences)


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceVerdict:
    """A race: every scenario, every pair, and one sentence for the whole."""

    arms: tuple[ArmSummary, ...]
    pairs: tuple[PairVerdict, ...]
    band: float
    sentence: str
    cochran_p: float | None = None
    """Cochran's Q over more than two models on the same pictures; None with several seeds."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, nothing rounded."""
        return plain(self)


def race_verdict(outcomes: Sequence[Outcome], band: float = BAND) -> RaceVerdict:
    """Compare scenarios over seeds.

    A way of training is called better only if the sign-flip p, after Holm's correction over all pairs, is below 0.05.
    Otherwise all per-seed differences inside the band: practically the same; else the race cannot tell.

    Args:
        outcomes: finished runs, at most one for each scenario and seed; seeds may be missing in some scenarios.
        band: differences in accuracy within this fraction are practically no difference.

    Raises:
        SettingsError: the band is not a fraction from 0 to 0.5, or there are more seeds than can be enumerated.
        RunError: a scenario has two runs with the same seed, or a run has no test pictures.
    """
    check_band(band)
    arms = _arms(outcomes)
    pairs = [_pair(a, b, arms, band) for a, b in combinations(arms, 2)]
    pairs = [
        replace(pair, sentence=race_wording.pair_sentence(pair), speed=race_wording.speed_sentence(pair))
        for pair in _decided(pairs)
    ]
    summaries = tuple(_arm_summary(scenario, arm) for scenario, arm in arms.items())
    cochran_p = _cochran(arms, pairs)
    lacks = dict.fromkeys(sentence for outcome in outcomes for sentence in outcome.lacks)
    sentence = " ".join([race_wording.race_sentence(summaries, pairs, cochran_p), *lacks])
    return RaceVerdict(arms=summaries, pairs=tuple(pairs), band=band, sentence=sentence, cochran_p=cochran_p)


def _cochran(arms: Mapping[str, Arm], pairs: Sequence[PairVerdict]) -> float | None:
    """One test for all models together, where there are more than two and every pair can be compared."""
    if len(arms) < 3 or not all(pair.comparison and pair.outcome != "not-comparable" for pair in pairs):
        return None
    runs = [next(iter(arm.values())).tested for arm in arms.values()]
    return cochran_q(right_table(runs, common(runs)))


def _arms(outcomes: Sequence[Outcome]) -> dict[str, Arm]:
    """Runs by scenario and seed, scenarios in their usual order, seeds ascending."""
    arms: dict[str, Arm] = {}
    for outcome in sorted(outcomes, key=lambda one: (SCENARIOS.index(one.settings.model.scenario), one.settings.seed)):
        arm = arms.setdefault(outcome.settings.model.scenario, {})
        if outcome.settings.seed in arm:
            raise RunError(
                f"{SCENARIO_LABELS[outcome.settings.model.scenario]} has two runs with seed {outcome.settings.seed}, "
                f"{arm[outcome.settings.seed].run} and {outcome.run}; a race takes one."
            )
        arm[outcome.settings.seed] = outcome
    return arms


def _arm_summary(scenario: str, arm: Arm) -> ArmSummary:
    accuracies = tuple(_accuracy(outcome) for outcome in arm.values())
    return ArmSummary(
        scenario=scenario,
        label=SCENARIO_LABELS[scenario],
        seeds=tuple(arm),
        accuracies=accuracies,
        mean=averages.fmean(accuracies),
        low=min(accuracies),
        high=max(accuracies),
    )


def _accuracy(outcome: Outcome) -> float:
    if not outcome.pictures:
        raise RunError(f"run {outcome.run} has no test pictures, so it has no accuracy; leave it out of the race.")
    return float((outcome.probabilities.argmax(axis=1) == outcome.targets).mean())


def _pair(a: str, b: str, arms: Mapping[str, Arm], band: float) -> PairVerdict:
    """Two scenarios before Holm's correction: the outcome is still `cannot-tell` or `not-comparable`."""
    seeds = tuple(seed for seed in arms[a] if seed in arms[b])
    comparisons = [compare(arms[a][seed], arms[b][seed], band) for seed in seeds]
    reasons = _reasons(arms[a], arms[b], seeds, comparisons)
    pair = PairVerdict(
        a=a,
        b=b,
        label_a=SCENARIO_LABELS[a],
        label_b=SCENARIO_LABELS[b],
        seeds=seeds,
        differences=tuple(one.difference for one in comparisons if one.difference is not None),
        outcome="not-comparable" if reasons else "cannot-tell",
        band=band,
        reasons=reasons,
        comparison=comparisons[0] if len(comparisons) == 1 else None,
    )
    pair = _with_times(pair, comparisons, [[arm[seed] for seed in seeds] for arm in (arms[a], arms[b])])
    if reasons:
        return pair
    p = pair.comparison.p_value if pair.comparison else sign_flip(pair.differences)
    return replace(pair, median=averages.median(pair.differences), p_value=p)


def _with_times(pair: PairVerdict, comparisons: Sequence[Comparison], arms: Sequence[Sequence[Outcome]]) -> PairVerdict:
    """How much longer a trained than b, where all runs were timed on the same machine in the same way."""
    chips = {chip.field for one in comparisons for chip in one.fairness.chips}
    if chips & {"machine", "threads", "engine"}:
        return pair
    cold: list[float] = []
    warm: list[float] = []
    for one, runs in zip(comparisons, zip(*arms, strict=True), strict=True):
        if one.time_ratio:
            (warm if any(run.cached_features for run in runs) else cold).append(one.time_ratio)
    return replace(pair, cold=_time_ratio(cold), warm=_time_ratio(warm))


def _time_ratio(ratios: Sequence[float]) -> TimeRatio | None:
    if not ratios:
        return None
    middle, interval = median_ratio(ratios)
    return TimeRatio(runs=len(ratios), median=middle, interval=interval)


def _reasons(a: Arm, b: Arm, seeds: tuple[int, ...], comparisons: list[Comparison]) -> tuple[str, ...]:
    """Why two scenarios cannot be compared over these seeds, each sentence once."""
    if not seeds:
        return ("They have no seed in common.",)
    reasons = [reason for one in comparisons for reason in one.fairness.reasons]
    for arm in (a, b):
        first = arm[seeds[0]].settings
        changed = {row[0] for seed in seeds for row in differences(first, arm[seed].settings)} - {"seed"}
        if changed:
            label = SCENARIO_LABELS[first.model.scenario]
            reasons.append(f"{label} changed more than its seed from run to run: {', '.join(sorted(changed))}.")
    return tuple(dict.fromkeys(reasons))


def _decided(pairs: list[PairVerdict]) -> list[PairVerdict]:
    """Pairs with Holm's correction over those that can be compared, and their outcomes."""
    tested = [pair for pair in pairs if pair.p_value is not None]
    corrected = iter(holm([pair.p_value for pair in tested if pair.p_value is not None]))
    return [
        pair if pair.p_value is None else _with_outcome(replace(pair, p_holm=next(corrected), tests=len(tested)))
        for pair in pairs
    ]


def _with_outcome(pair: PairVerdict) -> PairVerdict:
    """The outcome of a comparable pair whose corrected p is known."""
    p = pair.p_holm
    assert p is not None
    if pair.comparison:
        # two models on their pictures; looking at several pairs can only take a "better" back
        better = pair.comparison.outcome in ("a-better", "b-better")
        return replace(pair, outcome="cannot-tell" if better and p >= ALPHA else pair.comparison.outcome)
    pair = replace(pair, smallest_p=min(1.0, pair.tests * smallest_sign_flip(len(pair.seeds))))
    if p < ALPHA:
        return replace(pair, outcome="a-better" if sum(pair.differences) > 0 else "b-better")
    return replace(pair, outcome="same" if pair.inside_band else "cannot-tell")
