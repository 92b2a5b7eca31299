"""A look at the training pictures: every stage from one pass, nothing of validation and test, nothing twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.advice.depths import imagenet_names, look, nearest_mean, neighbours
from core.advice.evidence import load_evidence, save_evidence
from core.advice.luck import DRAWS, try_luck
from core.data.dataset import Dataset
from core.errors import DatasetError
from core.models.boundaries import Boundaries, stage_widths
from core.models.build import build_model
from core.models.catalogue import BACKBONES
from core.settings.schema import DataSettings, RunSettings
from core.training.session import Session


@pytest.mark.parametrize("name", BACKBONES)
def test_every_stage_of_every_backbone_has_numbers_and_the_last_are_its_features(name: str):
    widths = stage_widths(name)

    assert len(widths) == len(BACKBONES[name].stages) and widths[-1] == BACKBONES[name].features
    assert max(widths) <= 4096, "places are pooled"


def test_what_is_pooled_last_is_what_a_head_gets():
    model = build_model("resnet18", 2, start="none", seed=0).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        rows, features = Boundaries(model)(images), model.backbone(images)
        first = model.backbone.maxpool(model.backbone.relu(model.backbone.bn1(model.backbone.conv1(images))))

    assert torch.allclose(rows[:, -512:], features, atol=1e-5)
    assert torch.allclose(rows[:, :64], first.mean((2, 3)), atol=1e-5)


def test_a_look_sees_the_training_pictures_once_and_is_kept(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    passes: list[set[int]] = []
    real = Session._forward
    monkeypatch.setattr(Session, "_forward", lambda *a: (passes.append(set(a[4])), real(*a))[1])
    settings = RunSettings()

    found = look(settings, tiny_dataset)

    train = tiny_dataset.split(0).train
    assert set().union(*passes) == set(train) and found.pictures == len(train)
    assert len(found.depths) == 9 and found.depths[-1].probe > 0.8 and found.fewest == min(found.per_class)
    assert [row.name for row in found.called] == list(tiny_dataset.class_names)
    assert {name for row in found.called for name, _ in row.names} <= set(imagenet_names())
    look(settings, tiny_dataset)
    assert len(passes) == 1, "the second look found all in the cache"
    assert load_evidence(tiny_dataset, settings) is None
    save_evidence(tiny_dataset, found)
    assert load_evidence(tiny_dataset, settings) == found
    assert load_evidence(tiny_dataset, RunSettings(data=DataSettings(train_per_class=3))) is None


def test_simple_methods_are_right_where_classes_stand_apart_and_guess_where_they_do_not():
    generator, targets = torch.Generator().manual_seed(0), np.repeat([0, 1, 2], 20)
    noise, folds = torch.randn(60, 8, generator=generator), np.arange(60) % 5
    apart = noise + 6 * torch.nn.functional.one_hot(torch.from_numpy(targets), 8)

    for method in (nearest_mean, neighbours):
        assert method(apart, targets, folds).mean() > 0.95
        assert method(noise, targets, folds).mean() < 0.6


def test_one_picture_of_a_class_cannot_be_held_out(tiny_dataset: Dataset):
    pictures = [p for i, p in enumerate(tiny_dataset.pictures) if i >= 10 or i < 3]
    few = replace(tiny_dataset, pictures=tuple(pictures))

    with pytest.raises(DatasetError, match="two different training pictures"):
        look(RunSettings(), few)


def test_fifty_seeds_are_drawn_from_what_was_looked_at(tiny_dataset: Dataset):
    found = try_luck(RunSettings(), tiny_dataset)

    assert len(found.probe) == len(found.nearest_mean) == DRAWS and found.per_class >= 2
    assert 0 <= found.disagree() < DRAWS / 2 + 1 and try_luck(RunSettings(), tiny_dataset) == found
