"""Runs that each tested one fold of the pictures, gathered: over all folds every picture was tested once.

What is gathered answers another question than one run does: how good this way of training is on pictures like these,
over models that each learnt from all folds but one. It is the accuracy of none of the models.

Models that learn from almost the same pictures, each from what others are tested on, err together, and no estimate of
the error from the folds is right for all data (Bengio and Grandvalet, Journal of Machine Learning Research 5 (2004)
1089-1105). How often the usual interval holds the truth is therefore measured: benchmarks/truth.py, docs/truth.md.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from core.comparison.fairness import Outcome
from core.errors import RunError
from core.settings.schema import DataSettings, RunSettings

QUESTION: Final = (
    "Over {folds} folds every picture was tested once, by a model that had not seen it: this is how good the way of "
    "training is on pictures like these when it learns from {folds_less} of {folds} parts of them, not how good one "
    "of the models is."
)


def gather_folds(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same runs, those of the folds of one seed and scenario as one; runs without folds stay as they are.

    Seeds that lack a fold are left out, as `incomplete_seeds` says, as long as there is something else.

    Raises:
        RunError: a fold is missing and there is nothing else, or it is there twice.
    """
    runs = [outcome.settings for outcome in outcomes]
    everything = _by_seed(runs)
    whole = {settings: at for settings, at in everything.items() if not _missing_folds(settings, [runs[i] for i in at])}
    return [
        one
        for settings, at in (whole or everything).items()
        for one in _gathered(settings, [outcomes[place] for place in at])
    ]


def incomplete_seeds(runs: Sequence[RunSettings]) -> list[str]:
    """A sentence for each seed and scenario that lacks folds and is left out of what is said about the others."""
    lacking = {settings: _missing_folds(settings, [runs[i] for i in at]) for settings, at in _by_seed(runs).items()}
    if all(lacking.values()):
        return []
    return [
        f"{settings.model.row.label}, seed {settings.seed} is left out: {missing}."
        for settings, missing in lacking.items()
        if missing
    ]


def question(outcomes: Sequence[Outcome]) -> str:
    """Which question accuracies over folds answer; empty where there are no folds."""
    return question_of(next((one.settings.data.folds for one in outcomes if one.settings.data.folds), None))


def question_of(folds: int | None) -> str:
    """The same of so many folds."""
    return QUESTION.format(folds=folds, folds_less=folds - 1) if folds else ""


def folds_of(data: DataSettings) -> int | None:
    """Over how many folds something was tested; None where it was tested on one part, be it one of the folds."""
    return data.folds if data.fold is None else None


def _by_seed(runs: Sequence[RunSettings]) -> dict[RunSettings, list[int]]:
    """Places of the runs that differ in their fold alone, by what they have in common."""
    places: dict[RunSettings, list[int]] = {}
    for place, settings in enumerate(runs):
        data = replace(settings.data, fold=None) if settings.data.folds else settings.data
        places.setdefault(replace(settings, data=data), []).append(place)
    return places


def _missing_folds(settings: RunSettings, runs: Sequence[RunSettings]) -> str:
    """Which folds these runs lack, in words; empty where they lack none."""
    folds, there = settings.data.folds or 0, {run.data.fold for run in runs}
    missing = [str(fold) for fold in range(1, folds + 1) if fold not in there]
    return f"fold {' and '.join(missing)} of {folds} is missing" if missing else ""


def _gathered(settings: RunSettings, runs: list[Outcome]) -> list[Outcome]:
    return [_as_one(settings, runs)] if settings.data.folds else runs


def _as_one(settings: RunSettings, runs: Sequence[Outcome]) -> Outcome:
    runs = sorted(runs, key=lambda run: run.settings.data.fold or 0)
    wrong = _missing_folds(settings, [run.settings for run in runs])
    if wrong or len(runs) != settings.data.folds:
        what = wrong or "a fold is there twice"
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
