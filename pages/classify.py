"""Classify: what a trained network says about pictures it has never seen."""

from functools import partial

import streamlit as st
from components import chosen
from components.cards import show_lacks
from components.classify.answer_cards import answer_cards
from components.classify.answers import answers, as_csv, as_table
from components.classify.defaults import best_on_val, networks_of_one_data_set
from components.classify.explanations import show_legend, wanted_explanations
from components.classify.export import export_model, import_model
from components.classify.picture_input import ask
from components.classify.uncertainty import as_json, uncertainty_cells, uncertainty_controls, uncertainty_rules
from components.kept import keep
from components.messages import md, plain, show_error
from components.resources import run_record, run_store
from components.wording import per_cent, run_label

from core.errors import ThawError
from core.runs.record import RunRecord

st.title("Classify")
st.markdown("What does my network say about this picture?")
runs = {run.id: run for run in run_store().runs(states=("finished",))}
if not runs:
    st.markdown("No run has finished, so there is no network to ask yet.")
    with st.container(horizontal=True):
        st.page_link("home.py", label="Run the race", icon=":material/flag:")
        st.page_link("train.py", label="Train one run", icon=":material/model_training:")
    import_model()
    st.stop()


def label(run_id: str | None) -> str:
    if run_id is None:
        return "No second run"
    run = runs[run_id]
    accuracy = per_cent((run.summary or {})["test_accuracy"])
    return f"{run_label(run)} · {plain(run.dataset_title, 40)} · {accuracy} on test"


def take_run() -> None:
    """The address keeps the chosen run, so that a reload and a link show the same."""
    st.query_params["run"] = st.session_state["classify.remembered"] = st.session_state["classify.run"]


def about(record: RunRecord) -> None:
    st.badge(f"weights: {plain(record.weights.origin)}", icon=":material/network_node:", color="gray")
    st.caption("It knows: " + md(", ".join(record.dataset.class_names), 300))
    show_lacks([record])


rivals = networks_of_one_data_set(list(runs.values()))
best = best_on_val(rivals).id
wanted = [st.query_params.get("run"), st.session_state.get("classify.remembered"), best]
st.session_state["classify.run"] = next(run_id for run_id in wanted if run_id in runs)
if wanted[0] and wanted[0] not in runs:
    st.caption(f":material/link_off: The run {md(wanted[0], 20)} of the address is not among the finished ones.")
left, right = st.columns(2, gap="large")
with left:
    first = st.selectbox("Network", list(runs), format_func=label, key="classify.run", on_change=take_run)
    if first == best and len(rivals) > 1:
        title = md(runs[best].dataset_title, 40)
        st.caption(f":material/trophy: The best on val of {len(rivals)} networks trained on {title}.")
with right:
    others = [None, *(run_id for run_id in runs if run_id != first)]
    second = st.selectbox("Compare with", others, format_func=label, key=keep("classify.second", None, others))
shown = [runs[run_id] for run_id in (first, second) if run_id]
try:
    records = [run_record(chosen.home(), run.id) for run in shown]
    for column, record in zip((left, right), records, strict=False):
        with column:
            about(record)
    asked = ask(records[0])
    if not asked:
        st.caption("Pictures stay in this server's memory for your session and are not stored.")
        export_model(shown[0])
        import_model()
        st.stop()
    given = answers(shown, asked)
except ThawError as error:
    show_error(error)
    st.stop()

tested = records[-1].test_contents
class_names = [record.dataset.class_names for record in records]
most = min(10, max(map(len, class_names)))
top = 1
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    if most > 1:
        top = st.slider("Classes shown", 1, most, key=keep("classify.top", min(most, 3), range(1, most + 1)), width=200)
    coverage, detect = uncertainty_controls(records)
explanations = wanted_explanations()
if len(shown) == 2 and (untested := sum(one.place is not None and one.content not in tested for one in asked)):
    st.caption(
        f"{run_label(shown[1])} was not tested on {untested} of these {len(asked)} and may have trained on some."
    )
try:
    rules = uncertainty_rules(records, coverage, detect)
    if explanations.heat:
        show_legend(len(shown))
    answer_cards(given, shown, class_names, top, rules, explanations)
except ThawError as error:
    show_error(error)
    st.stop()
st.markdown("#### Table")
cells = partial(uncertainty_cells, rules, class_names)
table = as_table(given, [run_label(run) for run in shown], class_names, cells)
per_cents = [name for name in table if name == "probability" or name.startswith("p(")]
columns = {name: st.column_config.NumberColumn(format="percent") for name in per_cents}
st.dataframe(table, hide_index=True, column_config=columns, key="classify.table", placeholder="", alt="All answers")
with st.container(horizontal=True):
    for name, kind, content in (
        ("CSV", "text/csv", as_csv(table)),
        ("JSON", "application/json", as_json(given, records, rules, most)),
    ):
        st.download_button(
            f"Download as {name}",
            content,
            f"thaw-classified.{name.lower()}",
            kind,
            icon=":material/download:",
            key=f"classify.{name.lower()}",
            on_click="ignore",
        )
export_model(shown[0])
import_model()
