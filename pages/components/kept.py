"""Widgets beside the settings that the session and the address keep: from page to page, over a reload, in a link.

One row per widget in `NAMES`; a page gives it as its widget's key: `st.pills(..., key=keep("home.scenarios", usual))`.
Streamlit's own binding to the address loses its value with the page, and writes labels instead of names.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from core.errors import SettingsError

from .messages import plain, show_error


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """How a widget's value stands in the address."""

    name: str
    read: Callable[[str], Any]
    """Raises ValueError."""
    wanted: str
    text: Callable[[Any], str] = str
    is_id: bool = False
    """`addressed` tells where there is none such."""


def _words(text: str) -> list[str]:
    return text.split(",") if text else []


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(text)
    return text == "on"


def _whole(name: str) -> Row:
    return Row(name=name, read=int, wanted="a whole number")


def _switching(name: str) -> Row:
    return Row(name=name, read=_switch, wanted="on or off", text=lambda on: "on" if on else "off")


NAMES: Final = {
    "header.projector": _switching("projector"),
    "home.scenarios": Row(name="strategies", read=_words, wanted="names with commas", text=",".join),
    "home.seeds": _whole("seeds"),
    "home.recipe": Row(name="recipe", read=str, wanted="a name"),
    "train.repeats": _whole("repeats"),
    "augment.picture": _whole("picture"),
    "augment.count": _whole("samples"),
    "augment.seed": _whole("draw"),
    "classify.second": Row(name="second", read=str, wanted="a run", text=lambda run: run or "", is_id=True),
    "classify.top": _whole("top"),
    "classify.coverage": _whole("coverage"),
    "classify.detect": _switching("unknown"),
}
"""By the widget's key."""
_VALUES: Final = "kept.values"
_USUAL: Final = "kept.usual"
_ASKED: Final = "kept.asked"  # keys of values that come from the address and no widget has shown yet


def keep(key: str, usual: Any, possible: Collection[Any] | None = None) -> str:
    """The key of a widget, made to show what was chosen last, or what the address asks for.

    Args:
        usual: what it shows otherwise; the address says only what differs.
        possible: its options, or the range of its numbers; what is asked for and none of these is told and left out.
    """
    values, row = _values(), NAMES[key]
    st.session_state.setdefault(_USUAL, {})[key] = usual
    wanted = st.session_state[key] if key in st.session_state else values.get(key, usual)
    asked: set[str] = st.session_state[_ASKED]
    if not _is_possible(wanted, possible):
        if key in asked and not row.is_id:
            refuse(row.name, row.text(wanted), "It is not one of those that there are here.")
        values.pop(key, None)
        wanted = usual
    asked.discard(key)
    if key not in st.session_state or st.session_state[key] != wanted:
        st.session_state[key] = wanted
    return key


def kept(key: str, usual: Any) -> Any:
    """What a widget of `NAMES` says, be it on this page or not."""
    return st.session_state[key] if key in st.session_state else _values().get(key, usual)


def mirror_kept() -> None:
    """Take what the widgets say now, and write it into the address; once per run, before the page."""
    values = _values()
    values |= {key: st.session_state[key] for key in NAMES if key in st.session_state}
    usual = st.session_state.get(_USUAL, {})
    for key, value in values.items():
        row = NAMES[key]
        if key in usual and value == usual[key]:
            st.query_params.pop(row.name, None)
        elif st.query_params.get(row.name) != row.text(value):
            st.query_params[row.name] = row.text(value)


def address_of_kept() -> dict[str, str]:
    """What of these settings the address says now."""
    return {row.name: st.query_params[row.name] for row in NAMES.values() if row.name in st.query_params}


def forget(name: str) -> None:
    """Give up what is kept under this name of the address, if anything is."""
    for key in [key for key, row in NAMES.items() if row.name == name]:
        _values().pop(key, None)


def refuse(name: str, asked: str, why: str) -> None:
    """Say that the address asks for something that cannot be had, and what happens instead."""
    show_error(SettingsError(f"The address asks for {name}={plain(asked, 60)}. {why} The default is used instead."))


def _values() -> dict[str, Any]:
    """What was chosen, by key; at a session's start, what the address says."""
    if _VALUES not in st.session_state:
        values: dict[str, Any] = {}
        st.session_state[_VALUES] = values
        for key, row in NAMES.items():
            if row.name in st.query_params:
                _take(values, key, st.query_params[row.name])
        st.session_state[_ASKED] = set(values)
    found: dict[str, Any] = st.session_state[_VALUES]
    return found


def _take(values: dict[str, Any], key: str, asked: str) -> None:
    row = NAMES[key]
    try:
        values[key] = row.read(asked[:500])
    except ValueError:
        st.query_params.pop(row.name, None)
        refuse(row.name, asked, f"It must be {row.wanted}.")


def _is_possible(wanted: Any, possible: Collection[Any] | None) -> bool:
    if possible is None:
        return True
    return all(one in possible for one in (wanted if isinstance(wanted, list) else [wanted]))
