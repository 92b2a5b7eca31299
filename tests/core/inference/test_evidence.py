"""Nearest training pictures come from the run's own backbone, and what is far from all of them is turned away."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import FinishedRace

from core.data.dataset import Dataset, load_stored
from core.errors import RunError
from core.inference import evidence
from core.inference.evidence import Memory, nearest, remember, strangeness
from core.inference.predictor import Predictor
from core.inference.strangers import fit_limit

SCENARIOS = ["frozen", "finetuned"]


def asked(race: FinishedRace, scenario: str) -> tuple[Predictor, Dataset]:
    predictor = Predictor.load(race.run(scenario))
    return predictor, load_stored(predictor.record.dataset.id)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_training_picture_is_nearest_to_itself(finished_race: FinishedRace, scenario: str):
    predictor, dataset = asked(finished_race, scenario)
    memory = remember(predictor, dataset, "train")
    for index in memory.pictures[:3]:
        _, features = predictor.look([dataset.pixels[index]])

        first, second = nearest(memory, features[0], 2)

        assert first.picture == index and first.similarity == pytest.approx(1, abs=1e-4)
        assert second.similarity < first.similarity


def test_only_pictures_of_the_asked_part_are_remembered(finished_race: FinishedRace):
    predictor, dataset = asked(finished_race, "frozen")
    split = dataset.split(predictor.record.settings.seed, predictor.record.settings.data)

    for part in ("train", "val"):
        memory = remember(predictor, dataset, part)
        assert memory.pictures == split.part(part) and memory.of == len(memory.pictures)
        assert np.allclose(np.linalg.norm(memory.features, axis=1), 1, atol=1e-5)


def test_a_frozen_run_computes_nothing_for_it_again(finished_race: FinishedRace):
    predictor, dataset = asked(finished_race, "frozen")

    remember(predictor, dataset, "train", lambda done, total: pytest.fail("computed"))


def test_a_finetuned_run_computes_once_with_its_own_backbone(finished_race: FinishedRace):
    (tuned, dataset), (frozen, _) = asked(finished_race, "finetuned"), asked(finished_race, "frozen")

    first = remember(tuned, dataset, "val")
    again = remember(tuned, dataset, "val", lambda done, total: pytest.fail("computed twice"))

    assert np.array_equal(first.features, again.features)
    assert not np.allclose(first.features, remember(frozen, dataset, "val").features, atol=1e-3)


def test_a_large_part_is_looked_at_in_an_even_spread(finished_race: FinishedRace, monkeypatch):
    predictor, dataset = asked(finished_race, "frozen")
    whole = remember(predictor, dataset, "train")
    monkeypatch.setattr(evidence, "MOST", 5)

    some = remember(predictor, dataset, "train")

    assert len(some.pictures) == 5 and some.of == len(whole.pictures)
    assert some.pictures[0] == whole.pictures[0] and some.pictures[-1] > whole.pictures[-6]


def test_another_data_set_under_the_same_name_is_refused(finished_race: FinishedRace):
    predictor, dataset = asked(finished_race, "frozen")

    with pytest.raises(RunError, match="not here any more"):
        remember(predictor, replace(dataset, fingerprint="0" * 64), "train")


def memory_of(features: np.ndarray) -> Memory:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return Memory(pictures=tuple(range(len(unit))), features=unit.astype(np.float32), of=len(unit))


def clouds(rng: np.random.Generator, count: int) -> np.ndarray:
    """Features of two classes."""
    centres = np.eye(16)[[0, 1]] * 5
    return centres[rng.integers(0, 2, count)] + rng.normal(0, 0.5, (count, 16))


def test_the_limit_turns_away_the_stated_share_of_known_pictures_and_all_that_lie_elsewhere():
    rng, known, elsewhere = np.random.default_rng(0), [], []
    for _ in range(40):
        train = memory_of(clouds(rng, 100))
        limit = fit_limit(train, memory_of(clouds(rng, 99)), 0.05)
        known += [limit.is_beyond(d) for d in strangeness(train, clouds(rng, 100), 5)]
        far = np.eye(16)[7] * 5 + rng.normal(0, 0.5, (10, 16))
        elsewhere += [limit.is_beyond(d) for d in strangeness(train, far, 5)]

    assert np.mean(known) == pytest.approx(0.05, abs=0.015)
    assert all(elsewhere)


def test_too_small_a_val_part_turns_nothing_away():
    rng = np.random.default_rng(0)
    limit = fit_limit(memory_of(clouds(rng, 50)), memory_of(clouds(rng, 18)), 0.05)

    assert limit.val_pictures == 18 and not limit.is_beyond(2.0)
    assert fit_limit(memory_of(clouds(rng, 50)), memory_of(clouds(rng, 19)), 0.05).is_beyond(2.0)
