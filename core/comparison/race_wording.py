"""What a race says, in plain words. Nothing is called better here that `race` has not decided."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Final

from core.comparison.verdict import ALPHA
from core.comparison.wording import p_value, per_cent, points, seed_count, sentence, signed_points

if TYPE_CHECKING:
    from core.comparison.race import ArmSummary, PairVerdict, TimeRatio

TIMES: Final = {1: "once", 2: "twice"}
ONE_SEED: Final = "With one seed this is about these trained models, not about the way of training."


def pair_sentence(pair: "PairVerdict") -> str:
    """What a race says about two of its scenarios."""
    if pair.outcome == "not-comparable":
        return f"{pair.label_a} and {pair.label_b} are not comparable. {' '.join(pair.reasons)}"
    if pair.comparison:
        return _one_seed(pair)
    flip = sum(pair.differences) < 0
    first, second = (pair.label_b, pair.label_a) if flip else (pair.label_a, pair.label_b)
    dots = _dots(first, [-value if flip else value for value in pair.differences])
    seeds = seed_count(len(pair.seeds))
    within = f"within {points(pair.band)}"
    match pair.outcome:
        case "a-better" | "b-better":
            small = f" The difference is real but small: always {within}." if pair.inside_band else ""
            return f"{first} is a better way of training than {second} on this data. {dots} {_test(pair)}{small}"
        case "same":
            return f"{first} and {second} are practically the same on this data: {within} in each of {seeds}. {dots}"
    return f"{seeds.capitalize()} cannot tell {first} from {second}. {dots} {_test(pair)}"


def _one_seed(pair: "PairVerdict") -> str:
    """The sentence about two models, with what looking at several pairs takes back."""
    assert pair.comparison and pair.p_holm is not None
    text = sentence(pair.comparison)
    if pair.outcome != pair.comparison.outcome:
        text += (
            f" Counting all {pair.tests} pairs of this race (Holm's correction), {p_value(pair.p_holm)}: "
            "so this race cannot tell."
        )
    return f"{text} {ONE_SEED}"


def _dots(first: str, seen: list[float]) -> str:
    """The differences themselves, seen from the scenario that is ahead on average."""
    ahead = sum(value > 0 for value in seen)
    return (
        f"{first} was ahead in {ahead} of {len(seen)} seeds, by a median of {signed_points(median(seen))} points "
        f"({signed_points(min(seen))} to {signed_points(max(seen))})."
    )


def _test(pair: "PairVerdict") -> str:
    """The sign-flip test over seeds, or why it could not have said yes."""
    assert pair.smallest_p is not None and pair.p_holm is not None
    holm = f", Holm's correction for {pair.tests} pairs included" if pair.tests > 1 else ""
    if pair.smallest_p >= ALPHA:
        return (
            f"So few seeds can never reach p < {ALPHA:g} (the smallest possible is {pair.smallest_p:.2g}{holm}): "
            "look at the dots."
        )
    return f"Sign-flip test over seeds: {p_value(pair.p_holm)}{holm}."


def speed_sentence(pair: "PairVerdict") -> str:
    """Which of the two trained faster and by how much, first runs and runs with cached features apart."""
    parts = []
    for found, when in ((pair.cold, ""), (pair.warm, "with features from the cache, ")):
        if found is not None:
            text = f"{when}{_faster(pair, found)}"
            parts.append(text[0].upper() + text[1:])
    return " ".join(parts)


def _faster(pair: "PairVerdict", found: "TimeRatio") -> str:
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


def race_sentence(arms: Sequence["ArmSummary"], pairs: Sequence["PairVerdict"], cochran_p: float | None = None) -> str:
    """The whole race in a few sentences: the means, then what can be said about the pairs."""
    if not arms:
        return "No run has finished yet."
    if len(pairs) == 1:
        return pairs[0].sentence
    ranked = sorted(arms, key=lambda arm: -arm.mean)
    means = ", ".join(f"{arm.label} {per_cent(arm.mean)} ({seed_count(len(arm.seeds))})" for arm in ranked)
    parts = [f"Mean accuracy: {means}."]
    if not pairs:
        return f"{parts[0]} One scenario alone has nothing to be compared with."
    better = [f"{winner} than {loser}" for winner, loser in (_ordered(pair) for pair in pairs if pair.better)]
    parts.append(f"Better: {'; '.join(better)}." if better else "No scenario can be called better than another.")
    for title, outcome in (
        ("Practically the same", "same"),
        ("Cannot tell", "cannot-tell"),
        ("Not comparable", "not-comparable"),
    ):
        names = [f"{pair.label_a} and {pair.label_b}" for pair in pairs if pair.outcome == outcome]
        if names:
            parts.append(f"{title}: {'; '.join(names)}.")
    if cochran_p is not None:
        parts.append(f"All {len(arms)} together: {p_value(cochran_p)} (Cochran's Q).")
    if all(pair.comparison for pair in pairs):
        parts.append(ONE_SEED)
    elif any(pair.smallest_p is not None and pair.smallest_p >= ALPHA for pair in pairs):
        parts.append(f"So few seeds can never reach p < {ALPHA:g}: look at the dots.")
    return " ".join(parts)


def _ordered(pair: "PairVerdict") -> tuple[str, str]:
    """Labels of the better and the other scenario."""
    labels = pair.label_a, pair.label_b
    return labels if pair.outcome == "a-better" else (labels[1], labels[0])
