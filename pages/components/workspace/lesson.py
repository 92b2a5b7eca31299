"""Teaching a class: its link for the wall, and the board that gathers what everybody trained."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final

import streamlit as st

from core.comparison.conclusion import conclusion_of
from core.comparison.race_verdict import race_verdict
from core.comparison.wording import counted
from core.errors import ThawError
from core.visitors.registry import Room
from core.workspaces.room import (
    LONGEST_TITLE,
    Entry,
    board,
    close_room,
    gathered,
    is_over,
    leave,
    open_room,
    room_of,
    rooms_of,
)

from .. import chosen, classroom, visitor
from ..address import to_address
from ..conclusion import GRADES
from ..kept import address_of_kept
from ..messages import LONGEST_MESSAGE, md, show_error, whole_numbers
from ..sharing import LONGEST, SIDE, for_others, qr_code
from ..wording import per_cent

_REFRESH_S: Final = 10.0


def lessons() -> None:
    """The class that was joined, those that are taught, and a form that begins one."""
    st.header("Class", anchor=False)
    workspace, joined = visitor.mine(), room_of(visitor.mine())
    taught = rooms_of(workspace)
    for room in taught:
        _invite(room)
    if joined is not None:
        _as_student(joined)
    if not taught and joined is None:
        _begin()


def _begin() -> None:
    dataset = chosen.dataset()
    st.markdown(
        f"Teach with **{md(dataset.title)}** and the settings you have chosen: everybody who opens the class's link "
        "gets them, and one board gathers all their runs."
    )
    with st.form("workspace.lesson", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        title = st.text_input("Name of the class", key="workspace.lesson.title", max_chars=LONGEST_TITLE)
        asked = st.form_submit_button("Begin a class", icon=":material/school:", key="workspace.lesson.begin")
    if not asked:
        return
    address = {name: value for name, value in to_address(chosen.settings()).items() if value is not None}
    try:
        open_room(visitor.mine(), dataset.id, title, address | address_of_kept())
    except ThawError as error:
        show_error(error)
        return
    st.rerun()


def _invite(room: Room) -> None:
    here = st.context.url or ""
    front = (for_others(here) or here).rpartition("/")[0]
    link = f"{front}/?{classroom.NAME}={room.code[:5]}-{room.code[5:]}"
    st.subheader(md(room.title), anchor=False)
    with st.container(horizontal=True):
        with st.container(width=SIDE + 96):
            st.code(link, language=None, wrap_lines=True)
            if for_others(here) and len(link) <= LONGEST:
                st.image(qr_code(link), width=SIDE, alt="The class's link as a QR code")
        with st.container(width="stretch"):
            _live_board(room)
    if st.button("End the class", icon=":material/logout:", key=f"workspace.close.{room.id}", help=_END):
        close_room(visitor.mine(), room)
        st.toast("The class is over. Everybody keeps what they have.", icon=":material/logout:")
        st.rerun()


_END: Final = "The link opens nothing any more and the board goes. What students have trained stays theirs."


def _as_student(room: Room) -> None:
    st.subheader(md(room.title), anchor=False)
    _live_board(room)
    if st.button("Leave the class", icon=":material/logout:", key="workspace.leave"):
        leave(visitor.mine())
        st.rerun()


@st.fragment(run_every=_REFRESH_S)
def _live_board(room: Room) -> None:
    """Drawn anew every few seconds: a class looks at it together."""
    try:
        if is_over(room):  # it was ended elsewhere, while this page stayed open
            st.toast("The class is over. You keep what you have.", icon=":material/logout:")
            st.rerun()
        entries = board(room)
        _conclusion(room, entries)
        _table(entries)
    except ThawError as error:
        show_error(error)


def _conclusion(room: Room, entries: Sequence[Entry]) -> None:
    outcomes = gathered(entries)
    runs = sum(len(entry.runs) for entry in entries)
    st.caption(f"{counted(len(entries), 'student')}, {counted(runs, 'finished run')} on the class's pictures")
    if not outcomes:
        return
    found = conclusion_of(race_verdict(outcomes))
    word, icon, colour = GRADES[found.grade]
    with st.container(border=True, key=f"board-{room.id}"):
        st.badge(word, icon=icon, color=colour)
        st.markdown(f"**{md(found.headline, LONGEST_MESSAGE)}**")
        st.markdown(md(found.numbers, LONGEST_MESSAGE))


def _table(entries: Sequence[Entry]) -> None:
    """A row per student: the mean test accuracy of each strategy."""
    rows: list[dict[str, Any]] = []
    for entry in entries:
        by_strategy: dict[str, list[float]] = {}
        for run in entry.runs:
            by_strategy.setdefault(run.settings.model.row.label, []).append((run.summary or {})["test_accuracy"])
        means = {name: whole_numbers(per_cent(fmean(values))) for name, values in sorted(by_strategy.items())}
        rows.append({"Name": md(entry.name), "Runs": str(len(entry.runs)), **means})
    if rows:
        if any(entry.runs for entry in entries):
            st.caption("Mean test accuracy by training strategy")
        names = dict.fromkeys(name for row in rows for name in row)
        whole = [{md(name): row.get(name, "") for name in names} for row in rows]
        # for a wall, and for a telephone: all rows at once, and no name is cut
        st.table(whole, border="horizontal", hide_index=True, alt="Test accuracy of each student and strategy")
    else:
        st.caption("Nobody has joined yet.")
