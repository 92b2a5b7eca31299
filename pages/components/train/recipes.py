"""Settings with a name and a source, which fill the form; what is changed afterwards makes them one's own."""

from typing import Any, Final

import streamlit as st

from core.comparison.experiments import in_words
from core.settings.recipes import RECIPES, Recipe
from core.settings.schema import RunSettings, differences

from .. import chosen
from ..messages import LONGEST_MESSAGE, md

OWN: Final = "own"


def choose_recipe(settings: RunSettings) -> None:
    """A select that fills the form, and in one line what it has set and where that comes from."""
    found = _recipe_of(settings)
    names, now = [*RECIPES, *([] if found else [OWN])], found.name if found else OWN
    # a widget for each: what a browser says of one that is no longer true would be taken for a choice
    key = f"train.recipe.{now}"
    st.selectbox(
        "Recipe",
        names,
        index=names.index(now),
        format_func=lambda name: "Own settings" if name == OWN else RECIPES[name].label,
        key=key,
        on_change=lambda: _apply(st.session_state[key]),
        help=found.help if found else "Fills the form with settings that have a source.",
    )
    if found:
        st.caption(f"Sets {md(_what_it_sets(found), LONGEST_MESSAGE)}. {_linked(found.source)}")


def _what_it_sets(recipe: Recipe) -> str:
    """What is not as it usually is; where all is, what it holds there. The strategy is seen anyhow."""
    usual = RunSettings()
    changed = [(name, value) for name, _, value in differences(usual, recipe.apply(usual)) if name != "model.scenario"]
    return ", ".join(in_words(*change) for change in changed or recipe.changes.items())


def _linked(source: str) -> str:
    """Its address as a link that shows the site alone; of our own measurements not the file."""
    words, scheme, address = source.partition("https://")
    if not scheme:
        return f"{md(source.partition(':')[0])}."
    return f"{md(words)} [{md(address.partition('/')[0])}](https://{address})"


def _recipe_of(settings: RunSettings) -> Recipe | None:
    """The one that sets most of those that these settings follow."""
    followed = [recipe for recipe in RECIPES.values() if recipe.is_in(settings)]
    return max(followed, key=lambda recipe: len(recipe.changes), default=None)


def _apply(picked: str) -> None:
    """Choose what the recipe says, and let the widgets that are on the page show it."""
    settings = RECIPES[picked].apply(chosen.settings())
    chosen.choose(settings)
    for key, value in _shown_values(settings).items():
        if key in st.session_state:
            st.session_state[key] = value


def _shown_values(settings: RunSettings) -> dict[str, Any]:
    """What the form's widgets show of settings, by key."""
    model, optim = settings.model, settings.optim
    values = {f"train.{name}": getattr(model, name) for name in ("scenario", "backbone", "last_stages", "batchnorm")}
    values |= {f"train.{name}": getattr(optim, name) for name in optim.__dataclass_fields__}
    return values | {"train.augment": settings.augment.preset}
