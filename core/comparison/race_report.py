"""A race to take home: Markdown with its small print, and CSV with a row for every pair of scenarios."""

from core.comparison.conclusion import conclusion_of
from core.comparison.crossed import LEAST_SEEDS
from core.comparison.metrics import Interval
from core.comparison.race import PairVerdict
from core.comparison.race_verdict import RaceVerdict
from core.comparison.race_wording import accuracy_interval
from core.comparison.scores import ScoreGap
from core.comparison.tables import csv_table, markdown_table
from core.comparison.wording import p_value, per_cent, signed_points

OUTCOMES = {
    "a-better": "first is better",
    "b-better": "second is better",
    "same": "practically the same",
    "cannot-tell": "cannot tell",
    "not-comparable": "not comparable",
}


def race_as_markdown(race: RaceVerdict) -> str:
    """The whole race as a page of Markdown, its conclusion first."""
    arms = [
        (arm.label, per_cent(arm.mean), ", ".join(map(str, arm.seeds)), arm.pictures, accuracy_interval(arm))
        for arm in race.arms
    ]
    gaps = ["first minus second", "gap", "95 % interval", "p", "above, inside, below", "verdict"]
    scores = [_score_row(pair, score) for pair in race.pairs for score in pair.scores]
    found = conclusion_of(race)
    lines = ["# Comparison", "", f"**{found.headline}.**", "", found.numbers, "", *filter(None, [found.advice])]
    lines += ["", "## In words", "", race.sentence, "", "## Accuracy on the test pictures", ""]
    lines += markdown_table(["", "mean", "seeds", "test pictures", ""], arms)
    lines += ["", "## Pairs, in points of accuracy", "", *markdown_table(gaps, map(_pair_row, race.pairs)), ""]
    lines += [f"- {pair.sentence}" for pair in race.pairs]
    lines += [f"- {pair.speed}" for pair in race.pairs if pair.speed]
    if scores:
        head = ["pair", "score", "first", "second", "first minus second", "95 % interval"]
        lines += ["", "## Other scores", "", *markdown_table(head, scores)]
    return "\n".join([*lines, "", "## Small print", "", *_small_print(race)]) + "\n"


def race_as_csv(race: RaceVerdict) -> str:
    """A row per pair; gaps are fractions, first minus second."""
    head = ["first", "second", "seeds", "test pictures", "gap", "low", "high", "p", "p Holm"]
    return csv_table([*head, "above", "inside", "below", "verdict", "by seed"], map(_csv_row, race.pairs))


def _csv_row(pair: PairVerdict) -> list[object]:
    ends = (pair.interval.low, pair.interval.high) if pair.interval else (None, None)
    chances = pair.chances
    places = (chances.above, chances.inside, chances.below) if chances else (None, None, None)
    by_seed = " ".join(f"{seed}:{gap:g}" for seed, gap in zip(pair.seeds, pair.differences, strict=False))
    numbers = [len(pair.seeds), pair.pictures, pair.gap, *ends, pair.p_value, pair.p_holm, *places]
    return [pair.label_a, pair.label_b, *numbers, pair.outcome, by_seed]


def _pair_row(pair: PairVerdict) -> tuple[str, ...]:
    gap = "-" if pair.gap is None else signed_points(pair.gap)
    p = "-" if pair.p_holm is None else p_value(pair.p_holm)
    chances = pair.chances
    places = ", ".join(map(per_cent, (chances.above, chances.inside, chances.below))) if chances else "-"
    ends = _ends(pair.interval) if pair.interval else "-"
    return f"{pair.label_a} minus {pair.label_b}", gap, ends, p, places, OUTCOMES[pair.outcome]


def _ends(interval: Interval) -> str:
    return f"{signed_points(interval.low)} to {signed_points(interval.high)}"


def _score_row(pair: PairVerdict, score: ScoreGap) -> tuple[str, ...]:
    gap = score.estimate
    numbers = f"{score.a:.3f}", f"{score.b:.3f}", f"{gap.value:+.3f}"
    ends = f"{gap.interval.low:+.3f} to {gap.interval.high:+.3f}"
    return f"{pair.label_a}, {pair.label_b}", score.name, *numbers, ends


def _small_print(race: RaceVerdict) -> list[str]:
    tests = max((pair.tests for pair in race.pairs), default=0)
    grouped = any(pair.groups for pair in race.pairs)
    others = "other groups of the same kind" if grouped else "other pictures of the same kind, not other subjects"
    return [
        f"- From {LEAST_SEEDS} seeds on: seeds and test pictures are crossed random effects (Obuchowski and Rockette "
        "1995, degrees of freedom after Hillis 2007), a t interval. With fewer: exact McNemar test of the trained "
        "models, seed by seed.",
        f"- Practically the same within {100 * race.band:g} points. Pairs tested: {tests}, p after Holm's correction.",
        "- Above, inside, below: chances that the true gap lies so, from the same t distribution.",
        f"- It is about this data set: {others}.",
    ]
