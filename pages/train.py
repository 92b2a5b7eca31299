"""Train: what do I want to try? A strategy and its settings; where it stands, what came out, and all experiments."""

import streamlit as st
from components import chosen
from components.help import with_term
from components.kept import keep
from components.messages import md, show_error
from components.planning import estimate_run, say_what_is_fetched, show_detectable_difference
from components.resources import backbone_badges, run_store
from components.train.experiments import experiment_list, names_by_key, show_in_address, shown_experiment
from components.train.forms import run_form
from components.train.loaders import loaders
from components.train.shown import show_experiment
from components.train.starting import start_runs
from components.wording import expected_time

from core.errors import ThawError
from core.runs.experiments import stored_experiments

st.title("Train")
st.caption("What do I want to try?")
dataset = chosen.dataset()
try:
    badges = backbone_badges(chosen.home())
    settings, below = run_form(chosen.settings(), badges, dataset)
    chosen.choose(settings)
    ready = chosen.can_train(dataset)
    expected = estimate_run(settings, dataset) if ready else None
except ThawError as error:
    show_error(error)
    st.stop()

with below, st.container(horizontal=True, vertical_alignment="bottom"):
    pressed = st.button(
        "Start training", type="primary", icon=":material/play_arrow:", key="train.start", disabled=not ready
    )
    repeats = st.number_input(
        "Seeds to run",
        1,
        10,
        key=keep("train.repeats", 1, range(1, 11)),
        width=130,
        help=with_term("The same with so many seeds shows what is luck.", "Seed"),
    )
    about = f":material/photo_library: {md(dataset.title)}"
    about += f" · {expected_time(expected, int(repeats) * (settings.data.folds or 1))}" if ready else ""
    st.caption(about)
say_what_is_fetched(settings.model)
if pressed:
    try:
        show_in_address(start_runs(settings, dataset, int(repeats)))
    except ThawError as error:
        show_error(error)
        st.stop()
    st.rerun()

everything = stored_experiments(run_store(), archived=True, studied=False)
shown = shown_experiment(everything, stored_experiments(run_store(), archived=True))
known = everything if shown is None or shown in everything else [shown, *everything]
names = names_by_key(known)
if ready and not (shown and shown.is_active):
    show_detectable_difference(settings, dataset, int(repeats), "train")
if shown is not None:
    show_experiment(shown, known, names)
if everything:
    experiment_list(everything, names)
else:
    st.caption("No experiment yet. The defaults are a good start: on the built-in pictures they take seconds.")
loaders(settings, dataset, ready)
