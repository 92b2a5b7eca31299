"""Home: how much of a pretrained network should be retrained for these pictures? One button, and then the answer."""

import streamlit as st
from components import chosen
from components.home.race import race_to_show
from components.home.result import show_recorded, show_result
from components.home.setup import set_up
from components.messages import md
from components.progress import live

from core.data.dataset import stored_ids

st.title("Thaw")
dataset = chosen.dataset()
runs = race_to_show(dataset)
racing = any(run.is_active for run in runs)

if not runs:
    st.markdown("**How much of a pretrained network should you retrain for your own pictures?**")
    set_up(dataset, busy=False)
    show_recorded()
    st.stop()

if racing:
    st.markdown(f":material/photo_library: Racing on **{md(runs[0].dataset_title)}**")
    live([run.id for run in runs], "home.live")
else:
    used = runs[0].settings.data.dataset
    show_result(runs, dataset, gone=used not in (*stored_ids(), "builtin"))
new = st.expander("New race", icon=":material/flag:", key="home.new", on_change="rerun")
if new.open:
    with new:
        set_up(dataset, busy=racing)
