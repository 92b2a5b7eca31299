"""Work that is going on: a live view of chosen runs, which only reads the store."""

from collections.abc import Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from core.errors import RunError
from core.runs.store import Run
from core.training.history import NOTHING_YET

from .frame import framed
from .messages import LONGEST_MESSAGE, md
from .resources import run_store
from .wording import PHASES, STATES, per_cent, run_label, time_left

TICK_S = 1.0


def live(ids: Sequence[str], key: str) -> None:
    """Progress, time left and curves, as long as one of these runs is at work; then the page is drawn anew.

    For pages that found one of them at work. What they found may be over by now: only what is read here counts. Stop is
    in the header, on every page.
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
