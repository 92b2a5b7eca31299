"""Class weights: judged and chosen with all classes weighing the same, and nothing changed where they do already."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import drawn_classes, write_files
from trainings import SMALL, numbers, run, settings

from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.training.plan import plan_run

SLOW = pytest.param("finetuned", marks=pytest.mark.slow)
FEWER = {f"discs/{n}.png" for n in range(4, 12)}


@pytest.fixture
def uneven(tmp_path: Path) -> Dataset:
    """The drawn pictures, of which one class has a third of another's."""
    files = {name: content for name, content in drawn_classes(12).items() if name not in FEWER}
    return ingest(write_files(tmp_path / "uneven", files)).dataset


def balanced_loss(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean over classes of the mean loss of a class's pictures."""
    losses = -np.log(probabilities[np.arange(len(targets)), targets])
    return float(np.mean([losses[targets == target].mean() for target in np.unique(targets)]))


@pytest.mark.parametrize("scenario", ["frozen", SLOW, "probe-then-finetune"])
def test_balanced_is_judged_and_chosen_with_all_classes_weighing_the_same(scenario: str, uneven: Dataset):
    changes = {} if scenario == "frozen" else {"epochs": 2, **SMALL}
    here = run(uneven, settings(scenario, class_weights="balanced", **changes))
    plain = run(uneven, settings(scenario, **changes))
    if scenario == "frozen":
        assert "pictures_forward" not in plain.trained.watch.work, "the features are the same"

    best = here.trained.best
    targets = np.array([uneven.pictures[index].target for index in here.trained.split.val])
    assert best.val_probabilities is not None and len(set(np.bincount(targets))) > 1
    assert best.val_loss == pytest.approx(balanced_loss(targets, best.val_probabilities.numpy()), rel=1e-4)
    assert here.epochs[best.epoch - 1].val_loss == pytest.approx(best.val_loss, rel=1e-4)
    if scenario != "frozen":
        assert best.val_loss == pytest.approx(min(record.val_loss for record in here.epochs), rel=1e-4)
    assert not torch.equal(here.trained.model.head.weight, plain.trained.model.head.weight)
    assert here.trained.head_hash == plain.trained.head_hash and here.trained.split == plain.trained.split


@pytest.mark.parametrize("scenario", ["frozen", "finetuned"])
def test_balancing_even_classes_changes_not_a_bit(scenario: str, tmp_path: Path):
    even = ingest(write_files(tmp_path / "even", drawn_classes(5, first=20))).dataset
    changes = {} if scenario == "frozen" else SMALL
    one, other = (run(even, settings(scenario, class_weights=choice, **changes)) for choice in ("none", "balanced"))

    assert numbers(one) == numbers(other)
    assert torch.equal(one.trained.test.probabilities, other.trained.test.probabilities)


def test_estimates_and_plans_do_not_depend_on_class_weights():
    assert plan_run(settings(), 9, 3, 3) == plan_run(settings(class_weights="balanced"), 9, 3, 3)
