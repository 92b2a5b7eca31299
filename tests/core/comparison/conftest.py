"""Finished runs made of the letters that say which pictures were right: `outcome("RRW")`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.comparison.fairness import Outcome
from core.settings.scenarios import SCENARIOS
from core.settings.schema import AugmentSettings, DataSettings, ModelSettings, OptimSettings, RunSettings


def make_settings(scenario: str = "frozen", seed: int = 0, **changes: Any) -> RunSettings:
    """Settings with `part__field=value` changed: make_settings("frozen", optim__epochs=3)."""
    parts = {"data": DataSettings, "augment": AugmentSettings, "model": ModelSettings, "optim": OptimSettings}
    chosen: dict[str, dict[str, Any]] = {name: {} for name in parts}
    chosen["model"]["scenario"] = scenario
    for name, value in changes.items():
        part, field = name.split("__")
        chosen[part][field] = value
    return RunSettings(seed=seed, **{name: kind(**chosen[name]) for name, kind in parts.items()})


def make_outcome(
    right: str, scenario: str = "frozen", seed: int = 0, changed: dict[str, Any] | None = None, **settings
):
    """A run that is right on the pictures marked R and wrong on those marked W; targets alternate ant, bee."""
    targets = np.arange(len(right), dtype=np.int64) % 2
    predicted = np.where(np.array(list(right), dtype="U1") == "R", targets, 1 - targets)
    probabilities = np.full((len(right), 2), 0.1, dtype=np.float32)
    probabilities[np.arange(len(right)), predicted] = 0.9
    values: dict[str, Any] = {
        "run": f"{scenario}-{seed}",
        "label": SCENARIOS[scenario].label,
        "settings": make_settings(scenario, seed, **settings),
        "fingerprint": "data",
        "split_hash": f"split-{seed}",
        "class_names": ("ant", "bee"),
        "pictures": tuple(f"picture-{index}" for index in range(len(right))),
        "targets": targets,
        "probabilities": probabilities,
        "timings": {"decode": 3.0, "features": 1.0, "train": 2.0, "val": 1.0, "test": 5.0},
        "duration_s": 12.0,
        "head_hash": f"head-{seed}",
        "weights_hash": None if scenario == "scratch" else "imagenet-file",
        "machine": "two cores",
        "threads": 2,
    }
    return Outcome(**(values | (changed or {})))


def make_table(both: int, only_a: int, only_b: int, neither: int, **values) -> tuple[Outcome, Outcome]:
    """Fine-tuned (a) and Frozen (b) with this McNemar table."""
    a = "R" * both + "R" * only_a + "W" * only_b + "W" * neither
    b = "R" * both + "W" * only_a + "R" * only_b + "W" * neither
    return make_outcome(a, "finetuned", **values), make_outcome(b, "frozen", **values)


@pytest.fixture
def settings_of() -> Callable[..., RunSettings]:
    return make_settings


@pytest.fixture
def outcome() -> Callable[..., Outcome]:
    return make_outcome


@pytest.fixture
def table() -> Callable[..., tuple[Outcome, Outcome]]:
    return make_table
