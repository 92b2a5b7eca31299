"""Shifted test pictures: the same answers as of the whole network, and frozen stages are asked once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.augment.pipelines import EvalPipeline, normalise
from core.models.build import build_model
from core.models.freezing import apply_scenario
from core.models.network import TransferModel
from core.models.weights import preprocessing_of
from core.settings.schema import ModelSettings, RunSettings
from core.training import shifts as module
from core.training.history import Cancelled
from core.training.shifts import SHIFTS, ShiftedPictures, right_when_shifted


def settings_of(scenario: str) -> RunSettings:
    return replace(RunSettings(), model=ModelSettings(scenario=scenario, last_stages=3))


def built(settings: RunSettings, seed: int = 0) -> TransferModel:
    model = build_model(settings.model.backbone, 3, start="imagenet", seed=seed)
    apply_scenario(model, settings.model)
    with torch.no_grad():
        model.head.weight.mul_(50)  # answers that differ from picture to picture
    return model.eval()


@torch.inference_mode()
def by_the_whole_network(model: TransferModel, dataset, test) -> dict[str, tuple[bool, ...]]:
    """All test pictures in one batch, which are fewer than a batch may have."""
    expected = preprocessing_of(model.spec.name)
    pipeline = EvalPipeline(expected)
    plain = torch.stack([pipeline(torch.from_numpy(np.array(dataset.pixels[i])).permute(2, 0, 1)) for i in test])
    targets, found = [dataset.pictures[index].target for index in test], {}
    for name, shift in SHIFTS.items():
        said = model(normalise(shift(plain, torch.Generator().manual_seed(0)), expected)).argmax(1).tolist()
        found[name] = tuple(a == b for a, b in zip(said, targets, strict=True))
    return found


@pytest.mark.parametrize("scenario", ["frozen", "last-stages", "finetuned"])
def test_every_shift_is_answered_as_the_whole_network_would(few_dataset, scenario: str):
    settings, test = settings_of(scenario), few_dataset.split(0).test
    model = built(settings)

    found = right_when_shifted(settings, model, few_dataset, test)

    assert found == by_the_whole_network(model, few_dataset, test) and list(found) == list(SHIFTS)
    assert right_when_shifted(settings, model, few_dataset, test) == found, "from what was kept"


@pytest.mark.parametrize(("scenario", "asked_again"), [("frozen", 0), ("last-stages", 0), ("finetuned", 5)])
def test_frozen_stages_are_asked_once_whatever_the_head(
    few_dataset, monkeypatch: pytest.MonkeyPatch, scenario: str, asked_again: int
):
    settings, test = settings_of(scenario), few_dataset.split(0).test
    right_when_shifted(settings, built(settings), few_dataset, test)
    shifted: list[str] = []
    inputs = ShiftedPictures.inputs
    monkeypatch.setattr(
        ShiftedPictures, "inputs", lambda self, name, places: shifted.append(name) or inputs(self, name, places)
    )
    model = built(settings, seed=1)

    found = right_when_shifted(replace(settings, seed=1), model, few_dataset, test)

    assert len(shifted) == asked_again and found == by_the_whole_network(model, few_dataset, test)


def test_a_shift_of_another_strength_is_another_question(few_dataset, monkeypatch: pytest.MonkeyPatch):
    settings, test = settings_of("frozen"), few_dataset.split(0).test
    right_when_shifted(settings, built(settings), few_dataset, test)
    monkeypatch.setattr(module, "STRENGTHS", (*module.STRENGTHS[:-1], 0.1))

    with pytest.raises(Cancelled):
        right_when_shifted(settings, built(settings), few_dataset, test, should_stop=lambda: True)


def test_some_of_the_pictures_get_the_noise_that_they_get_among_all(few_dataset):
    test = few_dataset.split(0).test
    pictures = ShiftedPictures(few_dataset, test, preprocessing_of("efficientnet_lite0"), lambda: False)

    everyone = torch.cat(list(pictures.inputs("noise", range(len(test)))))

    assert torch.equal(torch.cat(list(pictures.inputs("noise", [1, 2]))), everyone[1:3])


def test_stages_that_say_too_much_are_asked_each_time(few_dataset, monkeypatch: pytest.MonkeyPatch):
    settings, test = settings_of("last-stages"), few_dataset.split(0).test
    monkeypatch.setattr(module, "BOUNDARY_BYTES", 1000)
    monkeypatch.setattr(module, "FeatureStore", lambda *_: pytest.fail("it would not fit"))
    model = built(settings)

    assert right_when_shifted(settings, model, few_dataset, test) == by_the_whole_network(model, few_dataset, test)
