"""What is raced: pictures, training strategies, seeds, recipe; one line of what to expect, one button."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import streamlit as st

from core.data.dataset import Dataset
from core.errors import ThawError
from core.models.catalogue import get_backbone, not_offered, strategies_of
from core.settings.recipes import RECIPES
from core.settings.scenarios import SCENARIOS, USUAL_RACE
from core.settings.schema import RunSettings

from .. import chosen
from ..frame import draw_each
from ..gallery import GalleryItem, gallery
from ..help import with_term
from ..kept import OFFERED, OWN, SEED_CHOICES, keep
from ..messages import LONGEST_MESSAGE, md, show_error
from ..planning import expectations, say_what_is_fetched
from ..resources import thumbnail
from .drawing import draw_rows
from .machine import machine_card
from .race import estimate_race, start_race

SHOWN: Final = 8  # pictures


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A race as it is chosen."""

    settings: RunSettings
    scenarios: Sequence[str]
    seeds: Sequence[int]


def set_up(dataset: Dataset, busy: bool) -> None:
    """Draw the controls; the button starts the race and shows it.

    Args:
        busy: a race is at work, and the next one waits until it has ended.
    """
    draw_rows()
    ready = chosen.can_train(dataset)
    draw_each(partial(_pictures, dataset))  # what cannot be shown can still be changed
    wanted = _controls()
    possible = ready and bool(wanted.scenarios)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Run the race",
            type="primary",
            icon=":material/flag:",
            key="home.race",
            disabled=busy or not possible,
            on_click=_start,
            args=(wanted, dataset),
        )
        if possible:
            expected = estimate_race(wanted.settings, dataset, wanted.scenarios, wanted.seeds)
            expectations(wanted.settings, dataset, len(wanted.seeds), "home", expected)
        machine_card(wanted.settings.model.backbone)
    if any(not SCENARIOS[name].from_nothing for name in wanted.scenarios):
        say_what_is_fetched(wanted.settings.model)


def _start(wanted: Wanted, dataset: Dataset) -> None:
    """Before the page is drawn again, so that the very next thing it shows is the race."""
    try:
        st.query_params["race"] = start_race(wanted.settings, dataset, wanted.scenarios, wanted.seeds)
    except ThawError as error:
        show_error(error)


def _pictures(dataset: Dataset) -> None:
    """Which ones, a few of them, and the way to others."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f":material/photo_library: **{md(dataset.title)}**: {len(dataset.pictures):,} pictures, "
            f"{len(dataset.class_names)} classes",
            width="content",
        )
        st.page_link("data.py", label="Change", icon=":material/edit:")
    first: dict[int, int] = {}  # of each class that has pictures
    for index, picture in enumerate(dataset.pictures):
        first.setdefault(picture.target, index)
    by_class = [first[target] for target in sorted(first)][:SHOWN]
    step = max(1, len(dataset.pictures) // SHOWN)
    spread = [index for index in range(step // 2, len(dataset.pictures), step) if index not in by_class]
    items = [
        GalleryItem(
            image=thumbnail(chosen.home(), dataset.id, index),
            title=dataset.class_names[dataset.pictures[index].target],
        )
        for index in sorted([*by_class, *spread][:SHOWN])
    ]
    gallery(items, SHOWN, "home.samples", narrowest=96)


def _controls() -> Wanted:
    settings = chosen.settings()
    spec = get_backbone(settings.model.backbone)
    offered = strategies_of(spec)
    left, middle, right = st.columns([5, 2, 3], gap="medium")
    with left:
        scenarios = st.pills(
            "Training strategies",
            offered,
            selection_mode="multi",
            wrap=True,
            format_func=lambda name: SCENARIOS[name].label,
            key=keep("home.scenarios", [name for name in USUAL_RACE if name in offered], offered),
            help=with_term(
                "  \n".join(f"**{SCENARIOS[name].label}**: {SCENARIOS[name].help}" for name in offered),
                "Training strategy",
            ),
        )
        if spec.frozen_only:
            st.caption(md(not_offered(spec), LONGEST_MESSAGE))
    with middle:
        picked = st.segmented_control(
            "Seeds",
            SEED_CHOICES,
            required=True,
            key=keep("home.seeds", SEED_CHOICES[1], SEED_CHOICES),
            help=with_term("How often each strategy is trained. From 3 on it holds for new seeds, too.", "Seed"),
        )
    with right:
        settings = _recipe(settings)
    seeds = range(settings.seed, settings.seed + (picked or SEED_CHOICES[1]))
    return Wanted(settings=settings, scenarios=scenarios, seeds=seeds)


def _recipe(settings: RunSettings) -> RunSettings:
    """The settings with the chosen recipe; those of Train as they are, where they are none of the recipes'."""
    recipes = [RECIPES[name] for name in OFFERED]
    labels = {recipe.name: recipe.label for recipe in recipes}
    own = not any(recipe.is_in(settings) for recipe in recipes)
    if own:
        labels[OWN] = "As set on Train"
    name = st.segmented_control(
        "Recipe",
        labels,
        required=True,
        format_func=lambda name: labels[name],
        key=keep("home.recipe", OWN if own else OFFERED[0], labels),
        help="  \n".join(f"**{recipe.label}**: {recipe.help}" for recipe in recipes),
    )
    return RECIPES[name].apply(settings) if name in RECIPES else settings
