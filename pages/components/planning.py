"""Before runs start: what they will take, what they can show; and stopped ones started again."""

from collections.abc import Sequence

import streamlit as st

from core.comparison.crossed import LEAST_SEEDS
from core.comparison.planning import smallest_gap
from core.comparison.race_wording import expected_gap
from core.comparison.wording import whole_points
from core.data.dataset import Dataset
from core.runs.store import Run
from core.settings.schema import ModelSettings, RunSettings
from core.training.plan import Estimate, estimate, plan_run

from . import chosen
from .messages import md
from .resources import backbone_badges, run_store, split_sizes, tested_units
from .verdict_charts import detectable_differences
from .wording import rough_time


def estimate_run(settings: RunSettings, dataset: Dataset) -> Estimate | None:
    """What one run takes on this machine, or None if nothing has been timed here yet."""
    plan = plan_run(settings, *split_sizes(chosen.home(), dataset.id, settings.seed, settings.data))
    return estimate(plan, settings)


def say_what_is_fetched(model: ModelSettings) -> None:
    """Before anything is: which weights are not here, how large they are, where they come from, under which licence."""
    badge = backbone_badges(chosen.home()).get(model.backbone, "")
    if model.start == "imagenet" and badge.startswith("not here"):
        from core.models.weights import how_checked

        fetched = f"they are downloaded first, if they can be, {how_checked(model.backbone)}."
        st.caption(f":material/download: The weights are {md(badge)}: {fetched}")


def expectations(
    settings: RunSettings, dataset: Dataset, seeds: int, key: str, expected: Estimate | None = None
) -> None:
    """In one line how long it takes, and the smallest difference that so many seeds and the test part will show.

    Args:
        expected: how long it takes; None where this machine was not timed yet, and says so.
    """
    tested, grouped = tested_units(chosen.home(), dataset.id, settings.seed, settings.data), bool(dataset.grouped_by)
    time = rough_time(expected.seconds) if expected else "no time known before this machine is timed"
    rough = "very roughly " if expected and not expected.measured else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        said = f"{rough}{time} · smallest detectable difference: {_gap(seeds, tested)}"
        st.markdown(f":material/timer: {said}", width="content")
        more = st.popover("Why", icon=":material/show_chart:", type="tertiary", key=f"{key}.gaps", on_change="rerun")
    if more.open:
        with more:
            st.caption(expected_gap(seeds, tested, grouped))
            _differences_by_seeds(tested, grouped, seeds, key)


def _gap(seeds: int, tested: int) -> str:
    gap = smallest_gap(seeds, tested)
    return "none with so few test pictures" if gap is None else f"about {whole_points(gap)}"


def show_detectable_difference(settings: RunSettings, dataset: Dataset, seeds: int, key: str) -> None:
    """The smallest difference alone."""
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
            _differences_by_seeds(tested, grouped, seeds, key)


def _differences_by_seeds(tested: int, grouped: bool, seeds: int, key: str) -> None:
    figure = detectable_differences(tested, seeds, "groups of test pictures" if grouped else "test pictures")
    st.plotly_chart(figure, key=f"{key}.gaps.chart", alt="Smallest detectable difference by number of seeds")
    st.caption(
        f"What a race shows in 80 % of repeats. {LEAST_SEEDS} seeds are the fewest that say something about a "
        "training strategy; with fewer, only the trained models are compared. How much runs differ is taken from our "
        "own race on the photos of ants and bees."
    )


def stopped_for_good(runs: Sequence[Run]) -> list[Run]:
    """Those that were stopped, each once, without what has been run again since or is on its way."""
    there = {run.settings for run in runs if run.is_active or run.state == "finished"}
    return [*{run.settings: run for run in runs if run.state == "cancelled" and run.settings not in there}.values()]


def start_again(stopped: Sequence[Run], key: str = "stopped.again") -> None:
    """A button for runs that were stopped, which is the way back: the same ones wait anew, at the queue's end."""
    if not stopped or not st.button("Start again", icon=":material/replay:", key=key):
        return
    store = run_store()
    again = store.submit([run.settings for run in stopped], stopped[0].dataset_title, race=stopped[0].race)
    for run in stopped:  # nothing of them was kept
        store.delete(run.id)
    st.query_params.update({"race": stopped[0].race} if stopped[0].race else {"run": again[0]})
    st.rerun()
