"""The race of the Home page: what it takes, how it is started, which one is shown."""

from collections.abc import Sequence

import streamlit as st

from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.runs.race import plan_race, submit
from core.runs.store import Run
from core.runs.studies import kind_of
from core.settings.schema import RunSettings
from core.training.plan import Estimate

from ..planning import estimate_run
from ..resources import run_store


def estimate_race(
    settings: RunSettings, dataset: Dataset, scenarios: Sequence[str], seeds: Sequence[int]
) -> Estimate | None:
    """What a race takes on this machine, or None if nothing has been timed here yet."""
    parts = [estimate_run(plan, dataset) for plan in plan_race(settings, scenarios, seeds)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Estimate(seconds=sum(part.seconds for part in known), measured=all(part.measured for part in known))


def race_to_show(dataset: Dataset) -> list[Run]:
    """The runs of the race in the address; else of one that is going on, the newest on these pictures, the newest."""
    store = run_store()
    recent = [run for run in store.runs() if run.race and not kind_of(run.race)]
    ranked = sorted(recent, key=lambda run: (run.is_active, on_these([run], dataset), run.number), reverse=True)
    for race in (st.query_params.get("race"), *(run.race for run in ranked[:1])):
        if race and (runs := store.runs(race=race)):
            return sorted(runs, key=lambda run: run.number)
    return []


def on_these(runs: Sequence[Run], dataset: Dataset) -> bool:
    """Whether runs are about this data set."""
    return all(run.settings.data.dataset == dataset.id for run in runs)


def start_race(settings: RunSettings, dataset: Dataset, scenarios: Sequence[str], seeds: Sequence[int]) -> str:
    """Queue a race and return its id."""
    plans = plan_race(settings, scenarios, seeds)
    ids = submit(run_store(), plans, Ingested(dataset=dataset, decode_s=0.0), as_race=True)
    return str(run_store().get(ids[0]).race)
