"""Trainings on EfficientNet-Lite0 and few drawn pictures, and what they report on the way."""

from dataclasses import dataclass

from core.data.dataset import Dataset
from core.settings.schema import AugmentSettings, ModelSettings, OptimSettings, RunSettings
from core.training.history import EpochRecord, Progress
from core.training.scenarios import Trained, train_run
from core.training.watched import Watched

SMALL = {"train_size": 96}  # a fifth of the arithmetic


def settings(scenario: str = "frozen", seed: int = 0, preset: str = "gentle", **changes: object) -> RunSettings:
    """Settings with changed fields of the model or the optimiser, each of which only one of the two has."""
    model = {name: changes.pop(name) for name in ("last_stages", "weights", "backbone") if name in changes}
    return RunSettings(
        model=ModelSettings(scenario=scenario, **{"last_stages": 2, **model}),
        augment=AugmentSettings(preset=preset),
        optim=OptimSettings(**{"epochs": 1, "batch_size": 5, **changes}),
        seed=seed,
    )


@dataclass
class Done:
    """A run and what it reported on the way."""

    settings: RunSettings
    trained: Trained
    progress: list[Progress]
    epochs: list[EpochRecord]
    watched: list[Watched]


def run(dataset: Dataset, plan: RunSettings) -> Done:
    progress: list[Progress] = []
    epochs: list[EpochRecord] = []
    watched: list[Watched] = []
    trained = train_run(plan, dataset, on_progress=progress.append, on_epoch=epochs.append, on_watched=watched.append)
    return Done(settings=plan, trained=trained, progress=progress, epochs=epochs, watched=watched)


def sizes(here: Done) -> list[int]:
    return [len(here.trained.split.part(part)) for part in ("train", "val", "test")]


def numbers(here: Done) -> list[tuple[float | None, ...]]:
    """The history without its seconds."""
    return [(r.epoch, r.train_loss, r.train_accuracy, r.val_loss, r.val_accuracy, r.lr) for r in here.epochs]
