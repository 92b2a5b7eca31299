"""What comes out of a comparison, in the order in which a person wants it: conclusion, numbers, what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.comparison.arms import ArmSummary
from core.comparison.crossed import LEAST_SEEDS
from core.comparison.race import PairVerdict
from core.comparison.race_verdict import RaceVerdict
from core.comparison.race_wording import about_models, settling_sentence
from core.comparison.wording import counted, per_cent, points
from core.data.reading.folder_names import listed

Grade = Literal["clearly", "probably", "same", "undecided", "not-comparable", "single"]
"""From the best founded to the least; `single`: there is nothing to be compared with."""
GRADES: Final[tuple[Grade, ...]] = ("clearly", "probably", "same", "undecided", "not-comparable", "single")
PROBABLE: Final = 0.8
"""The chance to be ahead by more than the band, from which on one is called probably better."""
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
    """How many more seeds of each would help; 0 where they would not."""
    best: str
    """Key of the experiment with the highest mean test accuracy, see `core.comparison.experiments`."""


def conclusion_of(race: RaceVerdict) -> Conclusion:
    """The answer of a race with at least one finished run."""
    ranked = sorted(race.arms, key=lambda arm: -arm.mean)
    best = ranked[0]
    against = {arm.label: _between(race.pairs, best, arm) for arm in ranked[1:]}
    found: dict[Grade, list[str]] = {}
    for label, pair in against.items():
        found.setdefault(grade_of(pair), []).append(label)
    grade: Grade = max(found, key=GRADES.index, default="single")
    open_pairs = [pair for pair in against.values() if grade_of(pair) in ("probably", "undecided")]
    return Conclusion(
        grade=grade,
        headline=_headline(best, found, against),
        numbers=f"Test accuracy: {', '.join(map(_accuracy, ranked))} · {_measured_on(ranked)}",
        advice=_advice(open_pairs, [*against.values()]),
        more_seeds=_more_seeds(open_pairs, best),
        best=best.experiment,
    )


def grade_of(pair: PairVerdict) -> Grade:
    """How well founded it is which of two is better.

    Clearly: better by the rules, over seeds. Probably: better by the rules as far as one or two seeds can say, which
    is about their models; or undecided by the rules, with a chance of at least `PROBABLE` to be ahead by more than the
    band.
    """
    if pair.outcome == "not-comparable":
        return "not-comparable"
    if pair.better:
        return "probably" if pair.about_models else "clearly"
    if pair.outcome == "same":
        return "same"
    chances = pair.chances
    return "probably" if chances and max(chances.above, chances.below) >= PROBABLE else "undecided"


def _between(pairs: Sequence[PairVerdict], a: ArmSummary, b: ArmSummary) -> PairVerdict:
    return next(pair for pair in pairs if {pair.label_a, pair.label_b} == {a.label, b.label})


def _headline(best: ArmSummary, found: dict[Grade, list[str]], against: dict[str, PairVerdict]) -> str:
    if not found:
        return f"{best.label}: {per_cent(best.mean)} test accuracy"
    parts = [
        f"{grade} better than {listed(found[grade], 6)}{_by_little(found[grade], against)}"
        for grade in GRADES[:2]
        if grade in found
    ]
    sentences = [f"{best.label} is {' and '.join(parts)}"] if parts else []
    if "same" in found:
        sentences.append(f"{listed([best.label, *found['same']], 6)} are practically the same")
    if "undecided" in found:
        others = listed(found["undecided"], 6)
        sentences.append(
            f"against {others} it is not decided yet"
            if parts
            else f"Not decided yet between {best.label} and {others}; {best.label} is ahead"
        )
    if "not-comparable" in found:
        sentences.append(f"{best.label} cannot be compared with {listed(found['not-comparable'], 6)}")
    return "; ".join(sentences)


def _by_little(labels: Sequence[str], against: dict[str, PairVerdict]) -> str:
    """A difference that is real and practically none."""
    little = all(against[label].better and against[label].inside_band for label in labels)
    return f", by less than {points(against[labels[0]].band)}" if little else ""


def _accuracy(arm: ArmSummary) -> str:
    ends = f" ({100 * arm.interval.low:.1f} to {100 * arm.interval.high:.1f})" if arm.interval else ""
    return f"{arm.label} {per_cent(arm.mean)}{ends}"


def _measured_on(arms: Sequence[ArmSummary]) -> str:
    seeds, pictures = sorted({len(arm.seeds) for arm in arms}), sorted({arm.pictures for arm in arms})
    few = f"{seeds[0]} to " if len(seeds) > 1 else ""
    return f"{few}{counted(seeds[-1], 'seed')}, {counted(pictures[-1], 'test picture')}"


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


def _more_seeds(open_pairs: Sequence[PairVerdict], best: ArmSummary) -> int:
    if len(best.seeds) < LEAST_SEEDS:
        return LEAST_SEEDS - len(best.seeds)
    wanted = [pair.settling.more_seeds for pair in open_pairs if pair.settling and pair.settling.more_seeds]
    return min([*wanted, MOST_MORE_SEEDS]) if wanted else 0
