"""What a person has chosen: one settings object for the session, mirrored to the address so that a reload keeps it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import streamlit as st

from core.augment.catalogue import CUSTOM, steps_of
from core.data.dataset import Dataset
from core.errors import DatasetError, SettingsError
from core.home import thaw_home
from core.models.catalogue import get_backbone
from core.settings import AugmentSettings, DataSettings, OptimSettings, RunSettings

from .messages import show_error
from .resources import builtin_dataset, stored_dataset

_KEY: Final = "chosen.settings"
_OWN: Final = "chosen.own_augment"


def settings() -> RunSettings:
    """What is chosen now; at a session's start, what the address says."""
    if _KEY not in st.session_state:
        st.session_state[_KEY] = _from_address()
    chosen: RunSettings = st.session_state[_KEY]
    return chosen


def choose(new: RunSettings) -> None:
    """Choose something else. A pipeline of one's own is remembered where a preset takes its place."""
    now = settings().augment
    if now.preset == CUSTOM and new.augment.preset != CUSTOM:
        st.session_state[_OWN] = now
    st.session_state[_KEY] = new


def own_augment() -> AugmentSettings | None:
    """The pipeline of one's own: the chosen one, or the last that a preset took the place of."""
    now = settings().augment
    own: AugmentSettings | None = now if now.preset == CUSTOM else st.session_state.get(_OWN)
    return own


def mirror_to_address() -> None:
    """Write what differs from the defaults into the address; called once per run, after the page."""
    now, default = settings(), RunSettings()
    values = {
        "data": now.data.dataset if now.data != default.data else None,
        "scenario": now.model.scenario if now.model.scenario != default.model.scenario else None,
        "backbone": now.model.backbone if now.model.backbone != default.model.backbone else None,
        "augment": now.augment.preset if now.augment.preset not in (default.augment.preset, "custom") else None,
        "epochs": str(now.optim.epochs) if now.optim.epochs != default.optim.epochs else None,
        "seed": str(now.seed) if now.seed != default.seed else None,
    }
    for name, value in values.items():
        if value is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != value:
            st.query_params[name] = value


def _from_address() -> RunSettings:
    """Settings from the address; what is not possible is named, and left at its default."""
    chosen = RunSettings()
    for name, change in _CHANGES.items():
        asked = st.query_params.get(name)
        if asked is None:
            continue
        try:
            chosen = change(chosen, asked)
        except SettingsError as error:
            show_error(error)
        except ValueError:
            show_error(SettingsError(f"{name} is {asked!r} in the address; it must be a whole number."))
    return chosen


def _preset(name: str) -> AugmentSettings:
    augment = AugmentSettings(preset=name)
    steps_of(augment)  # raises for a name that is not in the catalogue
    return augment


_CHANGES: Final[dict[str, Callable[[RunSettings, str], RunSettings]]] = {
    "data": lambda now, asked: replace(now, data=DataSettings(dataset=asked)),
    "scenario": lambda now, asked: replace(now, model=replace(now.model, scenario=asked)),
    "backbone": lambda now, asked: replace(now, model=replace(now.model, backbone=get_backbone(asked).name)),
    "augment": lambda now, asked: replace(now, augment=_preset(asked)),
    "epochs": lambda now, asked: replace(now, optim=OptimSettings(epochs=int(asked))),
    "seed": lambda now, asked: replace(now, seed=int(asked)),
}


def home() -> str:
    """The home folder as a cache key: tests and servers with another home must not share what is cached."""
    return str(thaw_home())


def dataset() -> Dataset:
    """The chosen data set; the built-in one, with a word, where the chosen one is gone."""
    wanted = settings().data.dataset
    if wanted != "builtin":
        try:
            return stored_dataset(home(), wanted)
        except DatasetError as error:
            show_error(error)
            choose(replace(settings(), data=replace(settings().data, dataset="builtin")))
    return builtin_dataset(home())
