"""Every row of the catalogue against the network it describes (built without numbers, so quickly)."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.errors import SettingsError
from core.models.catalogue import BACKBONES, check_model, get_backbone, starts_with
from core.models.network import build_empty_network, without_classifier
from core.settings.schema import ModelSettings, OptimSettings, RunSettings

every_backbone = pytest.mark.parametrize("name", BACKBONES)


@pytest.fixture(scope="module")
def empty_networks() -> dict[str, nn.Module]:
    return {name: build_empty_network(name).eval() for name in BACKBONES}


@every_backbone
def test_stages_cover_every_parameter_and_buffer_exactly_once(name: str, empty_networks: dict[str, nn.Module]) -> None:
    network = empty_networks[name]
    classifier = get_backbone(name).architecture.classifier
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
    network = empty_networks[name].requires_grad_(False)  # the counter follows gradients
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"))

    assert counter.get_total_flops() / 1e9 == pytest.approx(get_backbone(name).forward_gflop, rel=0.01)


@every_backbone
def test_the_network_without_its_classifier_gives_the_stated_features(name: str) -> None:
    spec = get_backbone(name)
    network = build_empty_network(name)
    last_name, last = [(name, module) for name, module in network.named_modules() if not [*module.children()]][-1]

    assert last_name == spec.architecture.classifier
    if spec.frozen_only:
        assert isinstance(last, nn.Identity)
    else:
        assert isinstance(last, nn.Linear) and (last.in_features, last.out_features) == (spec.features, 1000)
    assert without_classifier(network, spec)(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, spec.features)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'resnet19'; choose one of: efficientnet_lite0, .*vgg19"):
        get_backbone("resnet19")


def settings_of(backbone: str, train_size: int | None = None, **model: object) -> RunSettings:
    return RunSettings(model=ModelSettings(backbone=backbone, **model), optim=OptimSettings(train_size=train_size))


@every_backbone
def test_a_backbone_trains_at_another_size_only_where_its_network_takes_one(
    name: str, empty_networks: dict[str, nn.Module]
) -> None:
    smaller = torch.empty(1, 3, 160, 160, device="meta")
    if get_backbone(name).any_size:
        check_model(settings_of(name, train_size=160))
        assert empty_networks[name](smaller).shape == (1, 1000)
    else:
        with pytest.raises(SettingsError, match=f"train_size is 160; {get_backbone(name).label} takes pictures of one"):
            check_model(settings_of(name, train_size=160))
        with pytest.raises(AssertionError, match=r"Wrong image height|Input height \(160\)"):
            empty_networks[name](smaller)


@every_backbone
def test_every_backbone_trains_as_it_is_and_with_as_many_stages_as_can_be_chosen(name: str) -> None:
    check_model(settings_of(name))
    some = settings_of(name, scenario="last-stages", last_stages=min(12, len(get_backbone(name).stages)))
    if get_backbone(name).frozen_only:
        with pytest.raises(SettingsError, match=r"is offered frozen only: .* Last stages is not"):
            check_model(some)
    else:
        check_model(some)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (settings_of("resnet19"), "backbone is 'resnet19'"),
        (settings_of("resnet18", scenario="last-stages", last_stages=6), "last_stages is 6; ResNet-18 has 5 stages"),
    ],
    ids=["unknown backbone", "too many stages"],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_started(settings: RunSettings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_model(settings)


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


@pytest.mark.parametrize("name", BACKBONES)
def test_an_empty_network_is_a_new_one_each_time(name: str) -> None:
    first, second = build_empty_network(name), build_empty_network(name)

    assert str(first) == str(second)
    assert not {*map(id, first.modules())} & {*map(id, second.modules())}
    assert not {*map(id, first.parameters())} & {*map(id, second.parameters())}
    assert all(parameter.is_meta and parameter.requires_grad for parameter in first.parameters())
