"""How long a visitor of a shared server waits: how many runs of others come first. Numbers only, nobody's names."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from core.errors import ThawError
from core.runs.everybody import store_of
from core.visitors.registry import Registry

PACES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What one workspace has in the queue."""

    workspace: str
    queued: int
    running: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What comes before a visitor's runs."""

    first: int
    """Runs of others before the first one that waits, the one at work included."""
    before_last: int
    """The same before the last one."""
    pace_s: float | None
    """What a run took lately on this server, in the middle; None if none was trained."""

    @property
    def seconds(self) -> float | None:
        """That the runs of others take until the last one begins, as long as runs are as they were."""
        return None if self.pace_s is None else self.before_last * self.pace_s


def everybody_waiting() -> tuple[Waiting, ...]:
    """Who waits, in the order in which they are served."""
    found = []
    for workspace, *_ in Registry().waiting():
        try:
            store = store_of(workspace)
            row = Waiting(workspace=workspace, queued=store.count(["queued"]), running=store.count(["running"]))
        except ThawError:  # deleted, or damaged: it is passed over
            continue
        found.append(row)
    return tuple(found)


def line_of(workspace: str, waiting: Sequence[Waiting]) -> Line | None:
    """What comes first; None where nothing of this workspace waits."""
    place = next((place for place, one in enumerate(waiting) if one.workspace == workspace and one.queued), None)
    if place is None:
        return None
    mine, earlier, later = waiting[place].queued, waiting[:place], waiting[place + 1 :]
    running = sum(one.running for one in (*earlier, *later))
    paces = Registry().paces(PACES)
    return Line(
        first=running + sum(min(one.queued, 1) for one in earlier),
        before_last=running
        + sum(min(one.queued, mine) for one in earlier)
        + sum(min(one.queued, mine - 1) for one in later),
        pace_s=median(paces) if paces else None,
    )
