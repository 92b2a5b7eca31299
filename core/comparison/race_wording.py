"""What a race says, in plain words. Nothing is called better here that `race` has not decided."""

from collections.abc import Sequence
from typing import Final

from core.comparison.arms import ArmSummary
from core.comparison.crossed import LEAST_SEEDS
from core.comparison.metrics import Interval
from core.comparison.planning import Settling, smallest_gap
from core.comparison.race import PairVerdict
from core.comparison.times import TimeRatio
from core.comparison.verdict import SMALLEST_DISCORDANT, Comparison
from core.comparison.wording import (
    counted,
    few_discordant,
    interval_ends,
    p_value,
    per_cent,
    points,
    sentence,
    whole_points,
)

TIMES: Final = {1: "once", 2: "twice"}


def accuracy_interval(arm: ArmSummary) -> str:
    """The interval of an experiment's accuracy with what it holds for, or what stands in its place."""
    if arm.interval is None:
        ends = f"{per_cent(arm.low)} to {per_cent(arm.high)}"
        return f"{ends} over {counted(len(arm.seeds), 'seed')}, whose test pictures differ"
    ends = f"{100 * arm.interval.low:.1f} to {per_cent(arm.interval.high)}"
    if arm.holds_for_seeds:
        return f"95 % interval {ends}, for new seeds and new {arm.units}"
    models = "this model" if len(arm.seeds) == 1 and not arm.folds else "these models"
    return f"95 % interval {ends}, for {models} on new {arm.units}"


def pair_sentence(pair: PairVerdict) -> str:
    """What a race says about two of its experiments, in sentences short enough to be read out."""
    if pair.outcome == "not-comparable":
        return f"{pair.label_a} and {pair.label_b} are not comparable. {' '.join(pair.reasons)}"
    if pair.about_models:
        return f"{_models(pair)} {about_models(len(pair.seeds), pair.units, pair.folds)}"
    if pair.estimate is None:
        return _nothing_varies(pair)
    first, second = _ahead_first(pair)
    within = f"within {points(pair.band)}"
    match pair.outcome:
        case "a-better" | "b-better":
            small = f" The difference is real but small: {within}." if pair.inside_band else ""
            return f"{first} is better than {second} for pictures like these: by {_gap(pair)}.{small}"
        case "same":
            return (
                f"{first} and {second} are practically the same for pictures like these: a difference of {_gap(pair)}. "
                f"The whole interval lies {within}."
            )
    given = f"{counted(len(pair.seeds), 'seed')} and {counted(pair.pictures, 'picture')}"
    parts = (
        f"{given} cannot tell {first} from {second}: a difference of {_gap(pair)}.",
        few_discordant(pair.discordant, bool(pair.groups)),
        settling_sentence(pair.settling, _unit(pair)),
    )
    return " ".join(part for part in parts if part)


def _ahead_first(pair: PairVerdict) -> tuple[str, str]:
    """Labels of the one that is ahead on average, and of the other."""
    labels = pair.label_a, pair.label_b
    return (labels[1], labels[0]) if (pair.gap or 0.0) < 0 else labels


def _gap(pair: PairVerdict) -> str:
    """The mean difference, seen from the scenario that is ahead, with its interval and p."""
    assert pair.gap is not None and pair.interval is not None and pair.p_holm is not None
    ends = pair.interval if pair.gap >= 0 else Interval(low=-pair.interval.high, high=-pair.interval.low)
    holm = f", counting all {pair.tests} pairs" if pair.tests > 1 else ""
    return f"{points(pair.gap)} ({interval_ends(ends)}; {p_value(pair.p_holm)}{holm})"


def expected_gap(seeds: int, units: int, grouped: bool = False) -> str:
    """What a race of so many seeds and test pictures, or groups of them, will show, before anything is trained."""
    gap = smallest_gap(seeds, units)
    what = "two training strategies" if seeds >= LEAST_SEEDS else "two trained models"
    tested = f"{counted(units, 'group')} of test pictures" if grouped else counted(units, "test picture")
    given = f"{counted(seeds, 'seed')} and {tested}"
    if gap is None:
        return f"{given} are too few to show any difference between {what} (80 % power, 5 %)."
    size = whole_points(gap)
    return f"Smallest detectable difference between {what}, with {given}: about {size} (80 % power, 5 %)."


def settling_sentence(found: Settling | None, unit: str = "test pictures") -> str:
    """What would help where nothing can be told; empty where that is not known.

    Args:
        unit: what `found.pictures` counts.
    """
    if found is None:
        return ""
    share = f"Of this uncertainty {100 * found.picture_share:.0f} % comes from the {unit}"
    sought = f"a difference of {points(found.gap)}"
    if found.more_seeds is not None:
        seeds = f"{_more_seeds(found.more_seeds)} would show {sought}"
        if found.pictures is not None:
            return f"{share}. {seeds}; so would about {_roughly(found.pictures)} {unit}."
        return f"{share}. More of them alone will not settle it; {seeds[0].lower()}{seeds[1:]}."
    if found.pictures is not None:
        return f"{share}: more seeds will not settle it; about {_roughly(found.pictures)} {unit} would show {sought}."
    if found.together is None:
        return f"{share}. {sought[0].upper()}{sought[1:]} is out of reach."
    more, total = found.together
    return f"{share}. {_more_seeds(more)} together with about {_roughly(total)} {unit} would show {sought}."


def _unit(pair: PairVerdict) -> str:
    """What a pair's interval counts as one piece of evidence besides a seed."""
    return "groups of test pictures" if pair.groups else "test pictures"


def _roughly(count: int) -> str:
    """Two digits of it, rounded up: 310, 1,200."""
    step = 10 ** max(len(str(count)) - 2, 0)
    return f"{-(-count // step) * step:,}"


def _more_seeds(count: int) -> str:
    return "One more seed" if count == 1 else f"About {count} more seeds"


def _nothing_varies(pair: PairVerdict) -> str:
    """Of seeds that all differ by exactly the same, or of hardly any pictures, there is no interval."""
    why = (
        f"With fewer than {SMALLEST_DISCORDANT} {_unit(pair)} nothing can be told apart."
        if pair.units < SMALLEST_DISCORDANT
        else "Every seed shows exactly the same difference, so there is nothing to judge its uncertainty by."
    )
    return f"{counted(len(pair.seeds), 'seed')} cannot tell {pair.label_a} from {pair.label_b}. {why}"


def _models(pair: PairVerdict) -> str:
    """What one or two seeds say about their trained models."""
    assert pair.p_holm is not None
    if len(pair.comparisons) == 1:
        text = sentence(pair.comparisons[0])
        if pair.outcome != pair.comparisons[0].outcome:
            text += f" Counting all {pair.tests} pairs of this race, {p_value(pair.p_holm)}: so it cannot tell."
        return text
    seeds = zip(pair.seeds, pair.comparisons, strict=True)
    return f"{_verdict_of_models(pair)} {' '.join(_one_of_two(pair, seed, one) for seed, one in seeds)}"


def _verdict_of_models(pair: PairVerdict) -> str:
    first, second = _ahead_first(pair)
    match pair.outcome:
        case "a-better" | "b-better":
            return f"The models of {first} are better than those of {second} ({p_value(pair.p_holm or 0.0)})."
        case "same":
            return f"The models of {first} and {second} are practically the same with both seeds."
    return f"The models of {first} and {second} cannot be told apart."


def _one_of_two(pair: PairVerdict, seed: int, one: Comparison) -> str:
    first = pair.label_a if (one.difference or 0.0) >= 0 else pair.label_b
    ahead = f"{first} {points(one.difference or 0.0)} ahead" if one.difference else "no difference"
    return f"Seed {seed}: {ahead}, {p_value(one.p_value or 0.0)}."


def about_models(seeds: int, pictures: int, folds: int | None = None) -> str:
    """What too few seeds say nothing about, and what three would show.

    Args:
        folds: how many models of each seed tested the pictures together; None where one tested them all.
    """
    over = f" over {folds} folds" if folds else ""
    models = f"these {seeds * folds} models of each, on pictures like these" if folds else "these trained models"
    text = (
        f"With {'one seed' if seeds == 1 else f'{seeds} seeds'}{over} this is about {models}, not about the training "
    )
    gap = smallest_gap(LEAST_SEEDS, pictures)
    if gap is None:
        return f"{text}strategy; for that it takes {LEAST_SEEDS} seeds and more test pictures."
    return f"{text}strategy: {LEAST_SEEDS} seeds would show differences from about {whole_points(gap)} on."


def speed_sentence(pair: PairVerdict) -> str:
    """Which of the two trained faster and by how much, first runs and runs with cached features apart."""
    parts = []
    for found, when in ((pair.cold, ""), (pair.warm, "with features from the cache, ")):
        if found is not None:
            text = f"{when}{_faster(pair, found)}"
            parts.append(text[0].upper() + text[1:])
    return " ".join(parts)


def _faster(pair: PairVerdict, found: TimeRatio) -> str:
    flip = found.median > 1  # the faster one is named first
    first, second = (pair.label_b, pair.label_a) if flip else (pair.label_a, pair.label_b)
    factor = found.median if flip else 1 / found.median
    if found.interval is None:
        return f"{first} trained {factor:.1f} times as fast as {second} (timed {TIMES[found.runs]})."
    ends = found.interval.low, found.interval.high
    low, high = ends if flip else (1 / ends[1], 1 / ends[0])
    interval = f"(median of {found.runs} paired runs: {factor:.1f} times, 95 % interval {low:.1f} to {high:.1f})"
    if low <= 1 <= high:
        return f"neither {first} nor {second} was clearly faster {interval}."
    return f"{first} trained faster than {second} {interval}."


def race_sentence(arms: Sequence[ArmSummary], pairs: Sequence[PairVerdict], cochran_p: float | None = None) -> str:
    """The whole race in a few sentences: what can be said about the pairs, then the accuracies."""
    if not arms:
        return "No run has finished yet."
    if len(pairs) == 1:
        return pairs[0].sentence
    ranked = sorted(arms, key=lambda arm: -arm.mean)
    means = ", ".join(f"{arm.label} {per_cent(arm.mean)} ({counted(len(arm.seeds), 'seed')})" for arm in ranked)
    means = f"Mean accuracy: {means}."
    if not pairs:
        return f"{means} One training strategy alone has nothing to be compared with."
    better = [f"{winner} than {loser}" for winner, loser in (_ordered(pair) for pair in pairs if pair.better)]
    parts = [f"Better: {'; '.join(better)}." if better else "No training strategy can be called better than another."]
    for title, outcome in (
        ("Practically the same", "same"),
        ("Cannot tell", "cannot-tell"),
        ("Not comparable", "not-comparable"),
    ):
        names = [f"{pair.label_a} and {pair.label_b}" for pair in pairs if pair.outcome == outcome]
        if names:
            parts.append(f"{title}: {'; '.join(names)}.")
    parts.append(means)
    if cochran_p is not None:
        parts.append(f"All {len(arms)} together: {p_value(cochran_p)} (Cochran's Q).")
    comparable = [pair for pair in pairs if pair.outcome != "not-comparable"]
    fewest = min(comparable, key=lambda pair: len(pair.seeds), default=None)
    if fewest is not None and fewest.about_models:
        parts.append(about_models(len(fewest.seeds), fewest.units, fewest.folds))
    return " ".join(parts)


def _ordered(pair: PairVerdict) -> tuple[str, str]:
    """Labels of the better and the other one."""
    labels = pair.label_a, pair.label_b
    return labels if pair.outcome == "a-better" else (labels[1], labels[0])
