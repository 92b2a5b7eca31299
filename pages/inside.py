"""Inside: what a network is made of, what trains in it, and what it sees."""

import streamlit as st
from components import chosen
from components.inside.code import show_head, show_lesson
from components.inside.layers import draw_stages, layer_table, layer_tree, megabytes
from components.inside.sees import show_sight
from components.inside.subjects import (
    anatomy_of,
    choose_subject,
    next_action,
    subject_label,
    subject_runs,
    weights_badge,
)
from components.inside.tensors import show_changes, show_tensors
from components.kept import keep
from components.messages import LONGEST_MESSAGE, md, show_error

from core.errors import ThawError

VIEWS = {
    "layers": "Layers",
    "head": "Head",
    "tensors": "Parameters and buffers",
    "changes": "What training changed",
    "module": "nn.Module",
    "sees": "What it sees",
}

st.title("Inside")
st.caption("What is this network, and what trains in it?")
try:
    runs = subject_runs()
    subject = choose_subject(runs)
    classes = subject.classes or len(chosen.dataset().class_names)
    found = anatomy_of(subject.settings, classes)
except ThawError as error:
    show_error(error)
    st.stop()

counts = found.parameters
st.markdown(
    f"**{md(subject_label(subject, runs))}: {counts.trained:,} of {counts.total:,} parameters train.**  \n"
    f"{found.gflop:.2f} GFLOP for a picture of {found.image_size} px · "
    f"activations {megabytes(found.activation_bytes)} · kept for the backward pass {megabytes(found.backward_bytes)}"
)
with st.container(horizontal=True, vertical_alignment="center"):
    st.badge(f"weights: {weights_badge(subject)}", icon=":material/network_node:", color="gray")
    next_action(subject)
view = st.pills(
    "View",
    list(VIEWS),
    required=True,
    format_func=VIEWS.__getitem__,
    key=keep("inside.view", "layers", VIEWS),
    label_visibility="collapsed",
)
assert view is not None, "it is required"
if view == "layers":
    draw_stages(found)
    unfolded = st.toggle("Unfold all", key=keep("inside.unfolded", usual=False))
    layer_tree(found, unfolded)
    st.caption(md(found.uncounted_sentence, LONGEST_MESSAGE))
    with st.expander("As a table", icon=":material/table_rows:"):
        layer_table(found)
elif view == "head":
    show_head(subject, classes)
elif view == "tensors":
    show_tensors(subject, classes)
elif view == "changes":
    show_changes(subject, runs, classes)
elif view == "module":
    show_lesson(subject, classes)
else:
    show_sight(subject, runs, classes)
