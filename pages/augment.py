"""Augment: what the network will really see of a picture, and how training pictures are varied."""

import random

import numpy as np
import streamlit as st
from components import chosen
from components.augment.pipeline import chosen_steps, preset_control, step_controls
from components.augment.samples import evaluation_view, preprocessing, training_samples, use_of_samples
from components.gallery import GalleryItem, gallery
from components.kept import keep
from components.messages import md, show_error

from core.augment.code import as_code
from core.errors import ThawError
from core.models.catalogue import get_backbone

MOST_SAMPLES = 24

st.title("Augment")
st.markdown("What will the network really see? Training varies its pictures, so that it learns what does not matter.")
dataset = chosen.dataset()
steps = chosen_steps()
settings = chosen.settings()
try:
    training = dataset.split(settings.seed, settings.data).train
    expected = preprocessing(settings.model.backbone)
except ThawError as error:
    show_error(error)
    chosen.link_to_data()
    st.stop()


def another_picture(now: int) -> None:
    st.session_state["augment.picture"] = 1 + (now + random.randrange(max(1, len(training) - 1))) % len(training)


preset_control()
pictures, controls = st.columns([5, 3], gap="large")
with controls, st.container(border=True, key="augment.controls"):
    step_controls(steps)
    st.page_link("train.py", label="Train with this", icon=":material/model_training:")

with pictures:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            "Training picture",
            1,
            len(training),
            key=keep("augment.picture", 1, range(1, len(training) + 1)),
            width=150,
            help=f"One of the {len(training)} pictures that a run with seed {settings.seed} trains on.",
        )
        count = st.number_input(
            "Samples", 1, MOST_SAMPLES, key=keep("augment.count", 8, range(1, MOST_SAMPLES + 1)), width=130
        )
        seed = st.number_input(
            "Seed",
            0,
            2**31 - 1,
            key=keep("augment.seed", settings.seed, range(2**31)),
            width=150,
            help="The same seed gives the same samples, here and in training.",
        )
        st.button(
            "Another picture",
            icon=":material/shuffle:",
            key="augment.another",
            on_click=another_picture,
            args=(number,),
        )
    index = training[number - 1]
    picture = dataset.pictures[index]
    place = (chosen.home(), dataset.id, index)
    try:
        samples = training_samples(*place, settings.augment, settings.model.backbone, seed, count)
        seen = evaluation_view(*place, settings.model.backbone)
    except ThawError as error:
        show_error(error)
        st.stop()
    height, width = dataset.pixels[index].shape[:2]
    whole = GalleryItem(
        image=np.array(dataset.pixels[index]),
        title="The picture",
        captions=(f"{dataset.class_names[picture.target]}, {picture.name}", f"stored with {width} x {height} px"),
    )
    size = f"{expected.image_size} x {expected.image_size} px"
    evaluated = GalleryItem(image=seen, title="Evaluation sees", captions=(f"always this, {size}",))
    gallery([whole, evaluated], 4, "augment.original")
    st.markdown("#### Training sees")
    st.caption(use_of_samples(settings, seed))
    items = [
        GalleryItem(
            image=sample.pixels,
            title=f"Sample {position}",
            captions=tuple(f"{label}: {words}" for label, words in sample.drawn),
        )
        for position, sample in enumerate(samples, 1)
    ]
    gallery(items, 4, "augment.samples")

with st.expander("The pipeline as code", icon=":material/code:"):
    st.caption(f"For {md(get_backbone(settings.model.backbone).label)}: plain torchvision, the same pixels.")
    st.code(as_code(settings.augment, expected), language="python")
