"""How much?: how much of the network should be thawed for these pictures, and would more pictures help?"""

from functools import partial

import streamlit as st
from components import chosen
from components.frame import draw_each
from components.messages import md
from components.much.advice import show_advice
from components.much.crossing import show_crossing
from components.much.lessons import show_later, show_rates
from components.much.luck import show_luck
from components.much.studying import Section, folded
from components.much.sweep import show_sweep
from components.wording import backbone_label

SECTIONS = (
    Section(
        kind="sweep", title="Thaw sweep: which depth is enough?", icon=":material/stacked_line_chart:", draw=show_sweep
    ),
    Section(kind="crossing", title="Enough pictures yet?", icon=":material/trending_up:", draw=show_crossing),
    Section(
        kind="later", title="From scratch gets there later?", icon=":material/schedule:", draw=show_later, thaws=True
    ),
    Section(kind="rates", title="One learning rate for all?", icon=":material/speed:", draw=show_rates, thaws=True),
    Section(kind=None, title="Can one seed mislead?", icon=":material/casino:", draw=show_luck),
)

st.title("How much?")
dataset, settings = chosen.dataset(), chosen.settings()
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    about = f"**{md(dataset.title)}** · {backbone_label(settings.model.backbone)}"
    st.markdown(f":material/photo_library: {about}", width="content")
    st.page_link("data.py", label="Change", icon=":material/edit:")
if not chosen.can_train(dataset):
    st.stop()
draw_each(
    partial(show_advice, dataset, settings),
    *(partial(folded, row, dataset, settings) for row in SECTIONS),
)
