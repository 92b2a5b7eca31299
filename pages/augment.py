"""Augment: what the network will really see of a picture, and how training pictures are varied."""

import random

import streamlit as st
from components import chosen
from components.augment.pipeline import chosen_steps, preset_control, step_controls
from components.augment.samples import evaluation_view, preprocessing, shown_pictures, training_samples, use_of_samples
from components.gallery import gallery
from components.kept import MOST_SAMPLES, keep
from components.messages import md, show_error

from core.augment.code import as_code
from core.errors import ThawError
from core.models.catalogue import get_backbone

COLUMNS = 3
SAMPLES = 2 * COLUMNS - 2
"""With the picture itself and what evaluation sees two full rows, seen together with what changes them."""

st.title("Augment")
dataset = chosen.dataset()
steps = chosen_steps()
settings = chosen.settings()
question = st.empty()
try:
    training = dataset.split(settings.seed, settings.data).train
    expected = preprocessing(settings.model.backbone)
except ThawError as error:
    show_error(error)
    chosen.link_to_data()
    st.stop()


def another_picture(now: int) -> None:
    st.session_state["augment.picture"] = 1 + (now + random.randrange(max(1, len(training) - 1))) % len(training)


what_is_seen, controls = st.columns([5, 3], gap="medium")
with what_is_seen:
    pictures = st.container()  # drawn last: what is chosen below and beside decides about them
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            "Training picture",
            1,
            len(training),
            key=keep("augment.picture", 1, range(1, len(training) + 1)),
            width=150,
            help=f"One of the {len(training)} pictures that a run with seed {settings.seed} trains on.",
        )
        st.button(
            "Another picture",
            icon=":material/shuffle:",
            key="augment.another",
            on_click=another_picture,
            args=(number,),
        )
        count = st.number_input(
            "Samples", 1, MOST_SAMPLES, key=keep("augment.count", SAMPLES, range(1, MOST_SAMPLES + 1)), width=130
        )
        seed = st.number_input(
            "Seed",
            0,
            2**31 - 1,
            key=keep("augment.seed", settings.seed, range(2**31)),
            width=150,
            help="The same seed gives the same samples, here and in training.",
        )
        told = st.toggle(
            "Drawn values",
            key="augment.values",
            persist_state="session",
            help="Under each sample, what was drawn at random for it.",
        )
    with st.expander("The pipeline as code", icon=":material/code:"):
        st.caption(f"For {md(get_backbone(settings.model.backbone).label)}: plain torchvision, the same pixels.")
        st.code(as_code(settings.augment, expected), language="python", wrap_lines=True)
with controls, st.container(border=True, key="augment.controls"):
    preset_control()
    step_controls(steps)
    st.page_link("train.py", label="Train with this", icon=":material/model_training:")

index = training[number - 1]
place = (chosen.home(), dataset.id, index)
try:
    samples = training_samples(*place, settings.augment, settings.model.backbone, seed, count, dataset.stamp)
    evaluated = evaluation_view(*place, settings.model.backbone, dataset.stamp)
except ThawError as error:
    show_error(error)
    st.stop()
question.markdown(f"What will the network really see? {use_of_samples(settings, seed)}")
with pictures:
    gallery(shown_pictures(dataset, index, evaluated, samples, told=told), COLUMNS, "augment.pictures")
