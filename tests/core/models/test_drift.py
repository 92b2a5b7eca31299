"""How far layers moved, on a network whose layers are moved by hand."""

import pytest
import torch

from core.models.build import build_model
from core.models.drift import LayerChange, measure_drift, snapshot
from core.models.freezing import apply_scenario
from core.models.network import TransferModel
from core.settings.schema import ModelSettings


def build(scenario: str) -> TransferModel:
    model = build_model("resnet18", 2, start="none", seed=0)
    apply_scenario(model, ModelSettings(backbone="resnet18", scenario=scenario))
    return model


def moved(layers: tuple[LayerChange, ...]) -> dict[str, tuple[float | None, float | None]]:
    return {row.name: (row.weights, row.statistics) for row in layers if row.weights or row.statistics}


def test_what_did_not_move_is_zero_and_every_layer_is_there_from_input_to_output():
    model = build("finetuned")

    found = measure_drift(model, snapshot(model))

    assert moved(found.layers) == {} and found.changed_bytes == 0
    assert [row.name for row in found.layers[:2]] == ["conv1", "bn1"] and found.layers[-1].name == "head"
    assert [row.stage for row in found.layers[:1]] == [0] and found.layers[-1].stage is None
    assert found.layers[0].statistics is None and found.layers[1].statistics == 0.0


def test_a_change_is_told_relative_to_what_was_there_with_weights_and_statistics_apart():
    model = build("finetuned")
    before = snapshot(model)

    with torch.no_grad():
        model.backbone.conv1.weight *= 1.5
        model.backbone.bn1.running_var *= 3  # the mean is 0 at the start, the variance 1
    found = measure_drift(model, before)

    assert moved(found.layers) == {"conv1": (pytest.approx(0.5), None), "bn1": (0.0, pytest.approx(2.0))}
    assert found.changed_bytes == model.backbone.conv1.weight.nbytes + model.backbone.bn1.running_var.nbytes


def test_only_what_is_really_frozen_is_not_copied():
    assert set(snapshot(build("frozen"))) == {"head.weight", "head.bias"}
    looks, everything = snapshot(build("looks-frozen")), snapshot(build("finetuned"))
    assert set(looks) == set(everything) and "backbone.bn1.running_mean" in looks
    assert not any(name.startswith("backbone.layer1") for name in snapshot(build("last-stages")))


def test_layers_of_frozen_stages_count_as_unmoved():
    model = build("last-stages")
    before = snapshot(model)
    with torch.no_grad():
        model.head.bias += 1

    assert set(moved(measure_drift(model, before).layers)) == {"head"}
