"""What an address asks for and is not here, or not any more: said in one way on every page."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import streamlit as st

from core.data.dataset import stored_ids
from core.errors import RunError, ThawError
from core.inference.subject import START
from core.models.catalogue import BACKBONES
from core.runs.example import example_runs, find_run
from core.runs.experiments import Experiment, experiments_of, stored_experiments
from core.runs.record import is_recorded
from core.settings.schema import DataSettings
from core.storage import is_hosted
from core.visitors.signin import SIGN_IN

from . import chosen, classroom, visitor
from .address import ROWS
from .kept import NAMES, forget
from .messages import LONGEST_MESSAGE, md, plain
from .resources import run_store, stored_dataset
from .wording import run_label

_OTHERS: Final = re.compile(r"compare\.|glossary\.|_|utm_|embed|fbclid|gclid")
"""How names begin that widgets write by themselves, or whoever sends or shows a link: Hugging Face `__theme`, say."""
_OPENED: Final = "addressed.opened"
MOST: Final = 5  # sentences
_SEEN: Final = "addressed.seen"
"""What this session has shown, by id, in words: it may be gone the next time."""


def say_what_is_gone() -> None:
    """A warning about every id in the address that names nothing here. It is taken out: pages find what there is."""
    gone = [sentence for name in KINDS for sentence in _missing(name)] + _gone_dataset() + _unknown_names()
    if gone:
        st.warning("  \n".join(dict.fromkeys(gone)), icon=":material/link_off:")


def _missing(name: str) -> list[str]:
    """A sentence for each id under a name of the address that is not here; the others are remembered in words."""
    kind, find = KINDS[name]
    asked = [one for one in st.query_params.get(name, "").split(",") if one]
    words = {one: find(one) for one in dict.fromkeys(asked)}
    here = {one: said for one, said in words.items() if said is not None}
    _seen().update(here)
    if len(here) < len(words):
        forget(name)
        st.query_params.pop(name, None)
        if here:
            st.query_params[name] = ",".join(here)
    return [_sentence(kind, one) for one in words if one not in here]


def _unknown_names() -> list[str]:
    """A sentence for what is no name of an address at all; where a session begins, since pages write only true ones."""
    if _OPENED in st.session_state:
        return []
    st.session_state[_OPENED] = True
    unknown = [name for name in st.query_params if name not in known_names() and not _OTHERS.match(name)]
    for name in unknown:
        st.query_params.pop(name)
    return [
        f"Nothing here is called **{md(name, 40)}**: the address is not followed in that." for name in unknown[:MOST]
    ]


def known_names() -> set[str]:
    """Every name that an address of some page may have, beside those of widgets that are bound to it."""
    strangers = {visitor.NAME, classroom.NAME, SIGN_IN} if is_hosted() else set()
    return {*KINDS} | {row.name for row in ROWS} | {row.name for row in NAMES.values()} | strangers


def _run(asked: str) -> str | None:
    with suppress(RunError):
        run = find_run(run_store(), asked)
        return f"{run_label(run)} on {plain(run.dataset_title)}"
    return None


def _network(asked: str) -> str | None:
    return BACKBONES[asked].label if asked in BACKBONES else _run(asked)


def _beside(asked: str) -> str | None:
    return "what it began with" if asked == START else _run(asked)


def _race(asked: str) -> str | None:
    runs = run_store().runs(race=asked)
    return f"The race of {len(runs)} runs on {plain(runs[0].dataset_title)}" if runs else None


def _experiment(asked: str) -> str | None:
    here = [*stored_experiments(run_store(), archived=True), *experiments_of(example_runs())]
    found = next((one for one in here if name_in_address(one) == asked), None)
    return f"{found.name or found.settings.model.row.label} on {plain(found.newest.dataset_title)}" if found else None


def name_in_address(one: Experiment) -> str:
    """What an address calls an experiment; one of the example that ships with Thaw may have the key of one's own."""
    return f"recorded-{one.key}" if is_recorded(one.newest.id) else one.key


def _page(asked: str) -> None:
    """What is here is opened: whoever asks for another page is led to Home with its name (`app.PagesOnly`)."""


KINDS: Final[dict[str, tuple[str, Callable[[str], str | None]]]] = {
    "page": ("page", _page),
    "run": ("run", _run),
    "experiment": ("experiment", _experiment),
    "experiments": ("experiment", _experiment),
    "race": ("race", _race),
    "runs": ("run", _run),
    "a": ("run", _run),
    "b": ("run", _run),
    "second": ("run", _run),
    "of": ("network", _network),
    "beside": ("run", _beside),
}
"""What stands under a name of the address, and how it is found: a few words about it, or None."""


def _gone_dataset() -> list[str]:
    """The data set that is worked with: where it went, the built-in one takes its place at once."""
    settings = chosen.settings()
    wanted = settings.data.dataset
    if wanted == DataSettings().dataset:
        return []
    if wanted in stored_ids():
        with suppress(ThawError):  # a damaged one is the page's to tell
            _seen()[wanted] = plain(stored_dataset(chosen.home(), wanted).title)
        return []
    chosen.choose(replace(settings, data=replace(settings.data, dataset=DataSettings().dataset)))
    return [f"{_sentence('data set', wanted)} The built-in pictures take its place."]


def _sentence(kind: str, asked: str) -> str:
    if asked in _seen():
        return f"**{md(_seen()[asked], LONGEST_MESSAGE)}** is gone: it was deleted."
    return f"The {kind} **{md(asked, 40)}** of this address is not here any more, or never was."


def _seen() -> dict[str, str]:
    seen: dict[str, str] = st.session_state.setdefault(_SEEN, {})
    return seen
