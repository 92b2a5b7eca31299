"""The queue: what is at work, and how long it all takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import streamlit as st

from core.errors import ThawError
from core.runs.store import Run
from core.settings.schema import RunSettings
from core.training.history import NOTHING_YET

from . import chosen
from .planning import estimate_run
from .resources import stored_dataset

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
    return Ahead(first=ordered[0], runs=ordered, seconds=sum(known) if len(known) == len(parts) else None)


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


def name_of(run: Run) -> str:
    """A run among those at work: its strategy, its seed, and its fold where it has one."""
    fold = f", fold {run.settings.data.fold}" if run.settings.data.fold is not None else ""
    return f"{run.settings.model.row.label}, seed {run.settings.seed}{fold}"
