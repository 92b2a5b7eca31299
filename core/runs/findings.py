"""What a study has shown: accuracy by depth, accuracy by pictures, one rate against another."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.advice.growth import Growth, enough_yet
from core.advice.plans import SOME, thawed
from core.advice.rule import depth_words
from core.comparison.arms import summary_of_arm
from core.comparison.crossed import grouped_share
from core.comparison.metrics import Interval
from core.comparison.verdict import BAND
from core.comparison.wording import per_cent, points
from core.models.catalogue import get_backbone
from core.runs.record import load_record
from core.runs.results import load_outcome
from core.runs.shifted import load_shifted
from core.runs.store import Run
from core.runs.studies import Study
from core.settings.scenarios import place_of

PLAIN: Final = "test pictures"
"""In the place of a shift."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shifted:
    """Accuracy on shifted test pictures, over the seeds."""

    accuracy: float
    interval: Interval
    """95 %, over new pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """So many stages trained, over the seeds that have finished."""

    stages: int
    label: str
    seeds: int
    accuracy: float
    interval: Interval | None
    """95 %, see `core.comparison.arms.ArmSummary`."""
    seconds: float
    """Mean, from the start of a run to its record; features that were in the cache took none."""
    changed_bytes: int
    """Of parameters and buffers, mean."""
    shifted: Mapping[str, Shifted]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Accuracy by depth."""

    depths: tuple[Depth, ...]
    """The fewest stages first."""
    sentence: str
    flips: str
    """Where a shift asks for another depth; empty where none does."""


def sweep_of(study: Study) -> Sweep | None:
    """What a sweep has shown so far; None where no run has finished."""
    total = len(get_backbone(study.settings.model.backbone).stages)
    by_depth: dict[int, list[Run]] = {}
    for run in study.finished:
        by_depth.setdefault(thawed(run.settings), []).append(run)
    rows = tuple(_depth(stages, by_depth[stages], total) for stages in sorted(by_depth))
    if not rows:
        return None
    best = _enough({row.stages: row.accuracy for row in rows})
    chosen = next(row for row in rows if row.stages == best)
    sentence = f"Enough is {chosen.label}: {per_cent(chosen.accuracy)} test accuracy"
    others = [row for row in rows if row is not chosen]
    sentence += f"; nothing else is better by more than {points(BAND)}." if others else "."
    return Sweep(depths=rows, sentence=sentence, flips=_flips(rows, best))


def _depth(stages: int, runs: Sequence[Run], total: int) -> Depth:
    arm = summary_of_arm({run.settings.seed: load_outcome(run.id) for run in runs})
    records = [load_record(run.id) for run in runs]
    return Depth(
        stages=stages,
        label=depth_words(stages, total),
        seeds=len(runs),
        accuracy=arm.mean,
        interval=arm.interval,
        seconds=statistics.fmean(record.duration_s for record in records),
        changed_bytes=round(statistics.fmean(record.costs.changed_bytes or 0 for record in records)),
        shifted=_shifted([load_shifted(run.id) for run in runs]),
    )


def _shifted(runs: Iterable[Mapping[str, Sequence[bool]]]) -> dict[str, Shifted]:
    """Over those seeds that were asked, each about the same pictures."""
    tables: dict[str, list[Sequence[bool]]] = {}
    for run in runs:
        for name, right in run.items():
            tables.setdefault(name, []).append(right)
    found = {}
    for name, rows in tables.items():
        share = np.array(rows, dtype=np.float64).mean(axis=0)
        found[name] = Shifted(accuracy=float(share.mean()), interval=grouped_share(share, ()))
    return found


def _enough(accuracies: Mapping[int, float]) -> int:
    """The fewest stages within what matters of the best."""
    best = max(accuracies.values())
    return min(stages for stages, accuracy in accuracies.items() if accuracy >= best - BAND - 1e-9)


def _flips(rows: Sequence[Depth], usual: int) -> str:
    """In which shifts another depth is better than the one that is enough on plain pictures, by more than matters."""
    found = []
    for name in rows[0].shifted:
        asked = {row.stages: row.shifted[name].accuracy for row in rows if name in row.shifted}
        if usual in asked and max(asked.values()) > asked[usual] + BAND:
            best = max(asked, key=lambda stages: asked[stages])
            label = next(row.label for row in rows if row.stages == best)
            found.append(f"{name}: {label}, by {points(asked[best] - asked[usual])}")
    return f"On shifted test pictures another depth is ahead. {'; '.join(found)}." if found else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One strategy's test accuracy against pictures per class."""

    scenario: str
    label: str
    sizes: tuple[int, ...]
    """Training pictures of the smallest class, ascending."""
    accuracies: tuple[tuple[float, ...], ...]
    """Of each size, by seed."""

    @property
    def means(self) -> tuple[float, ...]:
        return tuple(statistics.fmean(row) for row in self.accuracies)


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """Accuracy against pictures, strategy by strategy."""

    curves: tuple[Curve, ...]
    """In the usual order of strategies."""
    sentences: tuple[str, ...]
    """From how many pictures on which strategy is ahead."""
    growth: Growth | None
    """Of the strategy that is best with all pictures."""
    growing: str
    """What that strategy is called."""


def crossing_of(study: Study) -> Crossing | None:
    """What a study of pictures has shown so far; None where no run has finished."""
    found: dict[str, dict[int, list[float]]] = {}
    labels: dict[str, str] = {}
    for run in study.finished:
        record, scenario = load_record(run.id), run.settings.model.scenario
        counts = record.class_counts.get("train", ())
        labels[scenario] = _called(run)
        found.setdefault(scenario, {}).setdefault(_size(run, counts), []).append(record.test_accuracy)
    if not found:
        return None
    curves = tuple(
        Curve(
            scenario=scenario,
            label=labels[scenario],
            sizes=tuple(sorted(found[scenario])),
            accuracies=tuple(tuple(found[scenario][size]) for size in sorted(found[scenario])),
        )
        for scenario in sorted(found, key=place_of)
    )
    best = max(curves, key=lambda curve: curve.means[-1])
    growth = enough_yet(best.sizes, best.accuracies)
    return Crossing(curves=curves, sentences=_leads(curves), growth=growth, growing=best.label)


def _size(run: Run, counts: Sequence[int]) -> int:
    """Pictures per class: as asked for, or those of the smallest class, which seeds vary a little."""
    smallest = min(counts, default=1)
    rounded = smallest if smallest < 20 else 10 * round(smallest / 10)
    return run.settings.data.train_per_class or rounded


def _called(run: Run) -> str:
    row = run.settings.model.row
    return f"{row.label} {run.settings.model.last_stages}" if row is SOME else row.label


def _leads(curves: Sequence[Curve]) -> tuple[str, ...]:
    """The strategy ahead at each size, runs of the same one together."""
    sizes = sorted(set.intersection(*(set(curve.sizes) for curve in curves)))
    leads: list[tuple[str, int]] = []
    for size in sizes:
        ahead = max(curves, key=lambda curve: curve.means[curve.sizes.index(size)]).label
        if not leads or leads[-1][0] != ahead:
            leads.append((ahead, size))
    return tuple(
        f"{label} is ahead {'from the start' if place == 0 else f'from {size} pictures per class on'}"
        for place, (label, size) in enumerate(leads)
    )


def later_sentence(runs: Iterable[Run]) -> str:
    """Whether from scratch has got as far as the best that began with pretrained weights; empty before both are there.

    Args:
        runs: finished ones.
    """
    reached = {run.settings.model.row.from_nothing: run for run in sorted(runs, key=_accuracy)}
    if len(reached) < 2:
        return ""
    late, early = reached[True], reached[False]
    gap = _accuracy(early) - _accuracy(late)
    epochs, row = late.settings.optim.epochs, early.settings.model.row
    which = f"{epochs} epochs from scratch"
    beside = f"{per_cent(_accuracy(late))} test accuracy, {row.label} {per_cent(_accuracy(early))}"
    if gap > BAND + 1e-9:
        return f"Not within {which}: {beside}."
    return f"Yes, within {which}: {beside}."


def _accuracy(run: Run) -> float:
    return float((run.summary or {})["test_accuracy"])
