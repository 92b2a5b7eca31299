"""The one dialog that asks before something is deleted that cannot come back."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from core.errors import ThawError

from .frame import framed
from .messages import show_error

_ASKED: Final = "confirm.asked"


def delete_button(label: str, key: str, of: str, goes: Callable[[], bool], destroy: Callable[[], None]) -> None:
    """A button that opens a question; only its answer destroys.

    Args:
        of: id of what goes: the question is about this one, and never about what stands in its place later.
        goes: writes into the dialog what would go, by name; whether it may go.
        destroy: called after a yes; its ThawError is shown in the dialog.
    """
    st.button(label, icon=":material/delete:", key=key, on_click=_ask, args=(key, of))
    if st.session_state.get(_ASKED) == (key, of):  # in the session: a page that redraws itself leaves it open
        ask = st.dialog(f"{label}?", icon=":material/delete:", on_dismiss=_answered)
        ask(framed(lambda: _question(label, key, goes, destroy)))()


def _ask(key: str, of: str) -> None:
    st.session_state[_ASKED] = (key, of)


def _answered() -> None:
    st.session_state.pop(_ASKED, None)


def _question(label: str, key: str, goes: Callable[[], bool], destroy: Callable[[], None]) -> None:
    may_go = goes()
    with st.container(horizontal=True):
        really = may_go and st.button("Delete", type="primary", icon=":material/delete:", key=f"{key}.really")
        if st.button("Keep it" if may_go else "Close", key=f"{key}.keep"):
            _answered()
            st.rerun()
    if really:
        try:
            destroy()
        except ThawError as error:
            show_error(error)
            return
        _answered()
        st.toast(f"{label.removeprefix('Delete ').capitalize()} is deleted.", icon=":material/delete:")
        st.rerun()
