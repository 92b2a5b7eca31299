"""One experiment over its seeds: its accuracies, and the interval that seeds and test pictures together allow.

Every page that shows an accuracy takes it from here, so that all of them show the same.
"""

import statistics as averages
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from core.comparison import metrics
from core.comparison.crossed import LEAST_SEEDS, crossed_share, grouped_share
from core.comparison.experiments import experiment_key, experiment_of, labels_of, no_two_alike
from core.comparison.fairness import Outcome
from core.comparison.folds import folds_of
from core.comparison.metrics import Array, Interval
from core.comparison.pictures import right_table
from core.comparison.statistics import wilson
from core.comparison.weighing import balanced_scores
from core.errors import RunError
from core.settings.scenarios import place_of

Arm = dict[int, Outcome]
"""The runs of one experiment, by seed."""
NO_NAMES: Final[Mapping[str, str]] = {}
UNBALANCED: Final = 1.5
Parts = Literal["shared", "own", "mixed"]
"""All seeds were tested on the same pictures; each on pictures of its own; some on the same and some not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSummary:
    """One experiment over its seeds. Accuracies are fractions of each seed's test pictures."""

    scenario: str
    experiment: str
    """Its key, see `core.comparison.experiments`."""
    label: str
    """What it is called beside the others."""
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    mean: float
    low: float
    high: float
    balanced: float
    """Balanced accuracy: the mean recall over classes, averaged over the seeds."""
    balanced_interval: Interval | None
    """95 %, of the same kind, from three seeds on."""
    unbalanced: bool
    """One class has more than 1.5 times as many test pictures as another: accuracy is mostly about the larger one."""
    pictures: int
    """Test pictures of each seed."""
    interval: Interval | None
    """95 %: from three seeds on for new seeds and new pictures, with fewer for these models on new pictures (Wilson).
    None where each seed was tested on pictures of its own."""
    folds: int | None = None
    """Every picture was tested once, by one of so many models of each seed; None where there is one test part."""
    units: str = "pictures"
    """What the interval holds for new ones of: pictures, or groups of them."""

    @property
    def holds_for_seeds(self) -> bool:
        """The interval is about new seeds, too."""
        return self.interval is not None and len(self.seeds) >= LEAST_SEEDS


def arms_of(outcomes: Sequence[Outcome], names: Mapping[str, str] = NO_NAMES) -> dict[str, Arm]:
    """Runs by what their experiment is called and by seed, strategies in their usual order, seeds ascending.

    Args:
        names: that a person gave to experiments, by key.

    Raises:
        RunError: an experiment has two runs with the same seed.
    """
    ordered = sorted(outcomes, key=lambda one: (place_of(one.settings.model.scenario), one.settings.seed))
    experiments = [experiment_of(one.settings) for one in ordered]
    different = list(dict.fromkeys(experiments))
    called = [
        names.get(experiment_key(one)) or label for one, label in zip(different, labels_of(different), strict=True)
    ]
    labels = dict(zip(different, no_two_alike(called), strict=True))
    arms: dict[str, Arm] = {label: {} for label in labels.values()}
    for outcome, experiment in zip(ordered, experiments, strict=True):
        label, seed = labels[experiment], outcome.settings.seed
        if seed in arms[label]:
            raise RunError(f"{label} has two runs with seed {seed}; a comparison takes one of them.")
        arms[label][seed] = outcome
    return arms


def summary_of_arm(arm: Mapping[int, Outcome], label: str = "") -> ArmSummary:
    """One experiment's accuracy over its seeds, or that of a single run.

    Args:
        label: what it is called; empty: by its strategy.

    Raises:
        RunError: a run has no test pictures.
    """
    runs = list(arm.values())
    accuracies = tuple(_accuracy(run) for run in runs)
    return ArmSummary(
        scenario=runs[0].settings.model.scenario,
        experiment=experiment_key(runs[0].settings),
        label=label or runs[0].label,
        seeds=tuple(arm),
        accuracies=accuracies,
        mean=averages.fmean(accuracies),
        low=min(accuracies),
        high=max(accuracies),
        balanced=averages.fmean(_balanced(run) for run in runs),
        balanced_interval=_balanced_interval(runs),
        unbalanced=_unbalanced(runs[0]),
        pictures=len(runs[0].pictures),
        interval=_interval(runs, accuracies),
        folds=folds_of(runs[0].settings.data),
        units="groups" if runs[0].groups else "pictures",
    )


def parts_of_seeds(runs: Sequence[Outcome]) -> Parts:
    """Whether these runs, one per seed, were tested on the same pictures. Older ones drew them anew for every seed."""
    different = len({frozenset(run.tested) for run in runs})
    if different == 1:
        return "shared"
    return "own" if different == len(runs) else "mixed"


def by_seed(runs: Sequence[Outcome]) -> Array:
    """Which of the pictures that all share each run has right: (S, N) of bool, pictures in the first run's order."""
    tested = [run.tested for run in runs]
    return right_table(tested, list(tested[0])).T


def _interval(runs: Sequence[Outcome], accuracies: Sequence[float]) -> Interval | None:
    if parts_of_seeds(runs) != "shared":
        return None
    first = runs[0]
    if len(runs) >= LEAST_SEEDS:
        return crossed_share(by_seed(runs), first.groups)
    if first.groups:
        return grouped_share(by_seed(runs).mean(axis=0), first.groups)
    return wilson(averages.fmean(accuracies) * len(first.pictures), len(first.pictures))


def _balanced_interval(runs: Sequence[Outcome]) -> Interval | None:
    if len(runs) < LEAST_SEEDS or parts_of_seeds(runs) != "shared":
        return None
    first = runs[0]
    return crossed_share(balanced_scores(by_seed(runs), first.targets), first.groups)


def _balanced(run: Outcome) -> float:
    found = metrics.balanced_accuracy(metrics.confusion_matrix(run.targets, run.probabilities))
    assert found is not None, "a run without test pictures was refused"
    return found


def _unbalanced(run: Outcome) -> bool:
    counts = np.unique(run.targets, return_counts=True)[1]
    return bool(counts.max() > UNBALANCED * counts.min())


def _accuracy(outcome: Outcome) -> float:
    if not outcome.pictures:
        raise RunError(f"run {outcome.run} has no test pictures, so it has no accuracy; leave it out of the race.")
    return float((outcome.probabilities.argmax(axis=1) == outcome.targets).mean())
