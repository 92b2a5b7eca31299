"""Which training pictures speak for an answer: exact for a solved head, and a wrong label among the first."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import FinishedRace

from core.data.dataset import load_stored
from core.inference.evidence import reference_features
from core.inference.influence import contributions, speaking_for
from core.inference.predictor import Predictor
from core.training.head import solve_head


def test_over_all_training_pictures_of_a_solved_head_they_sum_to_the_score():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(90, 8, generator=generator) * 3 + 1
    targets = (features[:, 0] + torch.randn(90, generator=generator) > 1).long() + (features[:, 1] > 4).long()
    head = solve_head(features, targets, torch.arange(90), 3, l2=0.05)
    rows, asked = features.numpy(), features[7].numpy() + 0.5
    probabilities = (features @ head.weight.T + head.bias).softmax(1).numpy()

    centred = asked - rows.mean(0)
    for one in range(3):
        spoken = contributions(rows, probabilities, targets.numpy(), asked, one)
        assert spoken.sum() / (0.05 * 90) == pytest.approx(float(head.weight[one].numpy() @ centred), abs=2e-3)


@pytest.mark.parametrize("scenario", ["frozen", "finetuned"])
def test_what_speaks_most_for_a_class_is_of_it_and_what_was_mislabelled_is_found(
    finished_race: FinishedRace, scenario: str
):
    predictor = Predictor.load(finished_race.run(scenario))
    dataset = load_stored(predictor.record.dataset.id)
    reference = reference_features(predictor, dataset, "train")
    asked = reference.pictures[0]
    target = dataset.pictures[asked].target
    _, features = predictor.look([dataset.pixels[asked]])

    found = speaking_for(predictor, dataset, reference, features[0], target, 3)

    assert len(found) == 3 and [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    assert dataset.pictures[found[0].picture].target == target
    other = (target + 1) % len(dataset.class_names)
    pictures = list(dataset.pictures)
    pictures[asked] = replace(pictures[asked], target=other)  # its label is wrong from here on
    wrong = speaking_for(predictor, replace(dataset, pictures=tuple(pictures)), reference, features[0], other, 1)
    assert [one.picture for one in wrong] == [asked] and 0 < wrong[0].share <= 1
    assert np.isfinite(wrong[0].share)
