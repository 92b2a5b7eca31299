"""Compare: which is better, and can I believe it? Finished runs side by side, and a verdict by fixed rules."""

from collections.abc import Callable

import streamlit as st
from components import chosen
from components.cards import cards, strategy_cards, why_not_pooled
from components.compare.agreement import agreement_square, confusions
from components.compare.cautions import cautions
from components.compare.defaults import fair_pair, may_be_compared, runs_to_compare
from components.compare.details import all_small_print, calibration, costs, weight_changes
from components.compare.files import comparison_files, race_files
from components.compare.tables import differences_table, outcome_badge, race_scores, side_by_side
from components.help import with_term
from components.messages import LONGEST_MESSAGE, md, show_error
from components.resources import run_outcome, run_store
from components.results import result_charts
from components.verdicts import race_outcome, race_verdict_of, say_what_folds_answer
from components.wording import linked_number, place_of, run_label

from core.comparison.compare import compare
from core.comparison.verdict import BAND
from core.comparison.wording import p_value, paired_methods
from core.errors import ThawError
from core.runs.example import example_runs
from core.runs.race import MAX_RUNS

RENAMED = {"What moved inside": "Weight changes by layer", "Costs": "Run time and cost"}
"""Tabs as older addresses call them."""
MOST = 24  # runs: more curves than that cannot be told apart

st.title("Compare")
st.caption("Which is better, and can I believe it?")
own = run_store().runs(states=("finished",), limit=100)
finished = {run.id: run for run in (*own, *example_runs())}
usual = runs_to_compare(own)
if not usual:
    st.markdown(
        "A comparison needs two finished runs on the same pictures. Until you have yours, here is one of ours."
        if len(own) < 2
        else "No two of your runs can be compared: they were tested on different pictures, or differ in too much. Race "
        "training strategies on the same data. Until then, here is a race of ours; yours can be chosen all the same."
    )
    with st.container(horizontal=True):
        st.page_link("home.py", label="Run the race", icon=":material/flag:")
        st.page_link("train.py", label="Train runs of your own", icon=":material/model_training:")
    usual = list(example_runs())
if len(finished) < 2:
    st.stop()

# over folds every picture is tested once only where no run is left out
most = MAX_RUNS if any(run.settings.data.folds for run in finished.values()) else MOST
asked = [run_id for run_id in dict.fromkeys(st.query_params.get("runs", "").split(",")) if run_id in finished]
ids = st.multiselect(
    "Runs",
    list(finished),
    default=(asked if len(asked) > 1 else [run.id for run in usual])[:most],
    format_func=lambda run_id: f"{run_label(finished[run_id])} · {finished[run_id].dataset_title}",
    key="compare.runs",
    max_selections=most,
)
if len(ids) < 2:
    st.caption("Choose at least two runs.")
    st.stop()
st.query_params["runs"] = ",".join(ids)
runs = [finished[run_id] for run_id in ids]
labels = {run.id: run_label(run) for run in runs}
linked = {name: st.query_params.get(name, "") for name in ("a", "b", "band")}

try:
    apart = why_not_pooled(runs)
    if apart:
        st.markdown(f":material/call_split: {md(apart, LONGEST_MESSAGE)}")
    (cards if apart else strategy_cards)(runs)
    if len(ids) > 2 and not apart:
        st.markdown("#### Is one training strategy better?")
        verdict = race_verdict_of(ids, linked_number(linked["band"], 100 * BAND, 0.5, 20.0) / 100)
        race_outcome(verdict, "compare.race")
        say_what_folds_answer(runs)
        race_files(verdict)
        race_scores(verdict)
    cautions(runs)
    result_charts(runs, "compare.charts")
    with st.expander(f"All {len(runs)} runs in a table", icon=":material/table:", expanded=len(runs) < 5):
        side_by_side(runs)
except ThawError as error:
    show_error(error)

st.markdown("#### Is this model better on these pictures?")
left, right, width = st.columns([2, 2, 1], vertical_alignment="bottom")
first, _ = fair_pair(runs) or runs[:2]
place = place_of(linked["a"] if linked["a"] in ids else first.id, ids)
a = left.selectbox("A", ids, index=place, format_func=labels.__getitem__, key="compare.a")
others = [run_id for run_id in ids if run_id != a]
fair = next((run_id for run_id in others if may_be_compared(finished[a], finished[run_id])), others[0])
place = place_of(linked["b"] if linked["b"] in others else fair, others)
b = right.selectbox("B", others, index=place, format_func=labels.__getitem__, key="compare.b")
points = width.number_input(
    "Practically the same within",
    0.5,
    20.0,
    linked_number(linked["band"], 100 * BAND, 0.5, 20.0),
    0.5,
    key="compare.band",
    help=with_term("In points of accuracy, + or -.", "Practically the same"),
)
st.query_params.update(a=a, b=b, band=f"{points:g}")  # the address shows this comparison to others
try:
    result = compare(run_outcome(chosen.home(), a), run_outcome(chosen.home(), b), points / 100)
except ThawError as error:
    show_error(error)
    st.stop()

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
differences_table(result)
comparison_files(result, finished[a], finished[b])
pair = (finished[a], finished[b])
parts: dict[str, Callable[[], None]] = {
    "Probabilities": lambda: calibration(result, *pair),
    "Run time and cost": lambda: costs(pair),
    "Weight changes by layer": lambda: weight_changes(pair),
    "Small print": lambda: all_small_print(pair),
}
if result.agreement is not None:
    pictures = {"Pictures": lambda: agreement_square(result, *pair), "Confusion": lambda: confusions(result, *pair)}
    parts = {**pictures, **parts}
was = st.query_params.get("compare.details", "")
if was in RENAMED:
    st.session_state["compare.details"] = RENAMED[was]
tabs = st.tabs(list(parts), key="compare.details", on_change="rerun", bind="query-params")
for tab, render in zip(tabs, parts.values(), strict=True):
    if tab.open:
        with tab:
            render()
