"""The queue as the header tells of it: what is at work, how long it all takes, what began and what ended."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heapreplace
from typing import Final

import streamlit as st

from core.comparison.wording import counted
from core.errors import ThawError
from core.runs.healing import has_begun
from core.runs.store import Run
from core.runs.studies import kind_of
from core.settings.schema import RunSettings
from core.training.history import NOTHING_YET

from . import chosen, visitor
from .messages import md
from .planning import estimate_run
from .resources import run_store, stored_dataset
from .wording import per_cent, rough_time

_SEEN: Final = "queue.seen"
ENOUGH: Final = 0.03  # of a run, from which on its own pace says when it ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """What is still to be done."""

    first: Run
    """At work; where nothing is, the one that will be."""
    runs: Sequence[Run]
    """That one and all that wait."""
    seconds: float | None
    """Until all is done; None as long as this machine was not timed."""


def ahead(runs: Sequence[Run]) -> Ahead:
    """Sum up the active runs, of which there is at least one."""
    ordered = sorted(runs, key=lambda run: (run.state != "running", run.number))
    parts = [_left_s(run) for run in ordered]
    known = [part for part in parts if part is not None]
    places = sum(run.state == "running" for run in ordered)
    seconds = _until_the_last_s(known, max(1, places)) if len(known) == len(parts) else None
    return Ahead(first=ordered[0], runs=ordered, seconds=seconds)


def _until_the_last_s(each_s: Sequence[float], places: int) -> float:
    """Seconds until all have ended, where so many are at work at once and the next begins when one ends."""
    busy_s = [0.0] * places
    for seconds in each_s:
        heapreplace(busy_s, busy_s[0] + seconds)
    return max(busy_s)


def where_they_train(runs: Sequence[Run]) -> str:
    """`3 runs train: 2 on lab-1, 1 on lab-2`, where several do at once."""
    begun = [run for run in runs if run.state == "running" and has_begun(run)]
    hosts = Counter(str((run.worker or {}).get("host", "")) for run in begun)
    if len(begun) < 2:
        return ""
    where = ", ".join(f"{count} on {md(host)}" for host, count in hosts.most_common())
    return f"**{len(begun)} runs train**" + (f": {where}" if len(hosts) > 1 else " at once")


def _left_s(run: Run) -> float | None:
    """By the run's own pace; before it has one, by the plan's count of its work and this machine's speeds."""
    progress = run.progress or NOTHING_YET
    worked = progress.worked_s or 0.0
    if run.state == "running" and worked and progress.fraction >= ENOUGH:
        return worked * (1 - progress.fraction) / progress.fraction
    expected = _expected_s(chosen.home(), replace(run.settings, seed=0))  # seeds take the same time
    return None if expected is None else max(0.0, expected - worked)


@st.cache_data(max_entries=500, ttl=60, show_spinner=False)
def _expected_s(home: str, settings: RunSettings) -> float | None:
    try:
        expected = estimate_run(settings, stored_dataset(home, settings.data.dataset))
    except ThawError:  # it will end in a sentence of its own
        return 0.0
    return expected.seconds if expected else None


def mates_of(run: Run, runs: Sequence[Run]) -> list[Run]:
    """What stops with it: the runs of its race that are among these, or it alone."""
    return [other for other in runs if other.id == run.id or (run.race and other.race == run.race)]


def stop(runs: Sequence[Run]) -> None:
    """Those that wait first, so that none of them begins meanwhile."""
    for run in sorted(runs, key=lambda run: run.state == "running"):
        run_store().cancel(run.id)


def watched_at(run: Run) -> tuple[str, dict[str, str]]:
    """The page that shows it at work, and what its address says."""
    if kind_of(run.race):
        return "much.py", {"data": run.settings.data.dataset}
    return ("home.py", {"race": run.race}) if run.race else ("train.py", {"run": run.id})


def name_of(run: Run) -> str:
    """A run among those at work: its strategy, its seed, and its fold where it has one."""
    fold = f", fold {run.settings.data.fold}" if run.settings.data.fold is not None else ""
    return f"{run.settings.model.row.label}, seed {run.settings.seed}{fold}"


def tell_what_changed(active: Sequence[Run]) -> None:
    """A word about every run or race that was queued or has ended since this session last looked, on whatever page."""
    groups = _grouped(active)
    before: dict[str, list[str]] | None = st.session_state.get(_SEEN)
    if before is not None:
        for name in (name for name in groups if name not in before):
            _tell_start(groups[name], active)
        for name in (name for name in before if name not in groups):
            _tell_end(name, before[name])
    known = before or {}
    st.session_state[_SEEN] = {
        name: list(dict.fromkeys([*known.get(name, []), *(run.id for run in runs)])) for name, runs in groups.items()
    }


def _grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.number):
        groups.setdefault(run.race or run.id, []).append(run)
    return groups


def _tell_start(runs: Sequence[Run], active: Sequence[Run]) -> None:
    mine = {run.id for run in runs}
    before = [run for run in active if run.id not in mine and run.number < min(one.number for one in runs)]
    seconds = ahead(before).seconds if before else None
    when = f"starts in {rough_time(seconds)}" if seconds else "waits its turn" if before else "starts now"
    line = visitor.line()
    if line and line.first:
        when = f"waits its turn: {counted(line.first, 'run')} of others first"
    st.toast(f"{_called(runs)} {when}.", icon=":material/play_arrow:")


def _tell_end(name: str, ids: Sequence[str]) -> None:
    """About a whole race, also where this session began in the middle of it; or about one run."""
    ended = run_store().runs(race=name) or run_store().runs(ids=ids)  # none where they were deleted since
    if not ended:
        return
    done = sum(run.state == "finished" for run in ended)
    if any(run.state == "cancelled" for run in ended):
        kept = f" after {done} of them" if done else ""
        st.toast(f"{_called(ended)} was stopped{kept}. It can be started again.", icon=":material/stop_circle:")
    elif len(ended) > 1:
        what = "has finished" if done == len(ended) else f"has ended: {done} of {len(ended)} runs finished"
        st.toast(f"{_called(ended)} {what}.", icon=":material/flag:", duration="long")
    elif ended[0].summary:
        accuracy = per_cent(ended[0].summary["test_accuracy"])
        st.toast(f"{_called(ended)}: test accuracy {accuracy}.", icon=":material/check:", duration="long")
    else:
        st.toast(f"{_called(ended)} failed.", icon=":material/error:", duration="long")


def _called(runs: Sequence[Run]) -> str:
    return f"The race of {len(runs)} runs" if len(runs) > 1 else f"**{md(name_of(runs[0]))}**"
