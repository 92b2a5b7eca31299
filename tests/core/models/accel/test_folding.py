"""A convolution that does the work of the BatchNorm behind it: same function, same gradients, same names."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from core.models.accel import folding
from core.models.accel.folding import fold_batchnorm, quicken_depthwise
from core.models.build import build_model
from core.models.catalogue import BACKBONES, get_backbone
from core.models.network import build_empty_network, build_network, without_classifier

FAMILIES = {"EfficientNet", "MobileNet", "ResNet"}
NORMALISED = [spec.name for spec in BACKBONES.values() if spec.family in FAMILIES]
IMAGES = torch.linspace(-2, 2, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64).sin()


class Small(nn.Module):
    """Two pairs, one with a bias; a BatchNorm behind no convolution and a convolution before no BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
        self.conv2, self.norm2 = nn.Conv2d(5, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6)
        self.conv3, self.norm3 = nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)

    def forward(self, images: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(self.norm1(self.conv1(images)).relu()))
        return self.norm3(inner + self.conv3(inner)).mean((2, 3))


def randomised(network: nn.Module) -> nn.Module:
    """BatchNorm as after training: as it is made, it does next to nothing."""
    torch.manual_seed(1)
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.normal_(norm.running_mean, std=0.2)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
    return network


def backbone_of(name: str) -> nn.Module:
    """A backbone in eval mode, unfolded, with random weights and lively statistics."""
    return without_classifier(randomised(build_network(name)).eval(), get_backbone(name))


def small(state: dict[str, Tensor] | None = None) -> nn.Module:
    """The small network in eval mode, unfolded, always the same unless a state is given."""
    torch.manual_seed(0)
    network = randomised(Small())
    if state is not None:
        network.load_state_dict(state)
    return network.eval()


def small_folded() -> nn.Module:
    network = small()
    fold_batchnorm(network)
    return network


def count_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def assert_as_unfolded(network: nn.Module) -> None:
    """Without gradients, a folded network says what a fresh one with its state says."""
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(IMAGES), small(network.state_dict())(IMAGES), atol=1e-5, rtol=1e-5)


def test_which_belong_together_is_looked_for_once_for_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[nn.Module] = []
    find = folding._find_pairs
    monkeypatch.setattr(folding, "_find_pairs", lambda network: looked.append(network) or find(network))
    monkeypatch.setattr(folding, "_known_pairs", {})
    networks = [small() for _ in range(3)]

    assert [fold_batchnorm(network, "small") for network in networks] == [2, 2, 2]
    assert looked == networks[:1]
    for network in networks:
        assert_as_unfolded(network)
    fold_batchnorm(small())
    assert len(looked) == 2, "without a kind, nothing is known"


@pytest.mark.parametrize("name", NORMALISED)
def test_every_batchnorm_of_a_backbone_is_folded_and_its_features_stay(name: str) -> None:
    backbone = backbone_of(name)
    with torch.no_grad():
        expected = backbone(IMAGES)

        pairs = fold_batchnorm(backbone)
        found = backbone(IMAGES)

    assert pairs == count_norms(backbone) > 0
    assert (found - expected).abs().max() <= 5e-6 * expected.abs().max()
    assert expected.std() > 0, "features that are all the same would prove nothing"


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in NORMALISED])
def test_a_backbone_without_batchnorm_is_left_alone(name: str) -> None:
    network = build_empty_network(name)

    assert fold_batchnorm(network) == count_norms(network) == 0
    assert not any("forward" in vars(module) for module in network.modules())


def test_only_a_batchnorm_right_behind_a_convolution_is_folded() -> None:
    network, expected = small(), small()

    assert fold_batchnorm(network) == 2
    torch.testing.assert_close(network(IMAGES), expected(IMAGES), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_folding_leaves_mode_statistics_and_names_as_they_were(training: bool) -> None:
    network = small().train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    parameters = dict(network.named_parameters())

    fold_batchnorm(network)

    assert {module.training for module in network.modules()} == {training}
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter is parameters[name] for name, parameter in network.named_parameters())


def test_a_pass_leaves_the_names_as_they_were() -> None:
    network = small_folded()
    network(IMAGES).sum().backward()

    assert list(network.state_dict()) == list(small().state_dict())
    assert [name for name, _ in network.named_parameters()] == [name for name, _ in small().named_parameters()]


def test_gradients_are_those_of_the_unfolded_network() -> None:
    folded, plain = small_folded(), small()
    for network in (folded, plain):
        network(IMAGES).pow(3).sum().backward()

    expected = {name: parameter.grad for name, parameter in plain.named_parameters()}
    found = {name: parameter.grad for name, parameter in folded.named_parameters()}

    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert all(grad.abs().max() > 1e-3 for grad in expected.values())


def test_training_mode_computes_and_moves_statistics_as_before() -> None:
    folded, plain = small_folded().train(), small().train()
    before = plain.norm1.running_mean.clone()

    assert torch.equal(folded(IMAGES), plain(IMAGES))
    assert all(torch.equal(tensor, plain.state_dict()[name]) for name, tensor in folded.state_dict().items())
    assert not torch.equal(folded.norm1.running_mean, before)


def test_one_pair_may_train_while_another_one_stands_still() -> None:
    folded, plain = small_folded(), small()
    for network in (folded, plain):
        network.norm2.train()

    torch.testing.assert_close(folded(IMAGES), plain(IMAGES), atol=1e-5, rtol=1e-5)
    assert torch.equal(folded.norm1.running_mean, small().norm1.running_mean)
    assert not torch.equal(folded.norm2.running_mean, small().norm2.running_mean)


def take_step(network: nn.Module, fused: bool) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, fused=fused)
    network(IMAGES).pow(2).sum().backward()
    optimizer.step()


@torch.no_grad()
def move_statistics(network: nn.Module) -> None:
    network.train()(IMAGES + 3)


@torch.no_grad()
def replace_weight(network: nn.Module) -> None:
    network.conv1.weight = nn.Parameter(network.conv1.weight * 3)


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "weight in place": lambda network: nn.init.constant_(network.conv1.weight, 0.3),
    "bias in place": lambda network: nn.init.constant_(network.conv1.bias, 2.0),
    "scale in place": lambda network: nn.init.constant_(network.norm2.weight, 3.0),
    "shift in place": lambda network: nn.init.constant_(network.norm2.bias, 3.0),
    "mean in place": lambda network: nn.init.constant_(network.norm1.running_mean, 3.0),
    "variance in place": lambda network: nn.init.constant_(network.norm1.running_var, 5.0),
    "weight replaced": replace_weight,
    "AdamW": lambda network: take_step(network, fused=False),
    "fused AdamW": lambda network: take_step(network, fused=True),
    "state loaded": lambda network: network.load_state_dict(randomised(Small()).state_dict()),
    "statistics moved by a training pass": move_statistics,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_output_without_gradients_follows_every_change(change: Callable[[nn.Module], object]) -> None:
    network = small_folded()
    with torch.no_grad():
        before = network(IMAGES)

    change(network)

    assert_as_unfolded(network)
    with torch.no_grad():
        assert not torch.allclose(network(IMAGES), before, atol=1e-3)


def pass_with_gradients(network: nn.Module) -> None:
    network(IMAGES).sum().backward()


PASSES: dict[str, Callable[[nn.Module], object]] = {
    "none": lambda network: None,
    "inference mode": torch.inference_mode()(lambda network: network(IMAGES)),
    "no gradients": torch.no_grad()(lambda network: network(IMAGES)),
    "gradients": pass_with_gradients,
}


@pytest.mark.parametrize("earlier", PASSES.values(), ids=PASSES)
def test_a_copy_is_folded_and_on_its_own_whatever_pass_came_before(earlier: Callable[[nn.Module], object]) -> None:
    network = small_folded()
    earlier(network)

    twin = copy.deepcopy(network)
    nn.init.constant_(twin.conv1.weight, 0.3)

    assert_as_unfolded(twin)
    assert_as_unfolded(network)
    assert torch.equal(network.conv1.weight, small().conv1.weight)


def test_inference_then_evaluation_then_training_agree() -> None:
    network = small_folded()
    with torch.inference_mode():
        first = network(IMAGES)
    with torch.no_grad():
        second = network(IMAGES)
    third = network(IMAGES)
    third.sum().backward()

    assert torch.equal(first, second) and torch.equal(second, third.detach())
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_built_model_comes_folded(tricks: None) -> None:
    model, untouched = build_model("resnet18", 2, start="none", seed=0).eval(), []
    model.backbone.bn1.register_forward_hook(lambda module, inputs, output: untouched.append(output is inputs[0]))

    with torch.no_grad():
        model(IMAGES)

    assert untouched == [True]


@pytest.mark.parametrize("side", [63, 64, 66])
@pytest.mark.parametrize("gradients", [False, True], ids=["fused", "with gradients"])
def test_lite0_pads_and_activates_as_before_at_even_and_odd_sizes(side: int, gradients: bool) -> None:
    images = nn.functional.interpolate(IMAGES, (side, side))
    backbone = backbone_of("efficientnet_lite0")
    folded = copy.deepcopy(backbone)
    fold_batchnorm(folded)

    with torch.set_grad_enabled(gradients):
        expected, found = backbone(images), folded(images)

    assert (found - expected).abs().max() <= 5e-6 * expected.abs().max()


def test_in_bfloat16_the_folded_network_says_what_the_plain_one_says_within_its_precision() -> None:
    backbone = backbone_of("efficientnet_lite0")
    folded = copy.deepcopy(backbone)
    fold_batchnorm(folded)

    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        expected, found = backbone(IMAGES).float(), folded(IMAGES).float()

    assert nn.functional.cosine_similarity(expected, found).min() > 0.99


def test_a_depthwise_convolution_with_padding_behind_gives_its_gradient_to_the_small_kernel() -> None:
    backbone = backbone_of("efficientnet_lite0")
    folded = copy.deepcopy(backbone)
    fold_batchnorm(folded)

    for network in (backbone, folded):
        network(IMAGES).square().mean().backward()

    for name, parameter in backbone.named_parameters():
        if "conv_dw" in name:
            other = folded.get_parameter(name).grad
            assert (other - parameter.grad).norm() <= 1e-3 * parameter.grad.norm() + 1e-7, name


@pytest.mark.parametrize("trains", [False, True])
def test_a_network_that_has_seen_one_size_is_right_about_another(trains: bool) -> None:
    """Whether the activation had been done was once remembered from the pass before."""
    network = randomised(build_network("efficientnet_lite0")).eval()
    plain = build_network("efficientnet_lite0").eval()
    plain.load_state_dict(network.state_dict())
    fold_batchnorm(network)
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64))
    for side in (65, 64, 72, 97):
        images = torch.linspace(-2, 2, 2 * 3 * side * side).reshape(2, 3, side, side).sin()
        with torch.set_grad_enabled(trains):
            found, expected = network(images), plain(images)

        assert (found - expected).abs().max() <= 5e-5 * expected.abs().max()
        assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()


def test_depthwise_convolutions_without_batchnorm_find_the_same_gradients() -> None:
    torch.manual_seed(0)
    plain = without_classifier(build_network("convnext_tiny"), get_backbone("convnext_tiny"))
    quick = copy.deepcopy(plain)

    assert quicken_depthwise(quick) == 18
    assert quicken_depthwise(quick) == 0, "once is enough"
    copied = copy.deepcopy(quick)
    for network in (plain.eval(), quick.eval(), copied.eval()):
        network(IMAGES).square().sum().backward()

    for (name, one), other, third in zip(
        plain.named_parameters(), quick.parameters(), copied.parameters(), strict=True
    ):
        assert one.grad is not None and one.grad.abs().max() > 0, name
        torch.testing.assert_close(other.grad, one.grad, atol=1e-4 * float(one.grad.abs().max()), rtol=1e-3)
        assert torch.equal(other.grad, third.grad), name


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "efficientnet_b0"])
def test_what_has_none_is_left_alone(name: str) -> None:
    network = build_network(name)
    fold_batchnorm(network)

    assert quicken_depthwise(network) == 0
