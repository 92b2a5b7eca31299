"""Numbers and verdicts in plain words. The only place of the comparison where anything is rounded."""

from typing import Final

from core.comparison.metrics import Interval
from core.comparison.verdict import SMALLEST_DISCORDANT, Comparison

FEW_DISCORDANT = (
    f"Fewer than {SMALLEST_DISCORDANT} pictures are told right by only one of the two: that can never reach p < 0.05."
)
FEW_GROUPS = (
    f"What only one of the two tells right is of fewer than {SMALLEST_DISCORDANT} groups of pictures: so few are never "
    "called a difference."
)
ROUNDS_AWAY: Final = 0.0005
"""A share below it would be shown as 0.0 %."""


def few_discordant(units: int, grouped: bool) -> str:
    """What to say where so few pictures, or groups of them, tell two apart; empty where there are enough."""
    if units >= SMALLEST_DISCORDANT:
        return ""
    return FEW_GROUPS if grouped else FEW_DISCORDANT


def per_cent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def said_probability(fraction: float) -> str:
    """What a network gives a class. Rounding makes nothing certain, nor impossible: >99.9 %, <0.1 %."""
    if fraction >= 1 - ROUNDS_AWAY:
        return ">99.9 %"
    return per_cent(fraction) if fraction >= ROUNDS_AWAY else "<0.1 %"


def points(fraction: float) -> str:
    """A difference of two accuracies without its sign: 1 point, 3.9 points."""
    text = f"{abs(100 * fraction):.1f}".removesuffix(".0")
    return f"{text} point" if text == "1" else f"{text} points"


def whole_points(fraction: float) -> str:
    """A size that is known only roughly: 7 points, 0.8 points."""
    return f"{100 * fraction:.0f} points" if fraction >= 0.015 else points(fraction)


def counted(number: int, noun: str) -> str:
    """1 picture, 2,000 pictures."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def signed_points(fraction: float) -> str:
    """A difference in points with its sign and without the unit: +1.3, -0.7, 0.0."""
    text = f"{100 * fraction:+.1f}"
    return "0.0" if float(text) == 0 else text


def p_value(p: float) -> str:
    """A p to two digits, or as many as it takes not to read 0.05."""
    if p < 0.001:
        return "p < 0.001"
    text = f"{p:.2g}"
    return f"p = {text if text != '0.05' else f'{p:.4f}'}"


def interval_ends(interval: Interval) -> str:
    return f"95 % interval {_end(interval.low)} to {_end(interval.high)}"


def _end(fraction: float) -> str:
    """An end of an interval in points; one that only rounding would put on 0 keeps a second digit."""
    text = f"{100 * fraction:.1f}"
    return f"{100 * fraction:.2f}" if fraction and float(text) == 0 else text


def paired_methods(result: Comparison) -> tuple[str, str]:
    """How the paired difference's interval and its p were found."""
    if result.groups:
        return f"over {result.groups} groups of pictures", "McNemar's test for clustered pairs (Obuchowski 1998)"
    return "Newcombe's method 10", "Exact McNemar test"


def sentence(result: Comparison) -> str:
    """What a comparison says about these two models on these pictures, and no more than that."""
    if result.outcome == "not-comparable":
        return f"{result.a.name} and {result.b.name} are not comparable. {' '.join(result.fairness.reasons)}"
    # the one that is ahead is named first, so that no difference is ever negative by accident of order
    flip = result.outcome == "b-better" or (result.outcome != "a-better" and (result.difference or 0) < 0)
    verdict = _verdict(result, flip)
    doubts = [chip.text for chip in result.fairness.chips if chip.affects == "accuracy"]
    if doubts and result.outcome != "cannot-tell":
        verdict += f" This can have other reasons. {' '.join(doubts)}"
    return verdict


def _verdict(result: Comparison, flip: bool) -> str:
    assert result.a.accuracy and result.b.accuracy and result.interval and result.p_value is not None
    first, second = (result.b, result.a) if flip else (result.a, result.b)
    interval = result.interval
    if flip:
        interval = Interval(low=-interval.high, high=-interval.low)
    assert first.accuracy and second.accuracy
    numbers = (
        f"{per_cent(first.accuracy.value)} against {per_cent(second.accuracy.value)}, a difference of "
        f"{points(first.accuracy.value - second.accuracy.value)} ({interval_ends(interval)}), "
        f"{p_value(result.p_value)}."
    )
    pictures = f"these {counted(result.pictures, 'picture')}" if result.pictures > 1 else "this picture"
    match result.outcome:
        case "a-better" | "b-better":
            text = f"{first.name} is better than {second.name} on {pictures}: {numbers}"
            if max(abs(interval.low), abs(interval.high)) <= result.band:
                text += f" The difference is real but small: within {points(result.band)}."
            return text
        case "same":
            return (
                f"{first.name} and {second.name} are practically the same on {pictures}: {numbers} "
                f"The whole interval lies within {points(result.band)}."
            )
    text = f"{pictures.capitalize()} cannot tell {first.name} from {second.name}: {numbers}"
    if result.pictures_needed is not None and result.gap_sought is not None:
        text += (
            f" It would take about {counted(result.pictures_needed, 'picture')} to see a difference of "
            f"{points(result.gap_sought)} with 80 % power."
        )
    return f"{text} {result.note}" if result.note else text
