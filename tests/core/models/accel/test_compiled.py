"""The same features from ONNX Runtime as from torch, for every backbone that it is used for."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from core.models.accel import onnx_graph
from core.models.accel.compiled import CompiledBackbone
from core.models.accel.onnx_graph import Untranslatable, can_translate, graph_of
from core.models.build import build_model
from core.models.catalogue import BACKBONES
from core.models.network import TransferModel

FAMILIES = {"EfficientNet", "MobileNet", "ResNet"}
TRANSLATED = [spec.name for spec in BACKBONES.values() if spec.family in FAMILIES]
CLOSE = 5e-5
"""Of the largest feature: what rounding in another order makes of float32 in random networks, which amplify it."""


@pytest.fixture(scope="module")
def small() -> TransferModel:
    return lively("efficientnet_lite0")


def lively(name: str) -> TransferModel:
    """A random model whose statistics are those of random pictures, so that features depend on the picture."""
    model = build_model(name, 3, start="none", seed=0)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images(4, 96))
    return model.eval()


def images(count: int = 3, side: int = 224) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def largest_difference(compiled: CompiledBackbone, backbone: nn.Module, pictures: torch.Tensor) -> float:
    expected = backbone(pictures)
    assert (expected[0] - expected[-1]).abs().max() > 0.05 * expected.abs().max()  # or any answer would do
    return float((compiled(pictures) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("name", BACKBONES)
def test_convolutional_networks_are_translated_and_others_are_not(name: str):
    assert can_translate(name) == (name in TRANSLATED)


@pytest.mark.parametrize("name", TRANSLATED)
def test_features_are_those_of_torch(name: str):
    model = lively(name)

    compiled = CompiledBackbone(model.backbone, name, 224, threads=1)

    assert largest_difference(compiled, model.backbone, images()) < CLOSE


@pytest.mark.parametrize("side", [96, 160, 225])
def test_pictures_may_have_another_size(small: TransferModel, side: int):
    compiled = CompiledBackbone(small.backbone, "efficientnet_lite0", side, threads=1)

    assert largest_difference(compiled, small.backbone, images(2, side)) < CLOSE


def test_images_may_lie_in_memory_in_any_order(small: TransferModel):
    compiled = CompiledBackbone(small.backbone, "efficientnet_lite0", 224, threads=1)
    pictures = images(2)

    assert torch.equal(compiled(pictures), compiled(pictures.contiguous(memory_format=torch.channels_last)))


def test_a_picture_has_the_same_features_in_any_company_with_any_threads_from_any_thread(small: TransferModel):
    one, two = (CompiledBackbone(small.backbone, "efficientnet_lite0", 224, threads=n) for n in (1, 2))
    pictures = images(6)
    expected = one(pictures)

    assert torch.equal(one(pictures.flip(0)).flip(0), expected)
    assert torch.equal(torch.cat([two(picture[None]) for picture in pictures]), expected)
    with ThreadPoolExecutor(3) as pool:
        assert torch.equal(torch.cat(list(pool.map(one, torch.split(pictures, 1)))), expected)


def test_training_afterwards_changes_nothing():
    model = lively("efficientnet_lite0")
    compiled = CompiledBackbone(model.backbone, "efficientnet_lite0", 224, threads=1)
    before = compiled(images(1))
    with torch.no_grad():
        for tensor in model.backbone.state_dict().values():
            tensor.zero_()

    assert torch.equal(compiled(images(1)), before) and before.abs().max() > 0


def test_weights_that_differ_give_other_features(small: TransferModel):
    other = lively("efficientnet_lite0")
    with torch.no_grad():
        other.backbone.conv_stem.weight.mul_(2)
    compiled = CompiledBackbone(other.backbone, "efficientnet_lite0", 224, threads=1)

    assert largest_difference(compiled, small.backbone, images()) > 0.01


def test_a_graph_has_no_numbers_of_its_own():
    graph = graph_of("resnet18", 224)

    assert len(graph.model) < 20_000
    assert {"conv1.weight", "bn1.running_mean", "layer4.1.bn2.bias"} <= set(graph.numbers)
    assert not any(name.endswith("num_batches_tracked") for name in graph.numbers)


class Odd(nn.Module):
    """A network that does one thing to a picture and flattens it."""

    def __init__(self, what: object) -> None:
        super().__init__()
        self.what = what

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.what(values).mean((2, 3))


@pytest.mark.parametrize(
    ("what", "named"),
    [
        (torch.tanh, "tanh"),
        (lambda values: values.view(1, -1, 8, 8), "view"),
        (lambda values: torch.add(values, values, alpha=2), "add"),
        (lambda values: values + torch.ones(1, device="meta"), "ones"),
        (lambda values: nn.functional.batch_norm(values, None, None, training=True), "training mode"),
    ],
    ids=["unknown", "view", "with a factor", "made on the way", "batch statistics"],
)
def test_what_is_not_understood_is_refused(monkeypatch: pytest.MonkeyPatch, what: object, named: str):
    monkeypatch.setattr(onnx_graph, "build_empty_backbone", lambda name: Odd(what))

    with pytest.raises(Untranslatable, match=named):
        graph_of(f"odd {named}", 8)
    assert not can_translate(f"odd {named}")
