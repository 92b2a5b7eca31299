"""Class weights: what a picture counts, that the loss counts it so, and what is said about it."""

import pytest
import torch
from torch import nn

from core.training.losses import WeightedCrossEntropy, build_loss
from core.training.weighting import SHOWN, class_weights, weighting_sentence


def both(counts: dict[str, int]) -> dict[str, dict[str, int]]:
    """As many in train as in val."""
    return {"train": counts, "val": counts}


def test_balanced_classes_weigh_the_same_together_and_a_picture_counts_1_on_average():
    counts = (50, 10, 40)

    weights = class_weights("balanced", counts)

    assert weights is not None
    together = [weight * count for weight, count in zip(weights, counts, strict=True)]
    assert together == pytest.approx([100 / 3] * 3) and sum(together) / sum(counts) == pytest.approx(1)


@pytest.mark.parametrize(
    ("choice", "counts"), [("none", (50, 10)), ("balanced", (20, 20, 20)), ("balanced", (7, 0, 7)), ("balanced", ())]
)
def test_where_all_count_the_same_there_are_no_weights(choice, counts):
    assert class_weights(choice, counts) is None


def test_a_class_without_pictures_takes_nothing_from_the_others():
    assert class_weights("balanced", (30, 0, 10)) == pytest.approx((2 / 3, 0.0, 2.0))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_to_count_twice_is_to_be_there_twice(smoothing: float):
    logits, targets = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 2, 0, 1, 1])
    twice = torch.cat([logits, logits[targets == 1]]), torch.cat([targets, targets[targets == 1]])

    weighted = WeightedCrossEntropy((1.0, 2.0, 1.0), smoothing)(logits, targets)

    expected = nn.functional.cross_entropy(*twice, label_smoothing=smoothing)
    assert weighted.item() / (10 / 7) == pytest.approx(expected.item(), rel=1e-6)


def test_without_weights_the_loss_is_torchs_own():
    assert isinstance(build_loss(None, 0.1), nn.CrossEntropyLoss)


def test_the_sentence_names_every_class_with_what_it_counts():
    said = weighting_sentence("balanced", both({"ants": 50, "bees": 10}))

    assert "bees 3x (10), ants 0.6x (50)" in said and "equally frequent" in said


def test_of_many_classes_the_rarest_and_the_most_frequent_are_named():
    said = weighting_sentence("balanced", both({f"class {number}": 10 * number for number in range(1, 21)}))

    assert all(f"class {number} " in said for number in (1, 2, 3, 18, 19, 20)) and "class 9 " not in said
    assert f"{20 - SHOWN} classes between" in said


def test_no_effect_is_said_and_no_choice_says_nothing():
    even = {"ants": 9, "bees": 9}

    assert weighting_sentence("balanced", both(even)) == "No effect here: all classes have 9 training pictures."
    assert weighting_sentence("none", both({"ants": 9, "bees": 1})) == ""
    uneven_val = weighting_sentence("balanced", {"train": even, "val": {"ants": 3, "bees": 1}})
    assert "No effect on the loss" in uneven_val and "when an epoch is chosen" in uneven_val
