"""Placeholder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from core.settings.schema import OptimSettings, RunSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    name: str
    label: str
    help: str
    optim: Mapping[str, Any]

    def apply(self, settings: RunSettings) -> RunSettings:
        return replace(settings, optim=replace(settings.optim, **self.optim))


RECIPES: Final = {
    row.name: row
    for row in (
        Recipe(name="quick", label="Quick", help="2 epochs at 128 pixels.", optim={"epochs": 2, "train_size": 128}),
        Recipe(
            name="usual",
            label="Usual",
            help="5 epochs at full size.",
            optim={"epochs": OptimSettings().epochs, "train_size": None},
        ),
    )
}
