"""What the page shows is about one data set: nothing of another one may be seen in it, not even greyed."""

from collections.abc import Hashable
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.dataset import stored_ids
from core.errors import StorageError

from .. import chosen
from ..messages import md
from ..resources import run_store

_BODY: Final = "data.body"
_SEEN: Final = "data.seen"


def fresh_body(of: Hashable) -> tuple[DeltaGenerator, bool]:
    """The place for everything about one data set, and whether it was not shown before.

    Streamlit keeps what an earlier run has drawn on the screen until the new run comes to the same place, or ends: so
    findings and pictures of the data set before stood there, greyed, for as long as the next one was looked through.
    Of two places only one is used at a time. With another data set they take turns, and the one that was used is
    emptied before anything is read.
    """
    before, turn = st.session_state.get(_BODY, (None, 1))
    if before != of:
        turn = 1 - turn
    st.session_state[_BODY] = (of, turn)
    places = st.empty(), st.empty()
    return places[turn].container(), before != of


def say_what_is_gone() -> None:
    """That the chosen data set is not here (any more), by its title where that is known; then another is chosen."""
    wanted = chosen.settings().data.dataset
    seen: dict[str, str] = st.session_state.setdefault(_SEEN, {})
    if wanted == "builtin" or wanted in stored_ids():
        return
    title = seen.get(wanted) or _title_in_runs(wanted)
    gone = f"**{md(title)}** was deleted in another window. Runs that used it keep their numbers."
    never = f"The address asks for the data set {md(wanted)}, which is not here."
    chosen.work_with("builtin")
    st.warning(f"{gone if title else never} These are the built-in pictures.", icon=":material/delete:")


def remember_title(dataset_id: str, title: str) -> None:
    """For the day that it is gone."""
    st.session_state.setdefault(_SEEN, {})[dataset_id] = title


def _title_in_runs(dataset_id: str) -> str:
    try:
        runs = run_store().runs()
    except StorageError:
        return ""
    return next((run.dataset_title for run in runs if run.settings.data.dataset == dataset_id), "")
