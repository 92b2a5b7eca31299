"""Frozen means frozen: not one bit of the backbone moves, and the audit sees it when one does."""

from itertools import chain

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.errors import SettingsError
from core.models.build import build_model, count_parameters, layer_tree
from core.models.catalogue import count_frozen_stages, get_backbone
from core.models.freezing import apply_scenario, audit, parameter_groups, state_hashes
from core.models.network import TransferModel, build_empty_model
from core.models.records import ParameterCount
from core.settings.scenarios import SCENARIOS
from core.settings.schema import ModelSettings

SMALL = ("efficientnet_lite0", "resnet18", "mobilenet_v3_large")
small_backbones = pytest.mark.parametrize("name", SMALL)
IMAGES = torch.linspace(-2, 2, 4 * 3 * 64 * 64).reshape(4, 3, 64, 64)
TARGETS = torch.tensor([0, 0, 0, 1])


def build(name: str, scenario: str, **settings: object) -> TransferModel:
    model = build_model(name, 2, start="none", seed=0)
    apply_scenario(model, ModelSettings(backbone=name, scenario=scenario, **settings))
    return model


def without_numbers(name: str, scenario: str, **settings: object) -> TransferModel:
    """To be counted: it is there at once."""
    model = build_empty_model(name, 2)
    apply_scenario(model, ModelSettings(backbone=name, scenario=scenario, **settings))
    return model


def trained_parameters(model: TransferModel) -> list[nn.Parameter]:
    head, stages = parameter_groups(model)
    return [*head, *chain.from_iterable(stages)]


def train_a_step(model: nn.Module, parameters: list[nn.Parameter]) -> None:
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1)
    nn.functional.cross_entropy(model(IMAGES), TARGETS).backward()
    optimizer.step()


@small_backbones
def test_a_frozen_backbone_is_bit_identical_after_training(name: str) -> None:
    model = build(name, "frozen")
    before = state_hashes(model.backbone)
    head, stages = parameter_groups(model)

    model.train()
    train_a_step(model, head)

    result = audit(before, state_hashes(model.backbone), model.frozen_prefixes)
    assert stages == [[]] * len(model.spec.stages)
    assert result.bit_identical
    assert result.checked == len(before)
    assert result.hash_before == result.hash_after
    assert "bit-identical" in result.sentence
    assert model.head.bias.any(), "the head has trained"


@small_backbones
def test_the_audit_catches_a_backbone_that_only_looks_frozen(name: str) -> None:
    model = build(name, "frozen")
    before = state_hashes(model.backbone)

    model.train()
    model.backbone.train()  # no parameter trains, but BatchNorm is in training mode
    train_a_step(model, parameter_groups(model)[0])

    result = audit(before, state_hashes(model.backbone), model.frozen_prefixes)
    assert not result.bit_identical
    assert result.hash_before != result.hash_after
    assert {changed.rpartition(".")[2] for changed in result.changed} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    assert f"{len(result.changed)} of {result.checked} frozen tensors changed" in result.sentence


def test_a_parent_cannot_thaw_a_frozen_backbone() -> None:
    model = build("efficientnet_lite0", "frozen")

    nn.Sequential(model).train()

    assert model.training
    assert not any(module.training for module in model.backbone.modules())


@small_backbones
def test_last_stages_change_and_the_stages_before_do_not(name: str) -> None:
    model = build(name, "last-stages", last_stages=2, batchnorm="adapted")
    before = state_hashes(model.backbone)

    train_a_step(model, trained_parameters(model))

    after = state_hashes(model.backbone)
    assert audit(before, after, model.frozen_prefixes).bit_identical
    trained = tuple(prefix for stage in model.spec.stages[-2:] for prefix in stage)
    assert len(audit(before, after, trained).changed) == audit(before, after, trained).checked
    assert audit(before, after).checked == len(before)


def test_dropout_and_batchnorm_of_frozen_stages_stay_in_eval_mode() -> None:
    model = build("resnet18", "last-stages", last_stages=1, batchnorm="adapted")

    model.eval().train()

    training = {
        name for name, module in model.backbone.named_modules() if isinstance(module, _BatchNorm) and module.training
    }
    assert training == {f"layer4.{n}" for n in ("0.bn1", "0.bn2", "0.downsample.1", "1.bn1", "1.bn2")}


def test_stochastic_depth_of_frozen_stages_is_off_so_their_output_does_not_vary() -> None:
    model = build("convnext_tiny", "last-stages", last_stages=1)
    frozen_part = model.backbone.features[:6]

    with torch.no_grad():
        assert torch.equal(frozen_part(IMAGES), frozen_part(IMAGES))
        assert not torch.equal(model(IMAGES), model(IMAGES)), "the last stage trains, with its stochastic depth"


def test_looks_frozen_moves_statistics_and_not_one_weight() -> None:
    model = build("resnet18", "looks-frozen")
    before = state_hashes(model.backbone)

    model.train()
    train_a_step(model, trained_parameters(model))

    result = audit(before, state_hashes(model.backbone), model.frozen_prefixes)
    statistics = [name for name in before if "running" in name or "tracked" in name]
    assert sorted(result.changed) == sorted(statistics)
    assert result.checked == len(before) and not result.bit_identical


@pytest.mark.parametrize("scenario", ["finetuned", "last-stages", "probe-then-finetune"])
def test_kept_statistics_do_not_move_where_weights_train(scenario: str) -> None:
    model = build("resnet18", scenario, batchnorm="kept")
    before = state_hashes(model.backbone)

    model.train()
    train_a_step(model, trained_parameters(model))

    changed = audit(before, state_hashes(model.backbone)).changed
    assert any(name.endswith("weight") for name in changed)
    assert not any("running" in name or "tracked" in name for name in changed)


def test_fine_tuning_with_adapted_statistics_changes_every_tensor() -> None:
    model = build("resnet18", "finetuned", batchnorm="adapted")
    before = state_hashes(model.backbone)

    train_a_step(model, trained_parameters(model))

    assert set(audit(before, state_hashes(model.backbone)).changed) == set(before)


@small_backbones
def test_trained_parameters_grow_from_frozen_to_everything(name: str) -> None:
    trained = [count_parameters(without_numbers(name, "frozen")).trained]
    stages = len(get_backbone(name).stages)
    for last in range(1, stages + 1):
        model = without_numbers(name, "last-stages", last_stages=last)
        trained.append(count_parameters(model).trained)
        assert [row.trained for row in layer_tree(model)] == [False] * (stages - last) + [True] * (last + 1)
    everything = count_parameters(without_numbers(name, "finetuned"))

    assert trained == sorted(set(trained))
    assert trained[0] == get_backbone(name).features * 2 + 2
    assert trained[-1] == everything.trained == everything.total
    assert everything.trained_share == 1


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_groups_hold_each_trained_parameter_once(scenario: str) -> None:
    model = without_numbers("resnet18", scenario)
    parameters = trained_parameters(model)

    assert sum(p.numel() for p in parameters) == count_parameters(model).trained
    assert {id(p) for p in parameter_groups(model)[0]} == {id(p) for p in model.head.parameters()}
    assert len({id(p) for p in parameters}) == len(parameters)


def test_the_backbones_groups_are_its_stages_from_input_to_output() -> None:
    model = without_numbers("resnet18", "last-stages", last_stages=2)
    stages = parameter_groups(model)[1]

    assert stages[:3] == [[], [], []]
    for parameters, layer in zip(stages[3:], (model.backbone.layer3, model.backbone.layer4), strict=True):
        assert [id(p) for p in parameters] == [id(p) for p in layer.parameters()]


def test_a_scenario_can_follow_another() -> None:
    model = build("resnet18", "frozen")

    apply_scenario(model, ModelSettings(backbone="resnet18", scenario="probe-then-finetune", batchnorm="adapted"))

    assert all(module.training for module in model.modules())
    assert count_parameters(model).trained_share == 1
    assert model.frozen_prefixes == ()


def test_more_last_stages_than_there_are_is_refused_with_their_number() -> None:
    settings = ModelSettings(backbone="resnet18", scenario="last-stages", last_stages=6)

    with pytest.raises(SettingsError, match="last_stages is 6; ResNet-18 has 5 stages"):
        count_frozen_stages(settings, get_backbone("resnet18"))


class Tiny(nn.Module):
    """A parameter, a saved and an unsaved buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(24.0).reshape(2, 3, 2, 2))
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("table", torch.ones(3, dtype=torch.bfloat16), persistent=False)


def test_hashes_see_one_bit_in_parameters_and_all_buffers() -> None:
    module = Tiny()
    before = state_hashes(module)
    assert set(before) == {"weight", "count", "table"}

    with torch.no_grad():
        module.weight.view(torch.int32)[0, 0, 0, 0] ^= 1
        module.count += 1
        module.table[2] = 1.0078125  # the next bfloat16 after 1

    assert set(audit(before, state_hashes(module)).changed) == {"weight", "count", "table"}


def test_hashes_see_type_and_shape_but_not_the_memory_format() -> None:
    module, other = Tiny(), Tiny()
    other.to(memory_format=torch.channels_last)
    assert not other.weight.is_contiguous()
    assert state_hashes(other) == state_hashes(module)

    other.weight = nn.Parameter(module.weight.detach().reshape(3, 2, 2, 2))
    other.count = torch.tensor(0, dtype=torch.int32)
    assert set(audit(state_hashes(module), state_hashes(other)).changed) == {"weight", "count"}


def test_a_tensor_that_vanished_or_appeared_counts_as_changed() -> None:
    result = audit({"a": "1", "b": "2"}, {"b": "2", "c": "3"})

    assert result.changed == ("a", "c")
    assert result.checked == 3
    assert not result.bit_identical


def test_an_audit_of_nothing_proves_nothing() -> None:
    result = audit({"a": "1"}, {"a": "1"}, ())

    assert not result.bit_identical
    assert result.sentence == "Nothing was frozen, so there was nothing to compare."


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        (0, "0.0 %"),
        (770, "less than 0.1 %"),
        (20_000, "0.1 %"),
        (21_629_569, "more than 99.9 %"),
        (21_629_570, "100.0 %"),
    ],
)
def test_a_share_that_trains_is_never_called_none_nor_all(trained: int, words: str) -> None:
    assert ParameterCount(total=21_629_570, trained=trained).trained_words == words
