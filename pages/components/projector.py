"""Larger text and charts, for a class room: chosen in the header, kept by session and address."""

from typing import Final

import streamlit as st

from .kept import keep, kept

KEY: Final = "header.projector"
_LARGER: Final = "<style>:root { font-size: 20px !important; }</style>"  # everything is measured in this


def is_on() -> bool:
    """Whether this session shows itself to a room; charts ask, since they are drawn and not styled."""
    return bool(kept(KEY, usual=False))


def projector_switch() -> None:
    """The switch, and what it does."""
    if st.toggle("Projector", key=keep(KEY, usual=False), help="Larger text and charts, for a class room."):
        st.html(_LARGER)
