"""Compare: which is better, and can I believe it? Experiments side by side: the conclusion, then what it rests on."""

import streamlit as st
from components.addressed import name_in_address
from components.compare.chooser import choose_experiments, show_chooser
from components.compare.evidence import chosen_band, show_evidence
from components.compare.files import race_files
from components.conclusion import show_conclusion
from components.messages import show_error
from components.verdicts import race_verdict_of, say_what_folds_answer

from core.comparison.experiments import shared_settings
from core.errors import ThawError

st.title("Compare")
choice = choose_experiments()
experiments = choice.experiments
if not experiments:
    st.stop()
st.query_params["experiments"] = ",".join(map(name_in_address, experiments))
if "runs" in st.query_params:  # as older addresses say it
    del st.query_params["runs"]
runs = [run for one in experiments for run in one.finished]
try:
    verdict = race_verdict_of([run.id for run in runs], chosen_band())
except ThawError as error:
    show_error(error)
    show_chooser(choice)
    st.stop()
titles = " and ".join(dict.fromkeys(run.dataset_title for run in runs))
shared = shared_settings([one.settings for one in experiments]) if len(experiments) > 1 else ""
found = show_conclusion(verdict, runs, "compare", about=" · ".join(filter(None, [titles, shared])))
say_what_folds_answer(runs)
show_chooser(choice)
show_evidence(verdict, experiments, found)
race_files(verdict)
