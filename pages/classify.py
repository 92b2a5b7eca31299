"""Classify: what a trained network says about pictures it has never seen."""

import streamlit as st
from components import chosen
from components.cards import show_lacks
from components.classify.export import export_model, import_model
from components.classify.networks import asked_run, best_on_val, choice_sentence, choose_network, networks_of, rivals_of
from components.classify.options import choose_options
from components.classify.output import show_output
from components.classify.picture_input import ask, show_examples
from components.messages import show_error
from components.resources import run_record, run_store

from core.errors import ThawError
from core.runs.experiments import stored_experiments

# What is to spare beside a long answer goes below the options, not between them.
STYLE = """<style>
.st-key-classify-page { grid-template-rows: auto 1fr; }
.st-key-classify-answer h2 { font-size: 2.25rem; }
</style>"""

st.title("Classify")
networks = networks_of(stored_experiments(run_store(), ("finished",)))
if not networks:
    st.markdown("There is no network to ask yet: none has been trained or imported here.")
    if st.button("Train one on Home", type="primary", icon=":material/home:", key="classify.to_home"):
        st.switch_page("home.py")
    import_model()
    st.stop()

rivals = rivals_of(networks)
best = best_on_val([run for one in rivals for run in one.runs])
run, lost = asked_run(networks, best)
st.html(STYLE)
page = st.grid(2, min_column_width=420, gap=("small", "large"), key="classify.page")
inputs, output, details = page.cell(), page.cell(row_span=2), page.cell()  # a telephone shows them in this order
if lost:
    inputs.info("The network of the address is not here any more, or has not finished.", icon=":material/link_off:")
try:
    record = run_record(chosen.home(), run.id)
except ThawError as error:
    with inputs:
        show_error(error)
        choose_network(networks, run)
        import_model()
    st.stop()
with inputs:
    st.markdown(choice_sentence(run, networks, rivals if run.id == best.id else []))
    show_lacks([record])
    asked = ask(record)
with details:
    show_examples(record)
    with st.expander("Network and options", icon=":material/tune:", key="classify.options"):
        choose_network(networks, run)
        options = choose_options(record)
    if not asked:
        with st.expander("Export model", icon=":material/home_storage:", key="classify.takehome"):
            export_model(run)
    import_model()
with output:
    try:
        show_output(asked, run, networks, options)
    except ThawError as error:
        show_error(error)
