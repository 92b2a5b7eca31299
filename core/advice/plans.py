"""What is trained to find out how much to thaw: how deep, on how many pictures, at what rate. Settings of runs only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from core.data.parts import steps_per_epoch
from core.errors import SettingsError
from core.models.catalogue import get_backbone, not_offered
from core.settings.scenarios import SCENARIOS, Scenario
from core.settings.schema import MOST_EPOCHS, DataSettings, RunSettings

FEWEST_STEPS: Final = 24
"""Optimiser steps that every run gets, however few its pictures: else too little training would look like too little
data. Chosen by us: a good minute of fine-tuning on two cores."""
FEWEST_EPOCHS: Final = 2
SIZES: Final = (10, 20, 40, 80, 160, 320, 640)
"""Pictures per class that accuracy is measured at, as far as there are so many."""
MOST_SIZES: Final = 3
LAST: Final = 2  # stages, where nothing says how many


def _row(**wanted: object) -> Scenario:
    return next(row for row in SCENARIOS.values() if all(getattr(row, name) == value for name, value in wanted.items()))


HEAD: Final = _row(leaves_backbone=True)
SOME: Final = _row(stages="last")
ALL: Final = _row(stages="all", way="network", from_nothing=False)
NOTHING: Final = _row(from_nothing=True)
"""Only the head trains; the last stages with it; everything; everything, from a random start."""


def stages_of(settings: RunSettings) -> int:
    """How many stages of the backbone there are."""
    return len(get_backbone(settings.model.backbone).stages)


def thawed(settings: RunSettings) -> int:
    """How many stages, counted from the output, a run trains: none for Frozen, all for Fine-tuned."""
    row = settings.model.row
    return {"none": 0, "last": settings.model.last_stages, "all": stages_of(settings)}[row.stages]


def with_thawed(settings: RunSettings, stages: int) -> RunSettings:
    """The same with so many stages to train, counted from the output, from ImageNet's weights."""
    row = HEAD if stages == 0 else ALL if stages >= stages_of(settings) else SOME
    return with_strategy(settings, row, stages if row is SOME else settings.model.last_stages)


def with_strategy(settings: RunSettings, row: Scenario, last_stages: int = LAST) -> RunSettings:
    """The same by another training strategy, from the weights that it usually starts from."""
    batchnorm = None if row.batchnorm or row.from_nothing else settings.model.batchnorm
    model = replace(settings.model, scenario=row.name, last_stages=last_stages, weights=None, batchnorm=batchnorm)
    return replace(settings, model=model)


def depths_to_try(settings: RunSettings) -> tuple[int, ...]:
    """The head alone, the last 1, 2 and 3 stages, and everything, as far as the backbone is offered like that."""
    if not can_thaw(settings):
        return (0,)
    return tuple(dict.fromkeys([*range(min(4, stages_of(settings))), stages_of(settings)]))


def can_thaw(settings: RunSettings) -> bool:
    """Whether anything but the head of this backbone is offered to train."""
    return not get_backbone(settings.model.backbone).frozen_only


def check_thawing(settings: RunSettings) -> None:
    """Whether there is something to hold frozen against.

    Raises:
        SettingsError: the backbone is offered frozen only.
    """
    if said := not_offered(get_backbone(settings.model.backbone)):
        raise SettingsError(f"{said} There is nothing to hold it against; choose another backbone to check.")


def plan_check(settings: RunSettings, advised: int, seeds: Sequence[int], pictures: int) -> list[RunSettings]:
    """What was advised beside the head alone, the last two stages, and everything.

    Args:
        pictures: in the training part; few get more epochs.
    """
    epochs = max(settings.optim.epochs, enough_steps(settings, pictures).optim.epochs)
    settings = replace(settings, optim=replace(settings.optim, epochs=epochs))
    return plan_sweep(settings, [0, min(LAST, stages_of(settings)), stages_of(settings), advised], seeds)


def plan_sweep(settings: RunSettings, depths: Sequence[int], seeds: Sequence[int]) -> list[RunSettings]:
    """A run for each depth and seed, seed by seed."""
    return [replace(with_thawed(settings, depth), seed=seed) for seed in seeds for depth in sorted(set(depths))]


def sizes_to_try(fewest: int) -> tuple[int | None, ...]:
    """Pictures per class, up to all that there are (None).

    Args:
        fewest: training pictures of the smallest class.
    """
    smaller = [size for size in SIZES if size <= fewest / 1.5]
    step = max(1, -(-len(smaller) // (MOST_SIZES - 1)))
    return (*smaller[::-1][::step][::-1], None)


def plan_crossing(
    settings: RunSettings, sizes: Sequence[int | None], seeds: Sequence[int], counts: Sequence[int]
) -> list[RunSettings]:
    """A run for each number of pictures per class, strategy and seed, each with at least so many steps.

    Args:
        counts: training pictures of each class.
    """
    found = []
    for seed in seeds:
        for size in sizes:
            pictures = sum(min(count, size or count) for count in counts)
            base = replace(enough_steps(settings, pictures), data=_with_size(settings.data, size), seed=seed)
            found += [with_strategy(base, row) for row in ((NOTHING, HEAD, SOME, ALL) if can_thaw(base) else (HEAD,))]
    return found


def enough_steps(settings: RunSettings, pictures: int) -> RunSettings:
    """The same with as many epochs as so few pictures need, and no more."""
    epochs = max(FEWEST_EPOCHS, -(-FEWEST_STEPS // steps_per_epoch(pictures, settings.optim.batch_size)))
    return replace(settings, optim=replace(settings.optim, epochs=min(epochs, MOST_EPOCHS)))


def _with_size(data: DataSettings, size: int | None) -> DataSettings:
    return replace(data, train_per_class=size)


def plan_rates(settings: RunSettings, seeds: Sequence[int]) -> list[RunSettings]:
    """Fine-tuning with a tenth of the head's rate for the backbone, and with one rate for all."""
    tenth = with_strategy(replace(settings, optim=replace(settings.optim, backbone_lr=None)), ALL)
    one_rate = replace(tenth, optim=replace(tenth.optim, backbone_lr=tenth.rates[0]))
    return [replace(plan, seed=seed) for seed in seeds for plan in (tenth, one_rate)]


def plan_later(settings: RunSettings, epochs: int) -> list[RunSettings]:
    """The head alone, fine-tuning for a tenth of a long time, and from scratch for all of it."""
    long, short = (replace(settings, optim=replace(settings.optim, epochs=max(1, n))) for n in (epochs, epochs // 10))
    return [with_strategy(short, HEAD), with_strategy(short, ALL), with_strategy(long, NOTHING)]
