"""The runs that Compare opens with: what somebody who knows the field would choose."""

from collections.abc import Sequence
from itertools import combinations

from core.comparison.fairness import check_fairness
from core.errors import ThawError
from core.runs.store import Run

from .. import chosen
from ..resources import run_outcome


def runs_to_compare(finished: Sequence[Run]) -> list[Run]:
    """The newest race with runs that may be compared, or the newest runs that may; none where no two may.

    Args:
        finished: newest first.

    Returns:
        In the order in which they were queued. No training strategy has two runs with the same seed, unless only those
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
        return check_fairness(run_outcome(chosen.home(), a.id), run_outcome(chosen.home(), b.id)).comparable
    except ThawError:  # the files of one are gone
        return False


def _tested_on(run: Run) -> tuple[str, str]:
    summary = run.summary or {}
    return summary["dataset"]["fingerprint"], summary["split"]["hash"]
