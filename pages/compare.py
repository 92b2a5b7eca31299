"""Compare: which is better, and can I believe it? Finished runs side by side, and a verdict by fixed rules."""

import streamlit as st
from components import chosen
from components.comparison import agreement_pictures, differences_table, outcome_badge, side_by_side, twin_confusion
from components.messages import LONGEST_MESSAGE, md, show_error
from components.race import race_verdict_of
from components.resources import run_outcome, run_store
from components.results import charts
from components.wording import run_label

from core.comparison.verdict import BAND, compare
from core.comparison.wording import p_value
from core.errors import ThawError

st.title("Compare")
st.caption("Which is better, and can I believe it?")
finished = {run.id: run for run in run_store().runs(states=("finished",), limit=100)}
if len(finished) < 2:
    st.markdown("A comparison needs two finished runs on the same pictures.")
    st.page_link("home.py", label="Run the race", icon=":material/flag:")
    st.page_link("train.py", label="Train runs of your own", icon=":material/model_training:")
    st.stop()

newest = next(iter(finished.values()))
usual = [run.id for run in finished.values() if newest.race and run.race == newest.race][::-1]
asked = [run_id for run_id in st.query_params.get("runs", "").split(",") if run_id in finished]
ids = st.multiselect(
    "Runs",
    list(finished),
    default=asked or (usual if len(usual) > 1 else list(finished)[1::-1]),
    format_func=lambda run_id: f"{run_label(finished[run_id])} · {finished[run_id].dataset_title}",
    key="compare.runs",
    max_selections=12,
)
if len(ids) < 2:
    st.caption("Choose at least two runs.")
    st.stop()
st.query_params["runs"] = ",".join(ids)
runs = [finished[run_id] for run_id in ids]

try:
    side_by_side(runs)
    charts(runs, "compare.charts")
    if len(ids) > 2:
        st.markdown("#### The way of training")
        st.caption("Over all chosen runs: is one way of training better than another?")
        st.markdown(md(race_verdict_of(ids).sentence, LONGEST_MESSAGE))
except ThawError as error:
    show_error(error)

st.markdown("#### Two models on the same pictures")
left, right, width = st.columns([2, 2, 1], vertical_alignment="bottom")
labels = {run.id: run_label(run) for run in runs}
a = left.selectbox("A", ids, index=0, format_func=labels.__getitem__, key="compare.a")
b = right.selectbox("B", [i for i in ids if i != a], format_func=labels.__getitem__, key="compare.b")
points = width.number_input(
    "Practically the same within", 0.5, 20.0, 100 * BAND, 0.5, key="compare.band", help="In points of accuracy, + or -."
)
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
            f"Can this test set see it? With {result.pictures} pictures and this much disagreement, gaps from about "
            f"{result.detectable_gap:.1%} up (80 % power, 5 %)."
        )
    if result.p_value is not None:
        st.caption(
            f"Paired difference with Newcombe's interval; exact McNemar test, {p_value(result.p_value)}, from the "
            f"{result.discordant} pictures that only one of the two gets right."
        )
differences_table(result)
if result.agreement is not None:
    st.markdown("#### Where they agree and where they do not")
    agreement_pictures(result, finished[a], finished[b])
    st.markdown("#### Confusion matrices")
    twin_confusion(result, labels[a], labels[b])
