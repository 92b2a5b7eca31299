"""A class's link, on whatever page it leads to: what it is, under which name one joins, and what that shows."""

from typing import Final

import streamlit as st

from core.errors import ThawError
from core.visitors.registry import Room
from core.workspaces.room import LONGEST_NAME, find_room, join, room_of

from . import visitor
from .messages import md, show_error

NAME: Final = "class"
"""Of the code in the address."""
_JOINED: Final = "classroom.joined"


def invitation() -> None:
    """Where the address has the code of a class: joining it."""
    code = str(st.query_params.get(NAME, ""))
    if not code:
        return
    room = find_room(code)
    if room is None:
        st.query_params.pop(NAME, None)
        st.warning("The link's class is over, or the link is not whole. Ask your teacher for it.")
    elif room.teacher == visitor.mine().id or room_of(visitor.mine()) == room:
        st.query_params.pop(NAME, None)
    else:
        _ask(room)


def _ask(room: Room) -> None:
    with st.container(border=True, key="classroom"), st.form("classroom.form", border=False):
        st.markdown(f":material/school: **Join {md(room.title)}**")  # above the page's title, so it is no heading
        st.markdown(
            "You get the class's pictures and settings. Your runs on them appear on the class's board under the name "
            "you choose; nothing else that you do here is seen."
        )
        name = st.text_input("Your name on the board", key="classroom.name", max_chars=LONGEST_NAME)
        if not st.form_submit_button("Join", type="primary", icon=":material/login:", key="classroom.join"):
            return
    try:
        seed = join(visitor.mine(), room, name)
    except ThawError as error:
        show_error(error)
        return
    address = room.address | {"data": room.dataset, "seed": str(seed)}
    visitor.begin_with(address)
    st.toast(f"You are in {md(room.title)}.", icon=":material/school:")
    st.switch_page("home.py", query_params=address)
