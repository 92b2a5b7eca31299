"""Runs that each tested one fold of the pictures, gathered: over all folds every picture was tested once.

What is gathered answers another question than one run does: how good this way of training is on pictures like these,
over models that each learnt from all folds but one. It is the accuracy of none of the models.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from core.comparison.fairness import Outcome
from core.errors import RunError
from core.settings import DataSettings, RunSettings

QUESTION: Final = (
    "Over {folds} folds every picture was tested once, by a model that had not seen it: this is how good the way of "
    "training is on pictures like these when it learns from {folds_less} of {folds} parts of them, not how good one "
    "of the models is."
)


def gather_folds(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same runs, those of the folds of one seed and scenario as one; runs without folds stay as they are.

    Raises:
        RunError: a fold is missing, or there twice.
    """
    gathered: dict[RunSettings, list[Outcome]] = {}
    for outcome in outcomes:
        data = replace(outcome.settings.data, fold=None) if outcome.settings.data.folds else outcome.settings.data
        gathered.setdefault(replace(outcome.settings, data=data), []).append(outcome)
    return [
        _as_one(settings, runs) if settings.data.folds else run
        for settings, runs in gathered.items()
        for run in (runs[:1] if settings.data.folds else runs)
    ]


def question(outcomes: Sequence[Outcome]) -> str:
    """Which question accuracies over folds answer; empty where there are no folds."""
    return question_of(next((one.settings.data.folds for one in outcomes if one.settings.data.folds), None))


def question_of(folds: int | None) -> str:
    """The same of so many folds."""
    return QUESTION.format(folds=folds, folds_less=folds - 1) if folds else ""


def overlap(data: DataSettings) -> float:
    """What an accuracy's standard error over all folds is to be multiplied by; 1 without folds and for one alone.

    Models that learn from almost the same pictures, each from what others are tested on, err together: the usual error
    is too small, and no estimate of it from the folds is right for all data (Bengio and Grandvalet, Journal of Machine
    Learning Research 5 (2004) 1089-1105). The correction of Nadeau and Bengio (Machine Learning 52 (2003) 239-281)
    takes 1/K + tested/trained in the place of 1/K, which is 1/K + 1/(K - 1) here. How often the interval then holds
    the truth, and that differences need no correction, is measured by benchmarks/truth.py.
    """
    if data.folds is None or data.fold is not None:
        return 1.0
    return math.sqrt(1 + data.folds / (data.folds - 1))


def _as_one(settings: RunSettings, runs: Sequence[Outcome]) -> Outcome:
    runs = sorted(runs, key=lambda run: run.settings.data.fold or 0)
    folds, there = settings.data.folds or 0, [run.settings.data.fold for run in runs]
    if there != list(range(1, folds + 1)):
        missing = [str(fold) for fold in range(1, folds + 1) if fold not in there]
        what = f"fold {' and '.join(missing)} of {folds} is missing" if missing else "a fold is there twice"
        raise RunError(f"{runs[0].label}, seed {settings.seed}: {what}, so not every picture was tested once.")
    first = runs[0]
    phases = dict.fromkeys(phase for run in runs for phase in run.timings)
    return replace(
        first,
        settings=settings,
        split_hash=hashlib.sha256("".join(run.split_hash for run in runs).encode()).hexdigest(),
        pictures=tuple(picture for run in runs for picture in run.pictures),
        targets=np.concatenate([run.targets for run in runs]),
        probabilities=np.concatenate([run.probabilities for run in runs]),
        timings={phase: sum(run.timings.get(phase, 0.0) for run in runs) for phase in phases},
        duration_s=sum(run.duration_s for run in runs),
        groups=tuple(group for run in runs for group in run.groups),
        lacks=tuple(dict.fromkeys(sentence for run in runs for sentence in run.lacks)),
        cached_features=sum(run.cached_features for run in runs),
    )
