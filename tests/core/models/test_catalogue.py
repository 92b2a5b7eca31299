"""Every row of the catalogue against the network it describes (built without numbers, so quickly)."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.errors import SettingsError
from core.models.build import split_head
from core.models.catalogue import BACKBONES, get_backbone, starts_with
from core.models.network import build_empty_network

every_backbone = pytest.mark.parametrize("name", BACKBONES)


@pytest.fixture(scope="module")
def empty_networks() -> dict[str, nn.Module]:
    return {name: build_empty_network(name).eval() for name in BACKBONES}


@every_backbone
def test_stages_cover_every_parameter_and_buffer_exactly_once(name: str, empty_networks: dict[str, nn.Module]) -> None:
    network = empty_networks[name]
    classifier = [n for n, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
    tensors = [n for n, _ in [*network.named_parameters(), *network.named_buffers()]]
    tensors = [n for n in tensors if not starts_with(n, (classifier,))]
    prefixes = [prefix for stage in get_backbone(name).stages for prefix in stage]

    assert {n: sum(starts_with(n, (prefix,)) for prefix in prefixes) for n in tensors} == dict.fromkeys(tensors, 1)
    assert all(any(starts_with(n, (prefix,)) for n in tensors) for prefix in prefixes), "a prefix names nothing"


@every_backbone
def test_stages_are_in_the_order_of_the_forward_pass(name: str, empty_networks: dict[str, nn.Module]) -> None:
    network, stages = empty_networks[name], get_backbone(name).stages
    seen: list[int] = []
    hooks = [
        module.register_forward_hook(lambda *_, number=number: seen.append(number))
        for number, stage in enumerate(stages)
        for prefix in stage
        if isinstance(module := dict(network.named_modules()).get(prefix), nn.Module)
    ]

    network(torch.empty(1, 3, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()

    assert seen == sorted(seen)
    assert set(seen) == set(range(len(stages)))


@every_backbone
def test_cost_is_what_a_forward_pass_counts(name: str, empty_networks: dict[str, nn.Module]) -> None:
    with FlopCounterMode(display=False) as counter:
        empty_networks[name](torch.empty(1, 3, 224, 224, device="meta"))

    assert counter.get_total_flops() / 1e9 == pytest.approx(get_backbone(name).forward_gflop, rel=0.01)


@every_backbone
def test_the_network_without_its_classifier_gives_the_stated_features(name: str) -> None:
    backbone, features = split_head(build_empty_network(name))

    assert features == get_backbone(name).features
    assert backbone(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, features)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'resnet19'; choose one of: efficientnet_lite0, .*vgg19"):
        get_backbone("resnet19")


def test_a_prefix_ends_at_a_dot() -> None:
    assert starts_with("layers.1.weight", ("layers.1",))
    assert starts_with("class_token", ("class_token",))
    assert not starts_with("layers.10.weight", ("layers.1",))


def test_the_catalogue_and_the_state_of_weights_need_no_torch() -> None:
    code = (
        "import sys, core.augment.preprocessing, core.models.catalogue; from core.models.weights import weights_status;"
        "weights_status('efficientnet_lite0'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
