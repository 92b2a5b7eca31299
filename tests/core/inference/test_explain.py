"""Heat maps: they follow the model and the class, for every backbone, and leave everything as it was."""

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import FinishedRace, draw_picture, filled_model, large_ones_slow
from torch import nn

from core.augment.preprocessing import Preprocessing
from core.inference.explain import heat_map, legend, overlay
from core.inference.predictor import Predictor
from core.models.accel.folding import fold_batchnorm
from core.models.build import build_model
from core.models.catalogue import BACKBONES
from core.models.network import TransferModel, build_head

PICTURE = np.asarray(draw_picture("discs", 3).resize((96, 80)))
CLASSES = ("discs", "squares", "stripes")


def predictor_of(model: TransferModel, class_names: tuple[str, ...] = CLASSES) -> Predictor:
    """A predictor around a model that no run has trained."""
    side = 64 if model.spec.any_size else 224
    plain = Preprocessing(
        image_size=side, resize_size=side, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
    )
    record: Any = SimpleNamespace(
        dataset=SimpleNamespace(class_names=class_names), preprocessing=plain, temperature=None
    )
    return Predictor(record, model)


def state_of(model: nn.Module) -> list[object]:
    """Whatever a heat map could leave behind."""
    flags = [(module.training, len(module._forward_hooks), len(module._backward_hooks)) for module in model.modules()]
    asked = [(parameter.requires_grad, parameter.grad is None) for parameter in model.parameters()]
    return [flags, asked, [tensor.clone() for tensor in model.state_dict().values()]]


def same(before: list[Any], after: list[Any]) -> bool:
    return before[:2] == after[:2] and all(map(torch.equal, before[2], after[2]))


@pytest.mark.parametrize("name", large_ones_slow(BACKBONES))
def test_every_backbone_explains_itself_frozen_or_not_and_stays_as_it_was(name: str):
    model = filled_model(name)
    fold_batchnorm(model.backbone)
    predictor, maps = predictor_of(model), []
    for trains in (True, False):
        model.requires_grad_(trains)
        before, said = state_of(model), predictor.predict([PICTURE])
        maps.append(heat_map(predictor, PICTURE, 1))

        assert same(before, state_of(model))
        assert np.array_equal(predictor.predict([PICTURE]), said)

    side = predictor.input_of(PICTURE).shape[-1]
    assert maps[0].shape == (side, side) and maps[0].dtype == np.float32
    assert np.isfinite(maps[0]).all() and maps[0].std() > 0
    assert np.allclose(maps[0], maps[1])


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "swin_t"])
def test_where_a_mean_and_one_linear_layer_follow_the_map_adds_up_to_the_log_odds(name: str):
    model = filled_model(name)
    model.head = build_head(model.head.in_features, 2, seed=0)
    predictor = predictor_of(model, CLASSES[:2])
    against, for_it = np.log(predictor.predict([PICTURE])[0].astype(np.float64))

    heat = heat_map(predictor, PICTURE, 1)

    places = 4  # of 32 x 32 pixels; enlarging a map leaves its mean
    assert heat.mean() * places == pytest.approx(for_it - against, rel=1e-3, abs=1e-4)


@pytest.fixture(scope="module")
def pretrained() -> TransferModel:
    return build_model("efficientnet_lite0", 3, start="imagenet", seed=0).eval()


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_another_head_gives_another_map(pretrained: TransferModel):
    """The sanity check of Adebayo et al. (2018): a map that ignores what was learnt explains nothing."""
    predictor = predictor_of(pretrained)
    predictor._preprocessing = replace(predictor._preprocessing, image_size=224, resize_size=224)
    first = heat_map(predictor, PICTURE, 0)
    kept = pretrained.head.state_dict()
    likenesses = []
    for seed in range(1, 9):
        pretrained.head.load_state_dict(build_head(1280, 3, seed=seed).state_dict())
        likenesses.append(likeness(first, heat_map(predictor, PICTURE, 0)))
    pretrained.head.load_state_dict(kept)

    assert np.mean(np.abs(likenesses)) < 0.8 and abs(np.mean(likenesses)) < 0.5
    assert min(likenesses) < 0  # what spoke for the class now speaks against it


def test_another_backbone_gives_another_map(pretrained: TransferModel):
    random = build_model("efficientnet_lite0", 3, start="none", seed=0).eval()

    maps = [heat_map(predictor_of(model), PICTURE, 0) for model in (pretrained, random)]

    assert abs(likeness(*maps)) < 0.9


def test_with_two_classes_what_speaks_for_one_speaks_against_the_other():
    model = build_model("efficientnet_lite0", 2, start="imagenet", seed=0).eval()
    predictor = predictor_of(model, CLASSES[:2])

    assert np.allclose(heat_map(predictor, PICTURE, 0), -heat_map(predictor, PICTURE, 1), atol=1e-5)


def test_the_map_is_where_the_class_is():
    """A head that knows red from its own features looks at the red disc, left or right."""
    model = build_model("efficientnet_lite0", 2, start="imagenet", seed=0).eval()
    predictor = predictor_of(model, CLASSES[:2])
    grey = np.full((64, 64, 3), 200, np.uint8)
    shown = [grey.copy(), grey.copy()]
    disc = np.asarray(draw_picture("discs", 1).resize((32, 64)))
    shown[0][:, :32], shown[1][:, 32:] = disc, disc
    _, features = predictor.look([*shown, grey])
    towards = torch.from_numpy(features[:2].mean(0) - features[2])
    model.head.weight.data = torch.stack([-towards, towards])

    left, right = (heat_map(predictor, picture, 1) for picture in shown)

    assert left[:, :32].mean() > left[:, 32:].mean()
    assert right[:, 32:].mean() > right[:, :32].mean()


def test_a_trained_runs_maps_are_the_same_in_every_thread(finished_race: FinishedRace):
    predictor, found = Predictor.load(finished_race.run("finetuned")), {}
    expected, said = heat_map(predictor, PICTURE, 2), predictor.predict([PICTURE])

    def ask(number: int) -> None:
        found[number] = heat_map(predictor, PICTURE, 2), predictor.predict([PICTURE])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(np.array_equal(heat, expected) and np.array_equal(p, said) for heat, p in found.values())
    assert expected.shape == (224, 224)


def test_the_overlay_is_grey_where_nothing_speaks_and_two_colours_elsewhere():
    picture = np.full((2, 3, 3), (200, 40, 90), np.uint8)
    heat = np.array([[0, 1, -1], [0, 9, -9]], np.float32)

    drawn = overlay(picture, heat, 1.0).astype(int)

    assert drawn.dtype == int and len(set(drawn[0, 0])) == 1
    assert drawn[0, 1, 0] > drawn[0, 1, 2] and drawn[0, 2, 2] > drawn[0, 2, 0]
    assert np.array_equal(drawn[0], drawn[1])  # beyond the scale nothing gets stronger
    assert np.array_equal(overlay(picture, heat * 0, 0.0)[..., 0], overlay(picture, heat * 0, 0.0)[..., 2])


def test_the_legend_goes_from_against_to_for():
    bar = legend(64, 8).astype(int)

    assert bar.shape == (8, 64, 3)
    assert bar[0, 0, 2] > bar[0, 0, 0] and bar[0, -1, 0] > bar[0, -1, 2]
