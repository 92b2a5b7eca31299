"""What comes out of a comparison, in the order in which a person wants it: conclusion, numbers, what to do next."""

import statistics as averages
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from scipy.special import ndtr

from core.comparison.arms import ArmSummary
from core.comparison.crossed import LEAST_SEEDS, Chances, Z
from core.comparison.planning import USUAL_SEED_SPREAD
from core.comparison.race import PairVerdict
from core.comparison.race_verdict import RaceVerdict
from core.comparison.race_wording import about_models, settling_sentence
from core.comparison.verdict import plain
from core.comparison.wording import counted, per_cent, points
from core.data.reading.folder_names import listed

Grade = Literal["clearly", "probably", "same", "undecided", "not-comparable", "single"]
"""From the best founded to the least; `single`: there is nothing to be compared with."""
GRADES: Final[tuple[Grade, ...]] = ("clearly", "probably", "same", "undecided", "not-comparable", "single")
PROBABLE: Final = 0.85
"""The chance to be ahead by more than the band, from which on one of two is called probably better. With it, and three
seeds or more, equals are called probably or clearly better in at most 10 % of simulated races (with 0.8 in up to 15 %,
in up to 60 % of six arms where pairs are not counted), see the part `grades` of benchmarks/simulation.py."""
CAUTIOUS_SEED_SPREAD: Final = 2 * USUAL_SEED_SPREAD
"""What one or two seeds cannot show, and is taken to be: the standard deviation of a true difference over seeds.
With one seed equals are then called probably better in at most 6 % where accuracies spread by 1.5 points over seeds
(45 % without), but in 28 % where they spread by 4."""
MOST_MORE_SEEDS: Final = 7
"""More seeds than that nobody is asked to run at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """A comparison's answer, graded, and what stands below it."""

    grade: Grade
    """Of the best one against the others: the least founded of what is said about them."""
    headline: str
    numbers: str
    """One line: each accuracy with its 95 % interval, and what it was measured on."""
    advice: str
    """What would settle it, or what this is not about; may be empty."""
    more_seeds: int
    """How many more seeds each two should have in common; 0 where more would not help."""
    best: str
    """Key of the experiment with the highest mean test accuracy, see `core.comparison.experiments`."""
    runner_up: str = ""
    """That of the next one that can be compared with it; empty where there is none."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return plain(self)


def conclusion_of(race: RaceVerdict) -> Conclusion:
    """The answer of a race with at least one finished run."""
    ranked = sorted(race.arms, key=lambda arm: -arm.mean)
    best = ranked[0]
    against = {arm.label: _between(race.pairs, best, arm) for arm in ranked[1:]}
    comparable = [pair for pair in against.values() if pair.outcome != "not-comparable"]
    grades = {label: grade_of(pair) for label, pair in against.items()}
    open_pairs = [pair for label, pair in against.items() if grades[label] in ("probably", "undecided")]
    return Conclusion(
        grade=max(grades.values(), key=GRADES.index, default="single"),
        headline=_headline(best, grades, against),
        numbers=_numbers(ranked, race.pairs),
        advice=_advice(open_pairs, [*against.values()]),
        more_seeds=_more_seeds(open_pairs, comparable),
        best=best.experiment,
        runner_up=next((arm.experiment for arm in ranked[1:] if against[arm.label] in comparable), ""),
    )


def grade_of(pair: PairVerdict) -> Grade:
    """How well founded it is which of two is the better training strategy.

    Clearly: better by the rules, over seeds. Probably: what the rules leave open, or what one or two seeds say of their
    models, with a chance of at least `PROBABLE` to be ahead by more than the band. Of training strategies one or two
    seeds say nothing else. Among several one is always ahead by chance, so all pairs count (Bonferroni).
    """
    if pair.outcome == "not-comparable":
        return "not-comparable"
    if not pair.about_models and pair.outcome != "cannot-tell":
        return "clearly" if pair.better else "same"
    chances = _chances_over_models(pair) if pair.about_models and pair.better else pair.chances
    least = 1 - (1 - PROBABLE) / max(pair.tests, 1)
    return "probably" if chances and max(chances.above, chances.below) >= least else "undecided"


def _chances_over_models(pair: PairVerdict) -> Chances | None:
    """Where the true gap of two strategies may lie, as one or two of their models show it and seeds usually vary."""
    intervals = [one.interval for one in pair.comparisons if one.interval]
    gap = averages.fmean(pair.differences)
    return chances_over_models(gap, [(ends.high - ends.low) / (2 * Z) for ends in intervals], pair.band)


def chances_over_models(gap: float, errors: Sequence[float], band: float) -> Chances:
    """Where the true gap of two strategies may lie.

    Args:
        gap: the mean difference.
        errors: the standard error of each seed's difference; seeds share their pictures, so it does not get smaller.
    """
    error = (averages.fmean(errors) ** 2 + CAUTIOUS_SEED_SPREAD**2 / len(errors)) ** 0.5
    above, below = float(ndtr((gap - band) / error)), float(ndtr((-band - gap) / error))
    return Chances(above=above, inside=1 - above - below, below=below)


def _between(pairs: Sequence[PairVerdict], a: ArmSummary, b: ArmSummary) -> PairVerdict:
    return next(pair for pair in pairs if {pair.label_a, pair.label_b} == {a.label, b.label})


def _headline(best: ArmSummary, grades: dict[str, Grade], against: dict[str, PairVerdict]) -> str:
    if not grades:
        return f"{best.label}: {per_cent(best.mean)} test accuracy"
    name, found = _as_a_name(best.label), dict[Grade, list[str]]()
    for label, grade in grades.items():
        found.setdefault(grade, []).append(_as_a_name(label))
    against = {_as_a_name(label): pair for label, pair in against.items()}
    ways = {
        "clearly": "clearly better than {}",
        "probably": "probably better than {}",
        "same": "practically as accurate as {}",
    }
    parts = [
        way.format(listed(found[grade], 6)) + _by_little(found[grade], against)
        for grade, way in ways.items()
        if grade in found
    ]
    sentences = [f"{name} is {' and '.join(parts)}"] if parts else []
    if "undecided" in found:
        others = listed(found["undecided"], 6)
        ahead = _so_far(best, [against[label] for label in found["undecided"]])
        against_others = f"against {others} it is not decided yet"
        sentences.append(
            against_others if parts else f"Not decided yet between {listed([name, *found['undecided']], 6)}{ahead}"
        )
    if "not-comparable" in found:
        sentences.append(f"{name} cannot be compared with {listed(found['not-comparable'], 6)}")
    return "; ".join(sentences)


def _as_a_name(label: str) -> str:
    """A name with a comma in it reads as two."""
    return f"\u201c{label}\u201d" if "," in label.partition("(")[0] else label


def _by_little(labels: Sequence[str], against: dict[str, PairVerdict]) -> str:
    """A difference that is real and practically none."""
    little = all(against[label].better and against[label].inside_band for label in labels)
    return f", by less than {points(against[labels[0]].band)}" if little else ""


def _so_far(best: ArmSummary, pairs: Sequence[PairVerdict]) -> str:
    """What can be said all the same of the best one where nothing is decided."""
    if not all(pair.gap for pair in pairs):
        return ""
    if all(pair.about_models and pair.better for pair in pairs):
        that = "that" if all(len(pair.seeds) == 1 for pair in pairs) else "those"
        return f"; of the trained models, {that} of {best.label} {'is' if that == 'that' else 'are'} better"
    return f"; {best.label} is ahead"


def _numbers(arms: Sequence[ArmSummary], pairs: Sequence[PairVerdict]) -> str:
    only = arms[0]
    if len(arms) == 1 and only.interval:  # the headline has the rest
        ends = f"{100 * only.interval.low:.1f} to {per_cent(only.interval.high)}"
        return f"95 % interval {ends} · {_measured_on(arms, pairs)}"
    kind = " (95 % interval)" if all(arm.interval for arm in arms) else ""
    accuracies = "; ".join(", ".join([_accuracy(arm), *_its_own(arm, arms)]) for arm in arms)
    return " · ".join(filter(None, [f"Test accuracy{kind}: {accuracies}", _measured_on(arms, pairs)]))


def _accuracy(arm: ArmSummary) -> str:
    ends = f" ({100 * arm.interval.low:.1f} to {100 * arm.interval.high:.1f})" if arm.interval else ""
    return f"{_as_a_name(arm.label)} {per_cent(arm.mean)}{ends}"


def _its_own(arm: ArmSummary, arms: Sequence[ArmSummary]) -> list[str]:
    """How often and on how many pictures it was tested, where the others were not alike in that."""
    seeds, pictures = {len(one.seeds) for one in arms}, {one.pictures for one in arms}
    return [counted(len(arm.seeds), "seed")] * (len(seeds) > 1) + [counted(arm.pictures, "test picture")] * (
        len(pictures) > 1
    )


def _measured_on(arms: Sequence[ArmSummary], pairs: Sequence[PairVerdict]) -> str:
    """What all have in common."""
    folds = {arm.folds for arm in arms if arm.folds}
    over = f" over {folds.pop()} folds" if len(folds) == 1 else ""
    groups = max((pair.groups for pair in pairs), default=0)
    of = f" of {counted(groups, 'group')}" if groups else ""
    seeds, pictures = {len(arm.seeds) for arm in arms}, {arm.pictures for arm in arms}
    parts = [
        counted(max(seeds), "seed") + over if len(seeds) == 1 else over.strip(),
        counted(max(pictures), "test picture") + of if len(pictures) == 1 else "",
    ]
    return ", ".join(filter(None, parts))


def _advice(open_pairs: Sequence[PairVerdict], pairs: Sequence[PairVerdict]) -> str:
    comparable = [pair for pair in pairs if pair.outcome != "not-comparable"]
    if not comparable:
        return " ".join(dict.fromkeys(reason for pair in pairs for reason in pair.reasons))
    fewest = min(comparable, key=lambda pair: len(pair.seeds))
    if fewest.about_models:
        return about_models(len(fewest.seeds), fewest.units, fewest.folds)
    unsettled = next((pair for pair in open_pairs if pair.settling), None)
    unit = "groups of test pictures" if unsettled and unsettled.groups else "test pictures"
    return settling_sentence(unsettled.settling, unit) if unsettled else ""


def _more_seeds(open_pairs: Sequence[PairVerdict], comparable: Sequence[PairVerdict]) -> int:
    fewest = min((len(pair.seeds) for pair in comparable), default=LEAST_SEEDS)
    if fewest < LEAST_SEEDS:
        return LEAST_SEEDS - fewest
    wanted = [pair.settling.more_seeds for pair in open_pairs if pair.settling and pair.settling.more_seeds]
    return min([*wanted, MOST_MORE_SEEDS]) if wanted else 0
