"""What a check of the labels has found, said in a line that leads to it."""

from contextlib import suppress
from typing import Final

import streamlit as st

from core.comparison.wording import counted
from core.data.dataset import Dataset
from core.data.labels import open_suspects
from core.errors import DatasetError

from . import chosen
from .resources import stored_dataset

OPEN: Final = "data.labels.open"
"""In the session: the Data page is to show the suspected pictures at once."""


def suspects_line(dataset_id: str, key: str) -> None:
    """ "3 pictures may be mislabelled", as a button that shows them on the Data page; nothing where none is suspected.

    Cheap enough for every rerun: the check itself is made at the end of a frozen run.
    """
    with suppress(DatasetError):  # it is not here any more
        _line(stored_dataset(chosen.home(), dataset_id), key)


def _line(dataset: Dataset, key: str) -> None:
    found = len(open_suspects(dataset))
    if not found:
        return
    if st.button(
        f"{counted(found, 'picture')} may be mislabelled", icon=":material/label_off:", type="tertiary", key=key
    ):
        st.session_state[OPEN] = dataset.id
        chosen.work_with(dataset.id)
        st.switch_page("data.py")
