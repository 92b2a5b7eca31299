"""Recipes: every row can be trained, changes what it names and nothing else, and says where it comes from."""

from dataclasses import fields, replace
from typing import Any

import pytest

from core.augment.catalogue import steps_of
from core.errors import SettingsError
from core.models.catalogue import check_model
from core.runs.race import plan_race
from core.settings.recipes import RECIPES, TUTORIAL, get_recipe
from core.settings.scenarios import SCENARIOS, USUAL_RACE
from core.settings.schema import (
    PARTS,
    AugmentSettings,
    AugmentStep,
    DataSettings,
    ModelSettings,
    OptimSettings,
    RunSettings,
)

every_recipe = pytest.mark.parametrize("name", RECIPES)
CUSTOM = AugmentSettings(preset="custom", steps=(AugmentStep(name="CenterCrop"),))
FAR = RunSettings(
    data=DataSettings(val_fraction=0.3),
    augment=CUSTOM,
    model=ModelSettings(backbone="convnext_tiny", scenario="scratch", weights="none", batchnorm="kept", last_stages=3),
    optim=OptimSettings(
        epochs=9, batch_size=32, lr=0.5, train_size=160, ema=0.5, schedule="cosine", class_weights="balanced"
    ),
    seed=7,
)
"""Settings that share nothing with any recipe."""
BASES = {
    "usual": RunSettings(),
    "far": FAR,
    **{
        f"as {row.name}": RunSettings(model=ModelSettings(scenario=row.name, batchnorm=row.batchnorm))
        for row in SCENARIOS.values()
    },
}


def fields_of(settings: RunSettings) -> dict[str, Any]:
    """`part.field` -> value."""
    parts = ((part, getattr(settings, part)) for part in PARTS)
    values = {f"{part}.{spec.name}": getattr(values, spec.name) for part, values in parts for spec in fields(values)}
    return {**values, "seed": settings.seed}


@every_recipe
@pytest.mark.parametrize("base", BASES)
def test_every_recipe_can_be_trained_from_wherever_one_comes(name: str, base: str):
    made = get_recipe(name).apply(BASES[base])

    check_model(made)
    steps_of(made.augment)
    for part in (made.data, made.augment, made.model, made.optim):
        replace(part)  # checks every value again
    if len(RECIPES[name].strategies) == 1:
        assert made.model.scenario == RECIPES[name].strategies[0]
    assert RECIPES[name].is_in(made) and RECIPES[name].apply(made) == made


@every_recipe
def test_a_recipe_changes_only_what_it_names(name: str):
    recipe = RECIPES[name]
    before, after = fields_of(FAR), fields_of(recipe.apply(FAR))

    assert {field for field in before if before[field] != after[field]} <= set(recipe.changes)
    assert {field: after[field] for field in recipe.changes} == recipe.changes


@every_recipe
def test_a_recipe_says_what_it_is_about_and_where_it_comes_from(name: str):
    recipe = RECIPES[name]

    assert recipe.name == name and recipe.label and recipe.help.endswith(".")
    assert recipe.strategies and set(recipe.strategies) <= set(SCENARIOS)
    assert "https://" in recipe.source or "benchmarks/" in recipe.source
    named = recipe.changes.get("model.scenario")
    assert named is None or recipe.strategies == (named,)


def test_quick_and_usual_are_two_ends_of_one_switch():
    quick, usual = RECIPES["quick"], RECIPES["usual"]

    assert set(quick.changes) == set(usual.changes) and quick.strategies == usual.strategies == USUAL_RACE
    assert usual.apply(RunSettings()) == RunSettings() == usual.apply(quick.apply(RunSettings()))
    assert not usual.is_in(quick.apply(RunSettings()))


def test_a_quick_race_trains_all_its_seeds_alike_and_leaves_frozen_as_it_is():
    plans = plan_race(RECIPES["quick"].apply(RunSettings()), USUAL_RACE, (0, 1, 2))

    assert [(plan.model.scenario, plan.seed) for plan in plans] == [
        (name, seed) for seed in range(3) for name in USUAL_RACE
    ]
    changed = {field.removeprefix("optim.") for field in RECIPES["quick"].changes}
    assert not changed & SCENARIOS["frozen"].options and changed <= SCENARIOS["finetuned"].options


def test_the_tutorials_numbers_are_those_of_its_page():
    made = RECIPES["tutorial-finetuned"].apply(FAR)

    assert RECIPES["tutorial-finetuned"].source == TUTORIAL
    assert made.rates == (0.001, 0.001) and (made.optim.momentum, made.optim.batch_size, made.optim.epochs) == (
        0.9,
        4,
        25,
    )
    assert (made.optim.optimizer, made.optim.schedule, made.model.backbone) == ("sgd", "step", "resnet18")
    assert (made.model.start, made.model.statistics, made.optim.weight_decay) == ("imagenet", "adapted", 0)
    assert RECIPES["tutorial-frozen"].apply(FAR).model.row.only_looks_frozen


def test_an_unknown_recipe_is_refused_with_the_names_there_are():
    with pytest.raises(SettingsError, match=r"'slow'; choose one of: quick, usual, "):
        get_recipe("slow")
