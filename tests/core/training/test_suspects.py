"""Wrong labels are found by what is said about pictures that were not learnt from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import claim_run
from torch import Tensor

from core.data.dataset import Dataset
from core.data.labels import check_settings, load_check
from core.errors import DatasetError
from core.runs.execute import execute
from core.runs.store import RunStore
from core.settings.schema import DataSettings, RunSettings
from core.training.head import held_out_probabilities
from core.training.session import Session
from core.training.suspects import FEWEST, check_labels, find_suspects, held_out


def features_of(dataset: Dataset, width: int = 8) -> Tensor:
    """Made-up features (M, F) that tell what class a picture is really of."""
    generator = torch.Generator().manual_seed(0)
    centres = 2.0 * torch.randn(len(dataset.class_names), width, generator=generator)
    truth = torch.tensor([picture.target for picture in dataset.pictures])
    return centres[truth] + torch.randn(len(truth), width, generator=generator)


def mislabelled(dataset: Dataset, wrong: set[int]) -> Dataset:
    classes = len(dataset.class_names)
    pictures = (
        replace(picture, target=(picture.target + 1) % classes) if index in wrong else picture
        for index, picture in enumerate(dataset.pictures)
    )
    return replace(dataset, pictures=tuple(pictures))


def test_planted_wrong_labels_are_suspected_and_their_real_class_is_suggested(tiny_dataset):
    features, wrong = features_of(tiny_dataset), {1, 12, 25}
    changed = mislabelled(tiny_dataset, wrong)

    judged = held_out(changed, range(30), features)
    found = find_suspects(judged.targets, judged.probabilities)

    assert {judged.indices[row] for row, _ in found} == wrong
    for row, suggested in found:
        assert suggested == tiny_dataset.pictures[judged.indices[row]].target
    right = held_out(tiny_dataset, range(30), features)
    assert find_suspects(right.targets, right.probabilities) == []


def test_a_class_that_is_hard_has_a_threshold_of_its_own():
    """The last picture is doubted: class 1 is never said with more than 0.6, so 0.6 is confident there."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.7, 0.3], [0.4, 0.6]], np.float32)

    assert find_suspects(np.array([0, 0, 1, 1, 1, 0]), probabilities) == [(5, 1)]


def test_the_surest_come_first_and_a_class_without_pictures_is_never_suggested():
    probabilities = np.array([[0.8, 0.2, 0.0], [0.1, 0.2, 0.7], [0.2, 0.8, 0.0], [0.7, 0.3, 0.0], [0.1, 0.9, 0.0]])

    assert find_suspects(np.array([0, 0, 1, 1, 0]), probabilities) == [(4, 1), (3, 0)]


def test_nothing_is_said_about_a_picture_by_a_head_that_learnt_it_or_its_copy(tiny_dataset):
    """Features are noise: whoever remembers a picture is right about it, and nobody else can be."""
    features = torch.randn(30, 60, generator=torch.Generator().manual_seed(1))
    features[10:20] = features[:10]  # each is there twice, under two labels
    pictures = list(tiny_dataset.pictures)
    for place in range(10):
        pictures[10 + place] = replace(pictures[10 + place], group=pictures[place].group)

    judged = held_out(replace(tiny_dataset, pictures=tuple(pictures)), range(30), features)

    assert (judged.probabilities.argmax(1) == judged.targets).mean() < 0.6
    pairs = judged.probabilities[:10], judged.probabilities[10:20]
    assert np.allclose(*pairs, atol=1e-5), "copies are held out by the same head"


def test_held_out_probabilities_are_those_of_heads_fitted_without(tiny_dataset):
    features, targets = features_of(tiny_dataset), torch.tensor([picture.target for picture in tiny_dataset.pictures])
    fold_of = torch.arange(30) % 3

    said = held_out_probabilities(features, targets, fold_of, 3)
    other = held_out_probabilities(features, torch.where(fold_of == 0, (targets + 1) % 3, targets), fold_of, 3)

    assert said.shape == (30, 3) and torch.allclose(said.sum(1), torch.ones(30), atol=1e-5)
    assert (said.argmax(1) == targets).float().mean() > 0.8
    assert (other[fold_of == 0].argmax(1) == targets[fold_of == 0]).float().mean() > 0.8, (
        "its own labels played no part"
    )


def test_classes_with_too_few_pictures_are_not_judged(tiny_dataset):
    few = [*range(FEWEST - 1), *range(10, 30)]

    judged = held_out(tiny_dataset, few, features_of(tiny_dataset)[torch.tensor(few)])

    assert judged.class_names == tiny_dataset.class_names[1:] and min(judged.indices) == 10
    with pytest.raises(DatasetError, match="5 different pictures"):
        held_out(tiny_dataset, range(14), features_of(tiny_dataset)[:14])


def test_a_frozen_run_leaves_a_check_of_the_labels_and_nothing_is_computed_for_it(tiny_dataset, monkeypatch):
    store, dataset = RunStore(), tiny_dataset
    store.submit([RunSettings(data=DataSettings(dataset=dataset.id))], "tiny")
    run = claim_run(store)
    passes: list[int] = []
    real = Session._forward
    monkeypatch.setattr(Session, "_forward", lambda *a: (passes.append(len(a[4])), real(*a))[1])

    execute(store, run, lambda: False)

    check = load_check(dataset)
    assert store.get(run.id).state == "finished" and check is not None
    assert (check.dataset, check.pictures) == (dataset.id, 30) and check.accuracy > 0.8
    before = sum(passes)
    again = check_labels(check_settings(dataset, run.settings.model.backbone), dataset)
    assert again == check and sum(passes) == before, "all of it was in the cache"
