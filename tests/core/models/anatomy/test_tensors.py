"""Keys of a state, and two states side by side."""

import pytest
import torch

from core.models.anatomy.tensors import changed_statistics, compare_states, network_keys, start_state, tensor_table
from core.models.anatomy.values import change_sentence, changes_text
from core.models.network import build_network
from core.settings.schema import ModelSettings


def test_keys_are_those_of_the_network_itself() -> None:
    state = start_state(ModelSettings(backbone="resnet18", scenario="scratch"), 2, seed=0)

    assert list(state) == list(build_network("resnet18").state_dict())
    assert state["fc.weight"].shape == (2, 512)
    assert network_keys({"backbone.a.head.b": torch.ones(1)}, "resnet18").keys() == {"a.head.b"}


def test_a_table_tells_what_changes_each_tensor() -> None:
    settings = ModelSettings(backbone="resnet18", scenario="looks-frozen")
    state = start_state(ModelSettings(backbone="resnet18", scenario="scratch"), 2, seed=0)
    rows = {row.key: row for row in tensor_table(settings, 2, state)}

    assert list(rows) == list(state)
    assert rows["fc.weight"].updated_by == "optimiser" and rows["fc.weight"].in_optimizer
    assert rows["conv1.weight"].updated_by == "nothing" and not rows["conv1.weight"].requires_grad
    assert rows["bn1.running_mean"].updated_by == "every batch" and rows["bn1.running_mean"].kind == "buffer"
    weights = state["conv1.weight"].double()
    assert rows["conv1.weight"].mean == pytest.approx(float(weights.mean()))
    assert rows["conv1.weight"].deviation == pytest.approx(float(weights.std(correction=0)))
    assert rows["bn1.num_batches_tracked"].mean is None


def test_a_head_that_is_solved_for_is_in_no_optimiser() -> None:
    head = tensor_table(ModelSettings(backbone="resnet18"), 2)[-1]

    assert (head.key, head.requires_grad, head.in_optimizer, head.updated_by) == ("fc.bias", True, False, "solver")
    assert head.mean is None, "shapes alone have no numbers"


def test_states_are_compared_key_by_key_the_most_changed_first() -> None:
    before = {"same": torch.ones(3), "little": torch.ones(4), "much": torch.ones(4), "gone": torch.ones(1)}
    before |= {"size": torch.ones(2), "bn.running_mean": torch.zeros(2)}
    after = {"same": torch.ones(3), "little": torch.ones(4) * 1.01, "much": torch.ones(4) * 3, "new": torch.ones(1)}
    after |= {"size": torch.ones(3), "bn.running_mean": torch.full((2,), 0.5)}

    rows = compare_states(before, after)

    assert [(row.key, row.change) for row in rows if row.relative] == [
        ("much", "changed"),
        ("bn.running_mean", "changed"),
        ("little", "changed"),
    ]
    assert {row.key: row.change for row in rows if row.relative is None} == {
        "gone": "only before",
        "size": "other shape",
        "new": "only after",
    }
    by_key = {row.key: row for row in rows}
    assert by_key["much"].relative == pytest.approx(2.0) and by_key["much"].largest == pytest.approx(2.0)
    assert by_key["same"].change == "same" and rows[-1].key == "same"
    assert [row.key for row in changed_statistics(rows)] == ["bn.running_mean"]
    assert change_sentence(rows) == (
        "3 of 7 tensors changed, 1 is bit-identical, 1 has another shape, 2 are in one of the two only."
    )
    assert "same " not in changes_text(rows)
