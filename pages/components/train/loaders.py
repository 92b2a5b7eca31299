"""What feeds the network, and that it is built once and shared."""

import streamlit as st

from core.data.dataset import Dataset
from core.settings.schema import RunSettings

from .. import chosen
from ..resources import cached_loaders
from ..wording import seconds


def loaders(settings: RunSettings, dataset: Dataset, ready: bool) -> None:
    """The data loaders of these settings, folded: built, or taken from the cache, when it is opened."""
    with st.expander("The data loaders", icon=":material/dataset:", key="train.loaders", on_change="rerun") as box:
        if box.open and not ready:
            st.caption("There is nothing to load: see above.")
        elif box.open:
            _describe(settings, dataset)


def _describe(settings: RunSettings, dataset: Dataset) -> None:
    cached, hit = cached_loaders(chosen.home(), settings, dataset.id)
    split = cached.loaders.split
    saved = cached.built_s + (dataset.decode_s if hit else 0.0)
    st.markdown(
        f":material/bolt: **From the cache**, which saved {seconds(saved)}."
        if hit
        else f":material/build: **Built just now** in {seconds(cached.built_s)}."
    )
    st.caption(
        f"{len(split.train)} training, {len(split.val)} validation, {len(split.test)} test pictures · "
        f"{cached.loaders.batches_per_epoch()} batches of {settings.optim.batch_size} per epoch · all "
        f"decoded once, in {seconds(dataset.decode_s)}, when they were added. Shared by all sessions; "
        f"the key is content, split, augmentation, input size, batch size and seed."
    )
