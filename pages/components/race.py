"""Starting a race from a page, what it will take, and what it says."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.comparison.crossed import LEAST_SEEDS
from core.comparison.folds import gather_folds, incomplete_seeds, question_of
from core.comparison.race_verdict import RaceVerdict, race_verdict
from core.comparison.race_wording import expected_gap
from core.comparison.verdict import BAND
from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.runs.race import every_fold, plan_race, submit
from core.runs.store import Run
from core.settings.schema import RunSettings
from core.training.plan import Estimate, estimate, plan_run

from . import chosen
from .comparison_charts import smallest_gaps
from .resources import run_outcome, run_store, split_sizes, tested_units


def estimate_race(
    settings: RunSettings, dataset: Dataset, scenarios: Sequence[str], seeds: Sequence[int] = ()
) -> Estimate | None:
    """What a race takes on this machine, or None if nothing has been timed here yet."""
    parts = [estimate_run(plan, dataset) for plan in plan_race(settings, scenarios, seeds or [settings.seed])]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Estimate(seconds=sum(part.seconds for part in known), measured=all(part.measured for part in known))


def estimate_run(settings: RunSettings, dataset: Dataset) -> Estimate | None:
    """What one run takes on this machine, or None if nothing has been timed here yet."""
    plan = plan_run(settings, *split_sizes(chosen.home(), dataset.id, settings.seed, settings.data))
    return estimate(plan, settings)


def can_be_seen(settings: RunSettings, dataset: Dataset, seeds: int, key: str) -> None:
    """The smallest difference that so many seeds and the test part will show, said before anything is trained."""
    tested, grouped = tested_units(chosen.home(), dataset.id, settings.seed, settings.data), bool(dataset.grouped_by)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f":material/visibility: {expected_gap(seeds, tested, grouped)}", width="stretch")
        more = st.popover(
            "More seeds, more pictures?",
            icon=":material/show_chart:",
            type="tertiary",
            key=f"{key}.gaps",
            on_change="rerun",
        )
    if more.open:
        with more:
            _how_gaps_fall(tested, grouped, seeds, key)


def _how_gaps_fall(tested: int, grouped: bool, seeds: int, key: str) -> None:
    figure = smallest_gaps(tested, seeds, "groups of test pictures" if grouped else "test pictures")
    st.plotly_chart(figure, key=f"{key}.gaps.chart", alt="Smallest detectable difference by number of seeds")
    st.caption(
        f"What a race shows in 80 % of repeats. {LEAST_SEEDS} seeds are the fewest that say something about a "
        "training strategy; with fewer, only the trained models are compared. How much runs differ is taken from our "
        "own race on the photos of ants and bees."
    )


def race_to_show(dataset: Dataset) -> list[Run]:
    """The runs of the race in the address; else of one that is going on, the newest on these pictures, the newest."""
    store = run_store()
    recent = [run for run in store.runs() if run.race]
    ranked = sorted(recent, key=lambda run: (run.is_active, on_these([run], dataset), run.number), reverse=True)
    for race in (st.query_params.get("race"), *(run.race for run in ranked[:1])):
        if race and (runs := store.runs(race=race)):
            return sorted(runs, key=lambda run: run.number)
    return []


def on_these(runs: Sequence[Run], dataset: Dataset) -> bool:
    """Whether runs are about this data set."""
    return all(run.settings.data.dataset == dataset.id for run in runs)


def start_race(settings: RunSettings, dataset: Dataset, scenarios: Sequence[str], seeds: Sequence[int] = ()) -> str:
    """Queue a race and return its id."""
    plans = plan_race(settings, scenarios, seeds or [settings.seed])
    ids = submit(run_store(), plans, Ingested(dataset=dataset, decode_s=0.0), as_race=True)
    return str(run_store().get(ids[0]).race)


def start_runs(settings: RunSettings, dataset: Dataset, repeats: int) -> str:
    """Queue a run, or the same with several seeds and every fold as a race; the first run's id."""
    seeds = range(settings.seed, settings.seed + repeats)
    plans = [replace(settings, seed=seed, data=data) for seed in seeds for data in every_fold(settings.data)]
    return submit(run_store(), plans, Ingested(dataset=dataset, decode_s=0.0), as_race=len(plans) > 1)[0]


def start_again(stopped: Sequence[Run]) -> None:
    """A button for runs that were stopped, which is the way back: the same ones wait anew, at the queue's end."""
    if not stopped or not st.button("Start again", icon=":material/replay:", key="stopped.again"):
        return
    store = run_store()
    again = store.submit([run.settings for run in stopped], stopped[0].dataset_title, race=stopped[0].race)
    for run in stopped:  # nothing of them was kept
        store.delete(run.id)
    st.query_params.update({"race": stopped[0].race} if stopped[0].race else {"run": again[0]})
    st.rerun()


@st.cache_data(max_entries=50, show_spinner=False)
def _verdict(home: str, ids: tuple[str, ...], band: float) -> RaceVerdict:
    outcomes = [run_outcome(home, run_id) for run_id in ids]
    return race_verdict(gather_folds(outcomes) if len(outcomes) > 1 else outcomes, band)


def race_verdict_of(ids: Sequence[str], band: float = BAND) -> RaceVerdict:
    """The verdict over finished runs, with every accuracy: whatever page shows one takes it from here."""
    return _verdict(chosen.home(), tuple(ids), band)


def say_what_folds_answer(runs: Sequence[Run]) -> None:
    """Which question accuracies over folds answer, and whose are not among them; nothing where there are none."""
    said = question_of(next((run.settings.data.folds for run in runs if run.settings.data.folds), None))
    if said:
        st.caption(f":material/splitscreen: {said}")
    for sentence in incomplete_seeds([run.settings for run in runs]):
        st.warning(sentence, icon=":material/splitscreen:")
