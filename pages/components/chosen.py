"""What a person has chosen: one settings object for the session, mirrored to the address so that a reload keeps it."""

from dataclasses import replace
from typing import Final

import streamlit as st

from core.augment.catalogue import CUSTOM
from core.data.dataset import Dataset
from core.errors import DatasetError, ThawError
from core.home import thaw_home
from core.settings.schema import AugmentSettings, RunSettings

from .address import from_address, to_address
from .messages import show_error
from .resources import builtin_dataset, readable_datasets, split_sizes, stored_dataset

_KEY: Final = "chosen.settings"
_OWN: Final = "chosen.own_augment"


def settings() -> RunSettings:
    """What is chosen now; at a session's start, what the address says."""
    if _KEY not in st.session_state:
        asked, refused = from_address(st.query_params.to_dict())
        for error in refused:
            show_error(error)
        st.session_state[_KEY] = asked
    chosen: RunSettings = st.session_state[_KEY]
    return chosen


def choose(new: RunSettings) -> None:
    """Choose something else; the address says so at once, since a page may end anywhere.

    A pipeline of one's own is remembered where a preset takes its place.
    """
    now = settings().augment
    if now.preset == CUSTOM and new.augment.preset != CUSTOM:
        st.session_state[_OWN] = now
    st.session_state[_KEY] = new
    mirror_to_address()


def own_augment() -> AugmentSettings | None:
    """The pipeline of one's own: the chosen one, or the last that a preset took the place of."""
    now = settings().augment
    own: AugmentSettings | None = now if now.preset == CUSTOM else st.session_state.get(_OWN)
    return own


def mirror_to_address() -> None:
    """Write what differs from the defaults into the address; called once per run, since another page's has nothing."""
    for name, value in to_address(settings()).items():
        if value is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != value:
            st.query_params[name] = value


def home() -> str:
    """The home folder as a cache key: tests and servers with another home must not share what is cached."""
    return str(thaw_home())


def dataset() -> Dataset:
    """The chosen data set; the built-in one, with a word, where the chosen one is gone or damaged.

    Raises:
        ThawError: the built-in one cannot be drawn, on a full disk, say, and no other is here.
    """
    wanted = settings().data.dataset
    if wanted != "builtin":
        try:
            return stored_dataset(home(), wanted)
        except DatasetError as error:
            show_error(error)
            choose(replace(settings(), data=replace(settings().data, dataset="builtin")))
    try:
        return builtin_dataset(home())
    except ThawError as error:
        others = list(readable_datasets(home()).values())
        if not others:
            raise
        show_error(error)
        choose(replace(settings(), data=replace(settings().data, dataset=others[-1].id)))
        return others[-1]


def can_train(dataset: Dataset) -> bool:
    """Whether a run can start on these pictures; where not, a sentence says why, and a link leads to the fix."""
    try:
        split_sizes(home(), dataset.id, settings().seed, settings().data)
    except DatasetError as error:
        show_error(error)
        link_to_data()
        return False
    return True


def link_to_data() -> None:
    """The way out where the chosen pictures are of no use."""
    st.page_link("data.py", label="Fix these pictures, or choose others", icon=":material/photo_library:")


def work_with(dataset_id: str) -> None:
    """Choose another data set, and keep everything else."""
    choose(replace(settings(), data=replace(settings().data, dataset=dataset_id)))
