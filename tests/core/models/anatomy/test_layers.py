"""Layers counted without weights: as torchvision's own metadata has them, and as autograd keeps them."""

import pytest
import torch
from helpers import large_ones_slow
from torch import nn

from core.models.anatomy.layers import Anatomy, anatomy
from core.models.anatomy.values import anatomy_text, anatomy_values
from core.models.catalogue import BACKBONES
from core.models.network import build_network
from core.settings.schema import ModelSettings

TORCHVISION = [name for name, spec in BACKBONES.items() if spec.source == "torchvision"]


def of(backbone: str, classes: int | None = None, **settings: object) -> Anatomy:
    return anatomy(ModelSettings(backbone=backbone, **settings), classes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", large_ones_slow(BACKBONES))
def test_every_backbone_adds_up_to_what_its_library_says(name: str) -> None:
    found = of(name, scenario="finetuned")
    top = [layer for layer in found.layers if not layer.depth]

    if name in TORCHVISION:
        from torchvision import models

        told = models.get_model_weights(name).DEFAULT.meta
        assert found.parameters.total == told["num_params"]
        assert found.gflop == pytest.approx(2 * told["_ops"], rel=0.01)  # it counts 1 per multiply-add
    outputs = 2 if found.spec.frozen_only else 1000  # where none comes with it, one is made
    assert sum(layer.parameters for layer in top) == found.parameters.total == found.parameters.trained
    assert sum(layer.gflop for layer in top) == pytest.approx(found.gflop)
    assert next(layer.output for layer in found.layers if layer.name == found.classifier) == (outputs,)
    assert {layer.state for layer in found.layers} == {"trains", "no parameters"}
    sides = [stage.side for stage in found.stages]
    assert len(sides) == len(found.spec.stages) and sides == sorted(sides, reverse=True) and sides[0] > 1


RESNET = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")
VGG = ("features", "avgpool", "classifier")


@pytest.mark.parametrize(("name", "expected"), [("resnet18", RESNET), ("vgg16", VGG), ("vgg19", VGG)])
def test_the_top_level_is_named_as_in_the_tutorials(name: str, expected: tuple[str, ...]) -> None:
    assert of(name).top_level == expected


def test_names_and_details_are_those_that_pytorch_prints() -> None:
    printed = repr(build_network("resnet18"))

    for layer in of("resnet18").layers:
        last = layer.name.rpartition(".")[2]
        assert f"({last}): {layer.kind}({layer.detail}" in printed


def test_only_the_head_of_a_frozen_network_trains_and_little_is_kept_for_the_backward_pass() -> None:
    frozen, tuned = of("resnet18", 2), of("resnet18", 2, scenario="finetuned")
    states = {layer.name: layer.state for layer in frozen.layers if not layer.depth}

    assert states["fc"] == "trains" and {states["conv1"], states["layer4"]} == {"stays frozen"}
    assert frozen.parameters.trained == 512 * 2 + 2
    assert frozen.backward_bytes == 512 * 4, "what goes into the head, in float32"
    assert tuned.backward_bytes > 1000 * frozen.backward_bytes


def test_last_stages_train_and_the_others_stay() -> None:
    found = of("resnet18", 2, scenario="last-stages", last_stages=2)

    assert [stage.trains for stage in found.stages] == [False, False, False, True, True]


def test_statistics_of_a_network_that_only_looks_frozen_move() -> None:
    moving, kept = ({x.statistics for x in of("resnet18", scenario=s).layers} for s in ("looks-frozen", "frozen"))

    assert (moving, kept) == ({None, "moving"}, {None, "kept"})


def test_what_one_convolution_costs_is_counted_by_hand() -> None:
    conv1 = of("resnet18").layers[0]

    assert (conv1.name, conv1.output, conv1.parameters) == ("conv1", (64, 112, 112), 64 * 3 * 7 * 7)
    assert conv1.gflop == pytest.approx(2 * 64 * 3 * 7 * 7 * 112 * 112 / 1e9)
    assert conv1.activation_bytes == 4 * 64 * 112 * 112


def test_what_has_no_count_is_named() -> None:
    found = of("resnet18")

    calls = {one.operator: one.calls for one in found.uncounted}
    assert calls["batch_norm"] == sum(isinstance(m, nn.BatchNorm2d) for m in build_network("resnet18").modules())
    assert "batch_norm (20)" in found.uncounted_sentence


def test_stage_shapes_are_those_of_a_real_pass() -> None:
    network = build_network("resnet18").eval()
    with torch.no_grad():
        values = network.maxpool(network.relu(network.bn1(network.conv1(torch.zeros(1, 3, 224, 224)))))
        shapes = [tuple(values.shape[1:])]
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            values = stage(values)
            shapes.append(tuple(values.shape[1:]))

    assert [(stage.channels, stage.side, stage.side) for stage in of("resnet18").stages] == shapes


def test_values_and_text_say_the_same() -> None:
    found = of("resnet18")
    values = anatomy_values(found)

    assert values["parameters"] == 11_689_512 and len(values["layers"]) == len(found.layers)
    assert {"name", "kind", "output", "parameters", "gflop"} <= values["layers"][0].keys()
    assert "11,689,512 parameters" in anatomy_text(found)
