"""Widgets beside the settings that the session and the address keep: from page to page, over a reload, in a link.

One row per widget in `NAMES`; a page gives it as its widget's key: `st.pills(..., key=keep("home.scenarios", usual))`.
Streamlit's own binding to the address loses its value with the page, and writes labels instead of names.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from core.errors import SettingsError
from core.lessons.table import lessons
from core.settings.scenarios import SCENARIOS

from .messages import plain, show_error

SEED_CHOICES: Final = (1, 3, 5)
OFFERED: Final = ("quick", "usual")
OWN: Final = "own"
"""The settings as they are, where they are none of the recipes."""
MOST_SAMPLES: Final = 24
LEAST_BAND: Final = 0.5  # points
WIDEST_BAND: Final = 20.0


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


def _strategies(text: str) -> list[str]:
    names = text.split(",") if text else []
    if not {*names} <= {*SCENARIOS}:
        raise ValueError(text)
    return names


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(text)
    return text == "on"


def _number(name: str, low: float, high: float, kind: Callable[[str], float] = int) -> Row:
    def read(text: str) -> float:
        number = kind(text)
        if not low <= number <= high:
            raise ValueError(text)
        return number

    whole = "a whole number" if kind is int else "a number"
    return Row(name=name, read=read, wanted=f"{whole} from {low:g} to {high:g}", text=lambda number: f"{number:.12g}")


def _one_of(name: str, *options: str | int) -> Row:
    """A word or a number of a few."""
    by_text = {str(option): option for option in options}

    def read(text: str) -> str | int:
        if text not in by_text:
            raise ValueError(text)
        return by_text[text]

    return Row(name=name, read=read, wanted=f"one of {', '.join(by_text)}")


def _switching(name: str) -> Row:
    return Row(name=name, read=_switch, wanted="on or off", text=lambda on: "on" if on else "off")


NAMES: Final = {
    "header.projector": _switching("projector"),
    "home.scenarios": Row(
        name="strategies", read=_strategies, wanted=f"names with commas, of {', '.join(SCENARIOS)}", text=",".join
    ),
    "home.seeds": _one_of("seeds", *SEED_CHOICES),
    "home.recipe": _one_of("recipe", *OFFERED, OWN),
    "learn.lesson": _one_of("lesson", *lessons()),
    "train.repeats": _number("repeats", 1, 10),
    "augment.picture": _number("picture", 1, 10**9),
    "augment.count": _number("samples", 1, MOST_SAMPLES),
    "augment.seed": _number("draw", 0, 2**31 - 1),
    "compare.band": _number("band", LEAST_BAND, WIDEST_BAND, float),
    "compare.cell": _one_of("cell", "both", "only-a", "only-b", "neither"),
    "classify.second": Row(name="second", read=str, wanted="a run", text=lambda run: run or "", is_id=True),
    "classify.top": _number("top", 1, 10**4),
    "classify.coverage": _number("coverage", 50, 99),
    "classify.detect": _switching("unknown"),
    "inside.network": Row(name="of", read=str, wanted="a backbone or a run", is_id=True),
    "inside.strategy": _one_of("strategy", *SCENARIOS),
    "inside.last": _number("last", 1, 12),
    "inside.view": _one_of("view", "layers", "head", "tensors", "changes", "module", "sees"),
    "inside.unfolded": _switching("unfolded"),
    "inside.beside": Row(name="beside", read=str, wanted="a run", is_id=True),
    "inside.picture": _number("looked", 0, 10**9),
    "inside.level": _one_of("level", "low", "middle", "high"),
    "inside.channel": _number("channel", 0, 10**5),
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
