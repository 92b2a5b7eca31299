"""Compare: which is better, and can I believe it? Finished runs side by side, and a verdict by fixed rules."""

import streamlit as st
from components import chosen
from components.comparison import (
    agreement_pictures,
    calibration,
    differences_table,
    outcome_badge,
    over_seeds,
    side_by_side,
    take_home,
    twin_confusion,
)
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


def place_of(wanted: str, ids: list[str]) -> int:
    return ids.index(wanted) if wanted in ids else 0


def linked_points(text: str) -> float:
    """The band an address asks for, in points; the usual one if it asks for none or for nonsense."""
    try:
        return min(20.0, max(0.5, float(text)))
    except ValueError:
        return 100 * BAND


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
        over_all = race_verdict_of(ids)
        st.markdown(md(over_all.sentence, LONGEST_MESSAGE))
        over_seeds(over_all)
except ThawError as error:
    show_error(error)

st.markdown("#### Two models on the same pictures")
left, right, width = st.columns([2, 2, 1], vertical_alignment="bottom")
labels = {run.id: run_label(run) for run in runs}
linked = {name: st.query_params.get(name, "") for name in ("a", "b", "band")}
a = left.selectbox("A", ids, index=place_of(linked["a"], ids), format_func=labels.__getitem__, key="compare.a")
others = [run_id for run_id in ids if run_id != a]
b = right.selectbox("B", others, index=place_of(linked["b"], others), format_func=labels.__getitem__, key="compare.b")
points = width.number_input(
    "Practically the same within",
    0.5,
    20.0,
    linked_points(linked["band"]),
    0.5,
    key="compare.band",
    help="In points of accuracy, + or -.",
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
            f"Can this test set see it? With {result.pictures} pictures and this much disagreement, gaps from about "
            f"{result.detectable_gap:.1%} up (80 % power, 5 %)."
        )
    if result.p_value is not None:
        st.caption(
            f"Paired difference with Newcombe's interval; exact McNemar test, {p_value(result.p_value)}, from the "
            f"{result.discordant} pictures that only one of the two gets right."
        )
differences_table(result)
take_home(result, finished[a], finished[b])
if result.agreement is not None:
    st.markdown("#### Where they agree and where they do not")
    agreement_pictures(result, finished[a], finished[b])
    st.markdown("#### Confusion matrices")
    twin_confusion(result, labels[a], labels[b])
    st.markdown("#### Can their probabilities be taken at their word?")
    calibration(result, finished[a], finished[b])
