"""Starting an experiment, and where it stands: at once, beside the button."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.comparison.experiments import experiment_key
from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.runs.experiments import Experiment
from core.runs.race import every_fold, submit
from core.runs.store import ACTIVE, Run
from core.settings.schema import RunSettings

from ..frame import framed
from ..messages import md
from ..progress import TICK_S, live, tick_s
from ..queue import ahead
from ..resources import run_store
from ..wording import rough_time
from .experiments import called


def start_runs(settings: RunSettings, dataset: Dataset, repeats: int) -> str:
    """Queue a run, or the same with several seeds and every fold as a race; the experiment's key."""
    seeds = range(settings.seed, settings.seed + repeats)
    plans = [replace(settings, seed=seed, data=data) for seed in seeds for data in every_fold(settings.data)]
    first = submit(run_store(), plans, Ingested(dataset=dataset, decode_s=0.0), as_race=len(plans) > 1)[0]
    return experiment_key(run_store().get(first).settings)


def where_it_stands(experiment: Experiment) -> None:
    """An experiment that waits or trains: when it starts, how far it is, its curves."""
    active = [run for run in experiment.runs if run.is_active]
    with st.container(border=True, key="train.standing"):
        st.header(md(called(experiment)), anchor=False)
        _when_it_starts(active)
        live([run.id for run in reversed(active)], "train.live")


def _when_it_starts(mine: Sequence[Run]) -> None:
    """A line for as long as others are before it in the queue."""
    if any(run.state == "running" for run in mine):
        return
    first, ids = min(run.number for run in mine), {run.id for run in mine}

    @st.fragment(run_every=tick_s(2 * TICK_S))
    @framed
    def line() -> None:
        active = run_store().runs(states=ACTIVE)
        before = [run for run in active if run.number < first]
        if any(run.id in ids and run.state == "running" for run in active):
            st.rerun()  # the list says so, too
        if not before:
            return
        seconds = ahead(before).seconds
        runs = "1 run is" if len(before) == 1 else f"{len(before)} runs are"
        when = f"Starts in **{rough_time(seconds)}**" if seconds is not None else "Waits"
        st.markdown(f":material/hourglass_empty: {when}: {runs} before it.")

    line()
