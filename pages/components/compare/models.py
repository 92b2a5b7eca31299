"""Two trained models, picture by picture: chosen from the experiments' runs, by default those of the conclusion."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.comparison.compare import compare
from core.comparison.conclusion import Conclusion
from core.comparison.verdict import Comparison
from core.comparison.wording import p_value, paired_methods
from core.runs.experiments import Experiment, paired
from core.runs.store import Run

from .. import chosen
from ..messages import LONGEST_MESSAGE, md
from ..resources import run_outcome
from ..wording import place_of, run_label
from .agreement import agreement_square, confusions
from .details import all_small_print, calibration, costs, weight_changes
from .files import comparison_files
from .tables import differences_table, outcome_badge

RENAMED = {"What moved inside": "Weight changes by layer", "Costs": "Run time and cost"}
"""Tabs as older addresses call them."""
LINKED = ("a", "b", "cell", "compare.details")
"""What addresses say about two models: where one of them is there, they are shown."""


def two_models(experiments: Sequence[Experiment], found: Conclusion, band: float) -> None:
    """Two of the runs side by side: their verdict, then pictures, probabilities, cost, weights, small print."""
    runs = {run.id: run for one in experiments for run in one.finished}
    if len(runs) < 2:
        st.caption("There is only one trained model.")
        return
    a, b = _choose_two(runs, _usual_pair(experiments, found))
    result = compare(run_outcome(chosen.home(), a.id), run_outcome(chosen.home(), b.id), band)
    _show_verdict(result)
    with st.container(horizontal=True), st.popover("Download", icon=":material/download:"):
        comparison_files(result, a, b)
    differences_table(result)
    _show_parts(result, a, b)


def _usual_pair(experiments: Sequence[Experiment], found: Conclusion) -> tuple[str, str]:
    """Of the best experiment and the next one the models with the first seed that both have."""
    by_key = {one.key: one for one in experiments}
    pairs = paired(by_key[found.best], by_key[found.runner_up]) if found.runner_up else []
    if pairs:
        return pairs[0][0].id, pairs[0][1].id
    a, b = [run.id for one in experiments for run in one.finished][:2]
    return a, b


def _choose_two(runs: dict[str, Run], usual: tuple[str, str]) -> tuple[Run, Run]:
    linked = [st.query_params.get(name, "") for name in "ab"]
    ids, left, right = list(runs), *st.columns(2)
    first, second = (asked if asked in runs else own for asked, own in zip(linked, usual, strict=True))
    labels = {run.id: run_label(run) for run in runs.values()}
    a = left.selectbox("A", ids, place_of(first, ids), format_func=labels.__getitem__, key="compare.a")
    others = [run for run in ids if run != a]
    second = second if second != a else usual[0]
    b = right.selectbox("B", others, place_of(second, others), format_func=labels.__getitem__, key="compare.b")
    st.query_params.update(a=a, b=b)  # the address shows this comparison to others
    return runs[a], runs[b]


def _show_verdict(result: Comparison) -> None:
    with st.container(border=True):
        outcome_badge(result)
        st.markdown(md(result.sentence, LONGEST_MESSAGE))
        if result.detectable_gap is not None:
            st.caption(
                f"Smallest detectable difference with {result.pictures} pictures and this much disagreement: about "
                f"{100 * result.detectable_gap:.1f} points (80 % power, 5 %)."
            )
        if result.p_value is not None:
            method, test = paired_methods(result)
            st.caption(
                f"Paired difference and its interval: {method}. {test}: {p_value(result.p_value)}, from the "
                f"{result.discordant} pictures that only one of the two gets right."
            )


def _show_parts(result: Comparison, a: Run, b: Run) -> None:
    """What two models are made of and differ in, a tab each; only what is open is drawn."""
    parts: dict[str, Callable[[], None]] = {
        "Probabilities": lambda: calibration(result, a, b),
        "Run time and cost": lambda: costs((a, b)),
        "Weight changes by layer": lambda: weight_changes((a, b)),
        "Small print": lambda: all_small_print((a, b)),
    }
    if result.agreement is not None:
        pictures = {"Pictures": lambda: agreement_square(result, a, b), "Confusion": lambda: confusions(result, a, b)}
        parts = {**pictures, **parts}
    was = st.query_params.get("compare.details", "")
    if was in RENAMED:
        st.session_state["compare.details"] = RENAMED[was]
    tabs = st.tabs(list(parts), key="compare.details", on_change="rerun", bind="query-params")
    for tab, render in zip(tabs, parts.values(), strict=True):
        if tab.open:
            with tab:
                render()
