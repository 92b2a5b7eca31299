"""Work that is going on: a live view of chosen runs, which only reads the store."""

from collections.abc import Sequence
from typing import Final

import streamlit as st
from streamlit.runtime import Runtime

from core.runs.experiments import experiments_of, names_of
from core.runs.store import Run
from core.training.history import NOTHING_YET

from .frame import framed
from .messages import LONGEST_MESSAGE, md
from .queue import name_of
from .resources import run_store
from .watched import live_curves, live_pictures
from .wording import PHASES, STATES, per_cent, run_label

TICK_S: Final = 1.0
MOST_A_SECOND: Final = 10.0
"""Of what pages draw anew by themselves, for all visitors together: it must leave room for what they click."""


def tick_s(least: float = TICK_S) -> float:
    """Seconds until a part of a page is drawn anew by itself: longer where many pages are open."""
    sessions = getattr(Runtime.instance(), "_session_mgr", None) if Runtime.exists() else None
    return max(least, len(sessions.list_active_sessions()) / MOST_A_SECOND) if sessions else least


def live(ids: Sequence[str], key: str) -> None:
    """Progress, pictures and curves, as long as one of these runs is at work; then the page is drawn anew.

    For pages that found one of them at work. What they found may be over by now: only what is read here counts. Stop is
    in the header, on every page.
    """

    @st.fragment(run_every=tick_s())
    @framed
    def view() -> None:
        run_store().heal()
        runs = _still_there(ids)
        active = sorted((run for run in runs if run.is_active), key=lambda run: (run.state != "running", run.number))
        if not active:  # no empty page until the answer is drawn
            st.progress(
                1.0, text=f"**{'Finished' if runs and runs[-1].state == 'finished' else 'Ended'}**: the answer comes"
            )
            st.rerun()
        _progress(active[0], runs)
        pictures, curves = st.columns([2, 1], gap="medium")
        with pictures:
            live_pictures(runs, active[0], f"{key}.watched")
        with curves:
            live_curves(runs, f"{key}.curves")

    view()


def _still_there(ids: Sequence[str]) -> list[Run]:
    """These runs as they are now, oldest first, without those that were deleted meanwhile."""
    return run_store().runs(ids=ids)[::-1]


def _progress(now: Run, runs: Sequence[Run]) -> None:
    """How far all of them are, and what is being done at this moment; the header says how long it takes."""
    done = sum(not run.is_active for run in runs)
    at_work = [run for run in runs if run.state == "running"]
    fraction = sum((run.progress or NOTHING_YET).fraction for run in at_work)
    # `now` was read a moment ago: meanwhile it may be the one at work
    others = [run for run in run_store().runs(states=["running"]) if now.state == "queued" and run.id != now.id]
    stage = f"waits for {name_of(others[0])}" if others else stage_words(now)
    which = f"Run {done + 1} of {len(runs)}: " if len(runs) > 1 else ""
    text = f"{which}**{name_of(now)}** · {stage}"
    if len(at_work) > 1:
        text = f"{done} of {len(runs)} runs are done, **{len(at_work)} train now**"
    st.progress((done + fraction) / len(runs), text=text)
    if odd := run_store().standstill(now):
        st.caption(f":material/help: {odd}.")
    if now.state == "queued" and now.cause:  # it was at work before
        st.caption(md(now.cause, LONGEST_MESSAGE))
    if len(runs) > 1:
        _states(runs)


def _states(runs: Sequence[Run]) -> None:
    """A line per experiment: its seeds and how they stand, with the test accuracy of those that have one."""
    experiments = experiments_of(runs, run_store().labels())[::-1]
    for one, name in zip(experiments, names_of(experiments), strict=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f"**{md(name)}**", width="content")
            for run in reversed(one.runs):
                word, icon, colour = STATES[run.state]
                fold = f", fold {run.settings.data.fold}" if run.settings.data.fold is not None else ""
                said = f"test accuracy {per_cent(run.summary['test_accuracy'])}" if run.summary else word
                st.badge(f"seed {run.settings.seed}{fold}: {said}", icon=icon, color=colour)


def stage_words(run: Run) -> str:
    """What a run is doing at this moment, for whoever waits for it."""
    progress = run.progress or NOTHING_YET
    if run.state == "queued":  # what the worker does first, where there is such a thing
        return PHASES[progress.phase] if run.progress and progress.phase in PHASES else "starting"
    if run.state != "running":
        return STATES[run.state][0]
    if run.cancel:
        return "stopping"
    what = PHASES.get(progress.phase, "")
    return f"{what}, epoch {progress.epoch} of {progress.epochs}" if progress.epoch else what


def explain_end(run: Run) -> None:
    """Why a run has no result."""
    if run.state == "failed":
        st.error(md(run.cause or "", LONGEST_MESSAGE), title=f"{run_label(run)} failed", icon=":material/error:")
    elif run.state == "cancelled":
        why = md(run.cause, LONGEST_MESSAGE) if run.cause else "Nothing of it was kept."
        st.caption(f":material/stop_circle: {run_label(run)} was stopped. {why}")
