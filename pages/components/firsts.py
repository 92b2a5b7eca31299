"""What pages open with, unless they are told otherwise: what somebody who knows the field would choose."""

import math
from collections.abc import Sequence
from itertools import combinations

from core.comparison.fairness import check_fairness
from core.comparison.metrics import log_loss
from core.errors import ThawError
from core.runs.store import Run

from . import chosen
from .resources import run_outcome, run_predictions


def runs_to_compare(finished: Sequence[Run]) -> list[Run]:
    """The newest race with runs that may be compared, or the newest runs that may; none where no two may.

    Args:
        finished: newest first.

    Returns:
        In the order in which they were queued. No way of training has two runs with the same seed, unless only those
        two are there.
    """
    for newest in finished:
        mine = _mates(newest, finished)
        if fair_pair(mine):
            return mine
        for older in (run for run in finished if run.number < newest.number and run not in mine):
            partner = next((run for run in mine if may_be_compared(older, run)), None)
            if partner is not None:
                both = [*_mates(older, finished), *mine]
                ways = {(run.settings.model.scenario, run.settings.seed, run.settings.data.fold) for run in both}
                return both if len(ways) == len(both) else [older, partner]
    return []


def _mates(run: Run, runs: Sequence[Run]) -> list[Run]:
    """The runs of the same race, or the run alone, in the order in which they were queued."""
    mates = [other for other in runs if other.race == run.race] if run.race else [run]
    return sorted(mates, key=lambda mate: mate.number)


def fair_pair(runs: Sequence[Run]) -> tuple[Run, Run] | None:
    """The first two that may be compared; None where no two may."""
    return next(((a, b) for a, b in combinations(runs, 2) if may_be_compared(a, b)), None)


def may_be_compared(a: Run, b: Run) -> bool:
    """Whether they were tested on the same pictures and differ in what is compared only."""
    if _tested_on(a) != _tested_on(b):
        return False
    try:
        return check_fairness(run_outcome(chosen.home(), a.id), run_outcome(chosen.home(), b.id)).fair
    except ThawError:  # the files of one are gone
        return False


def _tested_on(run: Run) -> tuple[str, str]:
    summary = run.summary or {}
    return summary["dataset"]["fingerprint"], summary["split"]["hash"]


def networks_of_one_data_set(finished: Sequence[Run]) -> list[Run]:
    """The runs on the chosen pictures; where there are none, those on the pictures of the newest run."""
    here = [run for run in finished if run.settings.data.dataset == chosen.settings().data.dataset]
    return here or [run for run in finished if run.settings.data.dataset == finished[0].settings.data.dataset]


def best_on_val(runs: Sequence[Run]) -> Run:
    """The run with the highest accuracy on val; of several, the one that was surest of the truth there.

    Test is for reporting: who chooses by it, reports too much.
    """
    highest = max(_val_accuracy(run) for run in runs)
    return min((run for run in runs if _val_accuracy(run) == highest), key=lambda run: (_val_loss(run), run.number))


def _val_accuracy(run: Run) -> float:
    return float((run.summary or {})["val_accuracy"])


def _val_loss(run: Run) -> float:
    """Mean over val, in nats; infinite where it is not known."""
    try:
        said = run_predictions(chosen.home(), run.id)
    except ThawError:
        return math.inf
    if said.val_targets is None or said.val_probabilities is None:
        return math.inf
    loss = log_loss(said.val_targets, said.val_probabilities)
    return math.inf if loss is None else loss
