"""How much to thaw, by what was measured before anything was trained; and whether training has borne that out.

The rule is the lecture's table of size and similarity (cs231n, "Transfer Learning"), with both measured. Its numbers
were chosen on three data sets, see benchmarks/advice.py, which also says how often it is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.advice.evidence import Evidence
from core.comparison.verdict import BAND
from core.comparison.wording import counted, per_cent, points
from core.models.catalogue import get_backbone, not_offered

FEW: Final = 20
"""Training pictures of the smallest class below which more of the network is not trained, unless they are unlike
ImageNet's: there a head on ImageNet's features has little to go by."""
LITTLE_LEFT: Final = 0.05
"""Share of pictures that a linear probe gets wrong up to which nothing that counts can be gained."""
SURE: Final = 0.5
"""Mean probability of the ImageNet names from which pictures look like ImageNet's: photos of ants and bees have 0.73,
drawn ones 0.34, digits 0.04."""
Outcome = Literal["right", "more than needed", "too little"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What to train, and why."""

    stages: int
    """From the output; 0 is the head alone."""
    headline: str
    because: str
    """A sentence."""
    numbers: str
    """What it rests on, in one line."""


def advise(evidence: Evidence) -> Advice:
    """The advice that follows from the evidence."""
    stages, because = _rule(evidence)
    return Advice(
        stages=stages,
        headline=thaw_words(stages, len(evidence.depths)),
        because=because,
        numbers=_numbers(evidence),
    )


def _rule(evidence: Evidence) -> tuple[int, str]:
    last, best, total = evidence.last, evidence.best, len(evidence.depths)
    earlier = evidence.lead_interval is not None and evidence.lead_interval[0] > 0
    wrong = 1 - last.probe
    if said := not_offered(get_backbone(evidence.backbone)):
        return 0, f"A head alone is wrong about {per_cent(wrong)} of the pictures. {said}"
    if wrong <= LITTLE_LEFT and not earlier:
        mistakes = f"is wrong about only {per_cent(wrong)} of the pictures" if wrong else "is right about every picture"
        return 0, f"A head alone {mistakes}: there is little left to gain."
    unlike = evidence.sure is not None and evidence.sure < SURE / 3
    if evidence.fewest < FEW and not unlike:
        return 0, f"{counted(evidence.fewest, 'picture')} of a class are too few to train more than a head on."
    if earlier:
        ahead = f"Stage {best.stage} tells your classes apart better than the last one, by {points(evidence.lead)}"
        return total, f"{ahead}: the later stages know ImageNet, not your pictures."
    if unlike:
        return total, f"They are unlike ImageNet's pictures, and a head alone is wrong about {per_cent(wrong)} of them."
    return total, (
        f"A head alone is wrong about {per_cent(wrong)} of the pictures, and {evidence.fewest:,} of each class are "
        "enough to train on."
    )


def thaw_words(stages: int, total: int) -> str:
    """How much that is: "Train the head only"."""
    if stages == 0:
        return "Train the head only"
    return "Thaw everything" if stages >= total else f"Thaw the last {counted(stages, 'stage').removeprefix('1 ')}"


def depth_words(stages: int, total: int) -> str:
    """The same as a name in lists: "head only", "last 2 stages", "everything"."""
    if stages == 0:
        return "head only"
    return "everything" if stages >= total else f"last {counted(stages, 'stage').removeprefix('1 ')}"


def similarity_words(sure: float | None) -> str:
    """How much the pictures are like ImageNet's, in a few words; empty where that is not known."""
    if sure is None:
        return ""
    return (
        "much like ImageNet's" if sure >= SURE else "unlike ImageNet's" if sure < SURE / 3 else "partly like ImageNet's"
    )


def _numbers(evidence: Evidence) -> str:
    last = evidence.last
    parts = [
        f"{counted(evidence.fewest, 'training picture')} in the smallest class",
        f"linear probe {per_cent(last.probe)} right ({per_cent(last.interval.low)} to {per_cent(last.interval.high)})",
    ]
    if evidence.names_alone is not None:
        parts.append(f"ImageNet names alone {per_cent(evidence.names_alone)}")
    return " · ".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """An advice beside what training came to. Accuracies are means over seeds, fractions of the test pictures."""

    advised: int
    accuracies: tuple[tuple[int, float], ...]
    """(stages that train, test accuracy), the fewest first."""
    seeds: int
    outcome: Outcome
    sentence: str


def judge(advised: int, accuracies: Mapping[int, float], seeds: int, total: int) -> Check:
    """Whether an advice was right.

    It is if nothing is better by more than what matters (`BAND`), and nothing that trains less is as good within that.

    Args:
        accuracies: by stages that train; the advised number is among them.
    """
    best = max(accuracies.values())
    enough = min(stages for stages, accuracy in accuracies.items() if accuracy >= best - BAND - 1e-9)
    outcome: Outcome = "right"
    if accuracies[advised] < best - BAND - 1e-9:
        outcome = "too little" if advised < enough else "more than needed"
    elif enough < advised:
        outcome = "more than needed"
    return Check(
        advised=advised,
        accuracies=tuple(sorted(accuracies.items())),
        seeds=seeds,
        outcome=outcome,
        sentence=_check_sentence(advised, enough, accuracies, outcome, total),
    )


def _check_sentence(advised: int, enough: int, accuracies: Mapping[int, float], outcome: Outcome, total: int) -> str:
    mine = f"{depth_words(advised, total)} reached {per_cent(accuracies[advised])} test accuracy"
    other = f"{depth_words(enough, total)} {per_cent(accuracies[enough])}"
    if outcome == "right":
        return f"The advice was right: {mine}, and nothing was better by more than {points(BAND)}."
    if outcome == "more than needed":
        return f"The advice was more than needed: {mine}, {other}."
    return f"The advice was too little: {mine}, {other}."


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackRecord:
    """How often advice was right."""

    checks: int
    right: int
    more_than_needed: int
    too_little: int


def track_record(outcomes: Sequence[Outcome]) -> TrackRecord:
    """Sum up checks."""
    return TrackRecord(
        checks=len(outcomes),
        right=outcomes.count("right"),
        more_than_needed=outcomes.count("more than needed"),
        too_little=outcomes.count("too little"),
    )


OUR_CHECKS: Final = TrackRecord(checks=18, right=10, more_than_needed=6, too_little=2)
"""Of benchmarks/advice.py with three seeds: photos of ants and bees with 10 and 40 pictures per class and with all, the
drawn set with 10 and 40, digits with 10; see docs/measured.md. The rule's numbers were chosen on one seed of four cells
like these.
"""
