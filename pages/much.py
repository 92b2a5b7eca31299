"""How much?: how much of the network should be thawed for these pictures, and would more pictures help?"""

from functools import partial

import streamlit as st
from components import chosen
from components.frame import draw_each
from components.messages import md
from components.much.advice import show_advice
from components.wording import backbone_label

st.title("How much?")
dataset, settings = chosen.dataset(), chosen.settings()
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    about = f"**{md(dataset.title)}** · {backbone_label(settings.model.backbone)}"
    st.markdown(f":material/photo_library: {about}", width="content")
    st.page_link("data.py", label="Change", icon=":material/edit:")
if not chosen.can_train(dataset):
    st.stop()
draw_each(partial(show_advice, dataset, settings))
