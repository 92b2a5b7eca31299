"""A training that is refused, stopped, short of memory, or of a class that some part lacks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from trainings import SMALL, settings

from core.data.dataset import Dataset
from core.errors import DatasetError, SettingsError, TrainingError
from core.settings.schema import RunSettings
from core.training import scenarios
from core.training.history import Cancelled, Progress
from core.training.scenarios import train_run


def test_a_network_of_one_size_is_refused_before_anything_is_started(dataset: Dataset):
    progress: list[Progress] = []

    with pytest.raises(SettingsError, match="train_size is 160; ViT-B/16 takes pictures of one size only"):
        train_run(settings("finetuned", backbone="vit_b_16", train_size=160), dataset, on_progress=progress.append)
    assert {step.phase for step in progress} <= {"build"}


def test_one_class_in_train_is_refused_before_anything_is_built(dataset: Dataset):
    parts = {0: "train", 1: "test", 2: "test"}
    given = tuple(replace(picture, given=parts[picture.target]) for picture in dataset.pictures)
    seen: list[str] = []

    with pytest.raises(DatasetError, match="a network would learn to call everything discs"):
        train_run(settings(), replace(dataset, pictures=given), on_progress=lambda now: seen.append(now.phase))
    assert seen == ["build"]


@pytest.mark.parametrize("scenario", ["frozen", "probe-then-finetune"])
def test_a_class_that_a_part_lacks_is_put_up_with(few_dataset: Dataset, scenario: str):
    """Stripes are in test alone, squares in train alone: nothing breaks, and stripes are never named."""
    parts = {0: ["train", "val", "test"], 1: ["train"], 2: ["test"]}
    given = tuple(
        replace(picture, given=parts[picture.target][place % len(parts[picture.target])])
        for place, picture in enumerate(few_dataset.pictures)
    )

    plan = settings(scenario, **({} if scenario == "frozen" else SMALL))

    trained = train_run(plan, replace(few_dataset, pictures=given))

    assert np.isfinite(trained.test.probabilities.numpy()).all()
    assert 2 not in trained.test.probabilities.argmax(1).tolist()


@pytest.mark.parametrize(
    "plan",
    [settings("frozen"), settings("finetuned", batch_size=4), settings("last-stages", epochs=3)],
    ids=["frozen", "finetuned", "last-stages, cached"],
)
def test_a_stop_ends_a_run_before_its_next_batch(plan: RunSettings, dataset: Dataset):
    steps: list[Progress] = []

    def started() -> bool:
        return any(step.phase in ("features", "train") for step in steps)

    with pytest.raises(Cancelled):
        train_run(plan, dataset, on_progress=steps.append, should_stop=started)
    assert len([step for step in steps if step.phase != "build"]) == 1


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (
            settings("finetuned", batch_size=64),
            "for steps of 64 pictures. Try a batch size of 32 or a smaller backbone",
        ),
        (settings("frozen", batch_size=64), "not enough. End what else uses it, or try a smaller backbone"),
        (settings("finetuned", batch_size=3), "not enough. End what else uses it, or try a smaller backbone"),
    ],
)
def test_when_memory_is_not_enough_it_is_said_what_to_try(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, plan: RunSettings, said: str
):
    def no_room_on_a_card(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def no_room_here(*_: object, **__: object) -> None:
        torch.empty(1 << 50)

    for no_room in (no_room_on_a_card, no_room_here):
        monkeypatch.setattr(scenarios, "build_model", no_room)
        with pytest.raises(TrainingError) as raised:
            train_run(plan, dataset)
        assert said in str(raised.value) and "CUDA" not in str(raised.value)
