"""A backbone in steps: cut in two anywhere, both halves together are the whole."""

import pytest
import torch
from helpers import filled_model, large_ones_slow
from torch import Tensor

from core.models.build import build_model
from core.models.catalogue import BACKBONES, get_backbone
from core.models.splitting import BackHalf, FrontHalf, activation_bytes, stage_costs

every_backbone = pytest.mark.parametrize("name", BACKBONES)


def pictures(name: str, count: int = 2) -> Tensor:
    side = 64 if get_backbone(name).any_size else 224
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", large_ones_slow(BACKBONES))
@torch.no_grad()
def test_both_halves_give_what_the_whole_gives_bit_for_bit(name: str) -> None:
    model, images = filled_model(name), pictures(name, 1)
    expected, stages = model(images), len(model.spec.stages)

    for model.frozen_stages in (1, stages - 1):
        assert torch.equal(BackHalf(model)(FrontHalf(model)(images)), expected)

    assert expected.isfinite().all() and not torch.equal(model(-images), expected)


@pytest.mark.parametrize("frozen", range(9))
@torch.no_grad()
def test_a_folded_network_is_cut_anywhere(frozen: int) -> None:
    model, images = build_model("efficientnet_lite0", 2, start="imagenet", seed=0).eval(), pictures("resnet18")
    model.frozen_stages = frozen

    assert torch.equal(BackHalf(model)(FrontHalf(model)(images)), model(images))


def test_the_back_half_trains_what_is_not_frozen_and_nothing_else() -> None:
    model, images = build_model("resnet18", 2, start="none", seed=0).eval(), pictures("resnet18")
    model.frozen_stages = 3
    with torch.no_grad():
        activations = FrontHalf(model)(images)

    BackHalf(model)(activations).sum().backward()

    with_gradient = {name.split(".")[0] for name, p in model.backbone.named_parameters() if p.grad is not None}
    assert with_gradient == {"layer3", "layer4"}
    assert model.head.weight.grad is not None


def test_halves_share_the_models_weights_and_modes() -> None:
    model = build_model("resnet18", 2, start="none", seed=0)
    model.frozen_stages = 4

    BackHalf(model).train()

    assert model.backbone.layer4.training and not model.backbone.layer3.training
    assert {id(p) for p in BackHalf(model).parameters()} == {id(p) for p in model.parameters()}


@every_backbone
def test_the_costs_of_stages_are_shares_of_one(name: str) -> None:
    costs = stage_costs(name)

    assert len(costs) == len(get_backbone(name).stages)
    assert all(cost > 0 for cost in costs)
    assert sum(costs) == pytest.approx(1)


def test_the_costs_of_resnet_18_are_those_of_its_formula() -> None:
    """Multiply-adds of every convolution, by hand: output pixels times output channels times kernel times input."""
    stem = 112**2 * 64 * 49 * 3
    layers = [4 * 56**2 * 64 * 9 * 64]
    for side, channels in ((28, 128), (14, 256), (7, 512)):
        first, others = 9 * channels // 2, 3 * 9 * channels
        layers.append(side**2 * channels * (first + others + channels // 2))
    costs = [stem, *layers]

    assert stage_costs("resnet18") == pytest.approx([cost / sum(costs) for cost in costs], rel=1e-3)


@pytest.mark.parametrize(("name", "module"), [("resnet18", "layer3"), ("efficientnet_lite0", "blocks.2")])
def test_activation_bytes_are_those_that_really_arrive(name: str, module: str) -> None:
    model, seen = build_model(name, 2, start="none", seed=0).eval(), []
    model.backbone.get_submodule(module).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    with torch.no_grad():
        model(pictures(name))

    assert 2 * activation_bytes(name, 3, 64) == seen[0].half().nbytes


@pytest.mark.parametrize(
    ("name", "stages", "numbers"),
    [("resnet18", 1, 64 * 56 * 56), ("vit_b_16", 3, 197 * 768), ("vgg16", 5, 512 * 7 * 7), ("swin_t", 2, 56 * 56 * 96)],
)
def test_activation_bytes_are_two_for_each_number(name: str, stages: int, numbers: int) -> None:
    assert activation_bytes(name, stages, 224) == 2 * numbers
