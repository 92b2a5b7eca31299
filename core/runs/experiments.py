"""Runs gathered into experiments: one row for data, training strategy and settings, with its seeds inside."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.comparison.experiments import experiment_key, experiment_of, labels_in_list, labels_of, no_two_alike
from core.comparison.folds import folds_of
from core.runs.store import NO_LABEL, Label, Run, RunStore
from core.settings.schema import RunSettings

Kind = Literal["check", "sweep", "crossing", "rates", "later"]
KINDS: Final[tuple[Kind, ...]] = ("check", "sweep", "crossing", "rates", "later")
"""Of studies, see `core.runs.studies`: a race with its kind in its name."""
MOST_COMPARED: Final = 6
"""Experiments side by side: more cannot be told apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Runs that differ in seed and fold only."""

    key: str
    """See `core.comparison.experiments.experiment_key`."""
    settings: RunSettings
    """Without seed and fold, defaults written out."""
    runs: tuple[Run, ...]
    """All of them, whatever their state, newest first."""
    label: Label = NO_LABEL
    """What a person has noted about it."""

    @property
    def name(self) -> str:
        """The one that a person gave it, or empty."""
        return self.label.name

    @property
    def note(self) -> str:
        return self.label.note

    @property
    def archived(self) -> bool:
        return self.label.archived

    @property
    def newest(self) -> Run:
        return self.runs[0]

    @property
    def finished(self) -> list[Run]:
        """One finished run for each seed and fold, the newest, in their order."""
        ended = [run for run in reversed(self.runs) if run.state == "finished"]
        places = {_place(run): run for run in ended}
        return [places[place] for place in sorted(places)]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that have finished, over every fold where there are folds."""
        found = [run.settings.seed for run in self.finished]
        return tuple(seed for seed in dict.fromkeys(found) if found.count(seed) == (self.settings.data.folds or 1))

    @property
    def is_active(self) -> bool:
        return any(run.is_active for run in self.runs)

    @property
    def test_accuracy(self) -> float | None:
        """The mean over what has finished, a fraction; None where nothing has."""
        found = [run.summary["test_accuracy"] for run in self.finished if run.summary]
        return statistics.fmean(found) if found else None

    @property
    def best_on_val(self) -> Run | None:
        """The finished run with the highest validation accuracy."""
        finished = [run for run in self.finished if run.summary]
        return max(finished, key=lambda run: (run.summary or {})["val_accuracy"], default=None)


def kind_of(race: str | None) -> Kind | None:
    """What a race is a study of; None for a race as people run it."""
    word = (race or "").partition("-")[0]
    return next((kind for kind in KINDS if kind == word), None)


def stored_experiments(
    store: RunStore, states: Collection[str] | None = None, *, archived: bool = False, studied: bool = True
) -> list[Experiment]:
    """The experiments there are, with what was noted about them, that with the newest run first.

    Args:
        states: of the runs that count.
        archived: those that were put away are among them.
        studied: so are runs that belong to a study, whose own page shows them.
    """
    runs = [run for run in store.runs(states=states) if studied or not kind_of(run.race)]
    found = experiments_of(runs, store.labels())
    return [one for one in found if archived or not one.archived]


def experiments_of(runs: Iterable[Run], labels: Mapping[str, Label] | None = None) -> list[Experiment]:
    """Runs by experiment, that with the newest run first.

    Args:
        labels: what is noted about experiments, by key.
    """
    groups: dict[RunSettings, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.number, reverse=True):
        groups.setdefault(experiment_of(run.settings), []).append(run)
    keys = [experiment_key(settings) for settings in groups]
    return [
        Experiment(key=key, settings=settings, runs=tuple(group), label=(labels or {}).get(key, NO_LABEL))
        for key, (settings, group) in zip(keys, groups.items(), strict=True)
    ]


def names_of(experiments: Sequence[Experiment]) -> list[str]:
    """What to call these side by side, no two alike: by the name that a person gave, else by what they are."""
    labels = labels_of([experiment.settings for experiment in experiments])
    return no_two_alike([one.name or label for one, label in zip(experiments, labels, strict=True)])


def names_in_list(experiments: Sequence[Experiment]) -> list[str]:
    """What to call them in a list, no two alike: with all that is not as usual where no person named them."""
    labels = labels_in_list([experiment.settings for experiment in experiments])
    return no_two_alike([one.name or label for one, label in zip(experiments, labels, strict=True)])


def may_be_compared(a: Experiment, b: Experiment) -> bool:
    """Whether they have seeds in common, and were divided alike with each of these."""
    return not why_apart(a, b)


def why_apart(a: Experiment, b: Experiment) -> str:
    """Why two cannot stand side by side, in a few words; empty where they can."""
    parts_a, parts_b = ({_place(run): _divided(run) for run in one.finished} for one in (a, b))
    if not parts_a or not parts_b:
        return "nothing has finished"
    pictures_a, pictures_b = ({part[0] for part in parts.values() if part} for parts in (parts_a, parts_b))
    if not pictures_a & pictures_b:
        return "other pictures"
    if folds_of(a.settings.data) != folds_of(b.settings.data):
        return "tested over other folds"
    if not set(a.seeds) & set(b.seeds):
        return "no seed in common"
    shared = parts_a.keys() & parts_b.keys()
    return "" if all(parts_a[place] == parts_b[place] for place in shared) else "pictures divided in another way"


def paired(a: Experiment, b: Experiment) -> list[tuple[Run, Run]]:
    """Their finished runs with the same seed and fold, in their order."""
    of_b = {_place(run): run for run in b.finished}
    return [(run, of_b[_place(run)]) for run in a.finished if _place(run) in of_b]


def newest_comparable(experiments: Sequence[Experiment]) -> list[Experiment]:
    """What a comparison opens with: the newest experiments of one data set of which each two can be compared.

    Those of the newest one's race where it has one, since every further pair costs all of them evidence; else up to
    `MOST_COMPARED` that were started alone.

    Args:
        experiments: newest first.

    Returns:
        Oldest first; empty where no two can be compared.
    """
    for place, newest in enumerate(experiments):
        race = newest.newest.race
        mates = [one for one in experiments[place:] if race and race in {run.race for run in one.runs}]
        for candidates in (mates, experiments[place:]):
            found: list[Experiment] = []
            for one in candidates:
                if len(found) < MOST_COMPARED and (one is newest or all(may_be_compared(one, two) for two in found)):
                    found.append(one)
            if len(found) > 1:
                return found[::-1]
    return []


def comparable_with(chosen: Sequence[Experiment], experiments: Sequence[Experiment]) -> list[Experiment]:
    """Those that can stand beside all of the chosen ones, the chosen ones included."""
    return [one for one in experiments if all(one is two or may_be_compared(one, two) for two in chosen)]


def _place(run: Run) -> tuple[int, int]:
    return run.settings.seed, run.settings.data.fold or 0


def _divided(run: Run) -> tuple[str, str] | None:
    """What names its pictures and how they were divided."""
    summary = run.summary
    return (summary["dataset"]["fingerprint"], summary["split"]["hash"]) if summary else None
