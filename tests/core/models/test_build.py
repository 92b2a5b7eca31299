"""A backbone with a new head: the same head everywhere, the right weights, honest counts."""

import pytest
import torch
from helpers import large_ones_slow
from torch import nn

from core.errors import RunError, WeightsError
from core.models.build import build_model, count_parameters, layer_tree, restore_model
from core.models.catalogue import BACKBONES, get_backbone
from core.models.network import build_empty_model, build_head
from core.models.weights import LoadedWeights, load_weights

SMALL = ("efficientnet_lite0", "resnet18", "mobilenet_v3_large")
IMAGES = torch.linspace(-1, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)


@pytest.mark.parametrize("name", large_ones_slow(name for name in BACKBONES if not name.startswith("vgg")))
def test_every_backbone_is_built_from_nothing_with_a_head_for_our_classes(name: str) -> None:
    model = build_model(name, 3, start="none", seed=0).eval()
    side = 64 if get_backbone(name).any_size else 224  # places that are learnt are those of one size

    with torch.inference_mode():
        logits = model(torch.zeros(1, 3, side, side))

    assert logits.shape == (1, 3)
    assert logits.isfinite().all()
    assert model.weights_sha256 is None
    assert not any(isinstance(m, nn.Linear) and m.out_features == 1000 for m in model.modules())
    assert count_parameters(model).trained == count_parameters(model).total


@pytest.mark.parametrize("name", BACKBONES)
def test_the_tree_accounts_for_every_parameter(name: str) -> None:
    model = build_empty_model(name, 2)  # vgg is too large to fill with numbers for a count

    rows = layer_tree(model)

    assert sum(row.parameters for row in rows) == count_parameters(model).total
    assert [row.stage for row in rows] == [*range(len(get_backbone(name).stages)), None]
    assert all(row.parameters and row.kind for row in rows)


def test_the_tree_reads_like_the_network() -> None:
    rows = layer_tree(build_model("resnet18", 2, start="none", seed=0))

    assert [(row.name, row.kind) for row in rows[:2]] == [
        ("conv1, bn1", "Conv2d, BatchNorm2d"),
        ("layer1", "2 x BasicBlock"),
    ]
    assert (rows[-1].name, rows[-1].parameters) == ("head", 512 * 2 + 2)


def test_the_head_is_the_same_whatever_the_backbone_starts_from() -> None:
    pretrained = build_model("efficientnet_lite0", 4, start="imagenet", seed=7)
    torch.rand(5)  # the global generator has moved on
    random = build_model("efficientnet_lite0", 4, start="none", seed=7)

    assert torch.equal(pretrained.head.weight, random.head.weight)
    assert torch.equal(pretrained.head.weight, build_head(1280, 4, seed=7).weight)
    assert not torch.equal(pretrained.head.weight, build_head(1280, 4, seed=8).weight)


def test_a_new_head_is_uniform_within_the_bound_and_has_no_bias() -> None:
    head = build_head(400, 50, seed=0)

    assert head.weight.abs().max() <= 1 / 20
    assert head.weight.std().item() == pytest.approx(1 / 20 / 3**0.5, rel=0.02)
    assert head.weight.mean().item() == pytest.approx(0, abs=0.001)
    assert not head.bias.any()


@pytest.mark.parametrize("start", ["imagenet", "none"])
def test_building_leaves_the_global_generator_as_it_was(start: str) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()

    build_model("efficientnet_lite0", 2, start=start, seed=11)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SMALL)
def test_a_random_start_is_fixed_by_the_seed(name: str) -> None:
    first, again, other = (build_model(name, 2, start="none", seed=seed).backbone.state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_the_packaged_weights_give_finite_features_and_their_hash() -> None:
    model = build_model("efficientnet_lite0", 2, start="imagenet", seed=0).eval()

    with torch.inference_mode():
        features = model.backbone(IMAGES)

    assert features.shape == (2, 1280)
    assert features.isfinite().all()
    assert features.std() > 0.01
    assert model.weights_sha256 == load_weights("efficientnet_lite0").sha256


def test_every_packaged_tensor_arrives_in_the_backbone() -> None:
    state = load_weights("efficientnet_lite0").state
    built = build_model("efficientnet_lite0", 2, start="imagenet", seed=0).backbone.state_dict()

    assert set(state) - set(built) == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(built[name], state[name]) for name in built)


def test_weights_of_another_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    state = build_model("resnet18", 2, start="none", seed=0).state_dict()
    strange = LoadedWeights(state=state, sha256="0" * 64, origin="a test")
    monkeypatch.setattr("core.models.build.load_weights", lambda *_: strange)

    with pytest.raises(WeightsError, match=r"weights of ResNet-18 \(a test\) do not fit: (Missing|Unexpected) key"):
        build_model("resnet18", 2, start="imagenet", seed=0)


def test_images_go_through_in_channels_last_format() -> None:
    model = build_model("resnet18", 2, start="none", seed=0)

    assert model.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", [*SMALL, "swin_t"])
def test_a_saved_model_comes_back_as_it_was(name: str) -> None:
    model = build_model(name, 3, start="none", seed=5).eval()
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}

    restored = restore_model(name, state, num_classes=3, weights_sha256="ab")

    with torch.inference_mode():
        assert torch.equal(restored(IMAGES), model(IMAGES))
    assert not restored.training
    assert restored.weights_sha256 == "ab"


def test_a_saved_model_with_another_number_of_classes_is_refused() -> None:
    state = build_model("resnet18", 3, start="none", seed=0).state_dict()

    with pytest.raises(RunError, match=r"resnet18 with 4 classes: .*head\.weight"):
        restore_model("resnet18", state, num_classes=4)
