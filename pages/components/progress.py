"""Work that is going on: one line in the frame, and a live view of chosen runs. Both only read the store."""

from collections.abc import Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from core.errors import RunError
from core.runs.store import ACTIVE, Run
from core.training.history import NOTHING_YET

from .frame import framed
from .messages import LONGEST_MESSAGE, md
from .resources import run_store
from .wording import PHASES, STATES, per_cent, run_label, time_left

TICK_S = 1.0


def running_work() -> None:
    """A line under the navigation while anything trains or waits, on every page; nothing otherwise."""
    store = run_store()
    watching = bool(store.runs(states=ACTIVE, limit=1))

    @st.fragment(run_every=2 * TICK_S if watching else None)
    @framed
    def line() -> None:
        store.heal()
        runs = store.runs(states=ACTIVE)
        if runs:
            _line(runs)
        elif watching:
            st.rerun()

    line()


def _line(runs: Sequence[Run]) -> None:
    running = next((run for run in runs if run.state == "running"), None)
    waiting = sum(run.state == "queued" for run in runs)
    queue = f"{waiting} waiting" if waiting else ""
    if running is None:
        st.caption(f":material/hourglass_empty: {queue} for the worker")
        return
    done = per_cent((running.progress or NOTHING_YET).fraction)
    parts = [f"{run_label(running)} on {md(running.dataset_title)}", done, time_left(running), queue]
    st.caption(":material/autorenew: Training " + " · ".join(part for part in parts if part))


def live(ids: Sequence[str], key: str) -> None:
    """Progress, time left, curves and Stop, as long as one of these runs is at work; then the page is drawn anew.

    For pages that found one of them at work. What they found may be over by now: only what is read here counts.
    """
    store = run_store()

    @st.fragment(run_every=TICK_S)
    @framed
    def view() -> None:
        store.heal()
        runs = _still_there(ids)
        if not any(run.is_active for run in runs):
            st.rerun()
        for run in runs:
            _progress(run)
        _live_curves(runs)

    view()
    if st.button("Stop", key=f"{key}.stop", icon=":material/stop_circle:", help="Ends within seconds; nothing is kept"):
        for run_id in ids:
            store.cancel(run_id)
        st.rerun()


def _still_there(ids: Sequence[str]) -> list[Run]:
    """These runs as they are now, without those that were deleted meanwhile."""
    found = []
    for run_id in ids:
        with suppress(RunError):
            found.append(run_store().get(run_id))
    return found


def _progress(run: Run) -> None:
    if run.state == "running":
        text = " · ".join(part for part in (f"**{run_label(run)}**", stage_words(run), time_left(run)) if part)
        st.progress((run.progress or NOTHING_YET).fraction, text=text)
        if odd := run_store().standstill(run):
            st.caption(f":material/help: {odd}.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{run_label(run)}**", width="content")
        state_badge(run)
        if run.summary:
            st.markdown(f"test accuracy {per_cent(run.summary['test_accuracy'])}", width="content")
        if run.state == "queued" and run.cause:  # it was at work before
            st.caption(md(run.cause, LONGEST_MESSAGE))


def stage_words(run: Run) -> str:
    """What a run is doing at this moment, for whoever waits for it."""
    progress = run.progress or NOTHING_YET
    if run.state != "running":
        return STATES[run.state][0]
    if run.cancel:
        return "stopping"
    what = PHASES.get(progress.phase, "")
    return f"epoch {progress.epoch} of {progress.epochs}, {what}" if progress.epoch else what


def state_badge(run: Run) -> None:
    """The run's state by word, icon and colour."""
    word, icon, colour = STATES[run.state]
    st.badge(word, icon=icon, color=colour)


def explain_end(run: Run) -> None:
    """Why a run has no result."""
    if run.state == "failed":
        st.error(md(run.cause or "", LONGEST_MESSAGE), title=f"{run_label(run)} failed", icon=":material/error:")
    elif run.state == "cancelled":
        why = md(run.cause, LONGEST_MESSAGE) if run.cause else "Nothing of it was kept."
        st.caption(f":material/stop_circle: {run_label(run)} was stopped. {why}")


def _live_curves(runs: Sequence[Run]) -> None:
    """Accuracy on val by epoch. Redrawn in place at every tick, which Plotly would not do."""
    lines = {
        f"{run.settings.model.row.label}, seed {run.settings.seed}": pd.Series(
            {epoch.epoch: epoch.val_accuracy for epoch in run.epochs or []}
        )
        for run in runs
        if run.epochs
    }
    if lines:
        st.line_chart(
            pd.DataFrame(lines).rename_axis("epoch"),
            x_label="epoch",
            y_label="accuracy on val",
            height=240,
            color=[run.settings.model.row.style["color"] for run in runs if run.epochs],
            alt="Accuracy on val by epoch so far",
        )
