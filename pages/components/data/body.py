"""What the page shows is about one data set: nothing of another one may be seen in it, not even greyed."""

from collections.abc import Hashable
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

_BODY: Final = "data.body"


def fresh_bodies(of: Hashable, *places: DeltaGenerator) -> tuple[list[DeltaGenerator], bool]:
    """In each of these places room for what is about one data set, and whether it was not shown before.

    Streamlit keeps what an earlier run has drawn on the screen until the new run comes to the same place, or ends: so
    findings and pictures of the data set before stood there, greyed, for as long as the next one was looked through.
    Of two rooms only one is used at a time. With another data set they take turns, and the one that was used is
    emptied before anything is read.
    """
    before, turn = st.session_state.get(_BODY, (None, 1))
    if before != of:
        turn = 1 - turn
    st.session_state[_BODY] = (of, turn)
    rooms = [(place.empty(), place.empty())[turn] for place in places]
    return [room.container() for room in rooms], before != of
