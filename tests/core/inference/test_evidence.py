"""Nearest training pictures come from the run's own backbone, and what is far from all of them is turned away."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import FinishedRace

from core.data.dataset import Dataset, load_stored
from core.errors import RunError
from core.inference import evidence
from core.inference.evidence import ReferenceFeatures, nearest_neighbours, ood_score, reference_features
from core.inference.known import KnownJob, look_at_known
from core.inference.out_of_distribution import detection_sentence, fit_detector, fit_limit
from core.inference.predictor import Predictor
from core.runs.record import PrecisionRecord, RunRecord
from core.training.features import WHOLE, FeatureStore, feature_recipe

SCENARIOS = ["frozen", "finetuned"]


def asked(race: FinishedRace, scenario: str) -> tuple[Predictor, Dataset]:
    predictor = Predictor.load(race.run(scenario))
    return predictor, load_stored(predictor.record.dataset.id)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_training_picture_is_nearest_to_itself(finished_race: FinishedRace, scenario: str):
    predictor, dataset = asked(finished_race, scenario)
    reference = reference_features(predictor, dataset, "train")
    for index in reference.pictures[:3]:
        _, features = predictor.look([dataset.pixels[index]])

        first, second = nearest_neighbours(reference, features[0], 2)

        assert first.picture == index and first.similarity == pytest.approx(1, abs=1e-4)
        assert second.similarity < first.similarity


def test_only_pictures_of_the_asked_part_are_remembered(finished_race: FinishedRace):
    predictor, dataset = asked(finished_race, "frozen")
    split = dataset.split(predictor.record.settings.seed, predictor.record.settings.data)

    for part in ("train", "val"):
        reference = reference_features(predictor, dataset, part)
        assert reference.pictures == split.part(part) and reference.of == len(reference.pictures)
        assert np.allclose(np.linalg.norm(reference.features, axis=1), 1, atol=1e-5)


def test_a_frozen_run_computes_nothing_for_it_again(finished_race: FinishedRace):
    predictor, dataset = asked(finished_race, "frozen")

    reference_features(predictor, dataset, "train", lambda done, total: pytest.fail("computed"))


def test_what_is_computed_in_float32_is_not_kept_as_the_bf16_that_a_run_was_trained_with(
    finished_race: FinishedRace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found, dataset = asked(finished_race, "frozen")
    predictor = Predictor(replace(found.record, precision=PrecisionRecord(features="bf16", train="fp32")), found._model)
    keys = [dataset.pictures[index].group for index in dataset.split(0).train]
    pixels = dataset.pixels
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "empty"))  # nothing is kept there yet
    assert dataset.pixels is pixels

    reference_features(predictor, dataset, "train")

    trained_with = recipe_of(predictor.record)
    _, hits = FeatureStore(trained_with).get(keys, lambda wanted: [torch.zeros(len(wanted), 1)], torch.float16)
    assert hits == 0
    reference_features(predictor, dataset, "train", lambda done, total: pytest.fail("computed twice"))


def recipe_of(record: RunRecord) -> dict[str, object]:
    return feature_recipe(
        record.settings,
        record.weights.sha256,
        record.preprocessing,
        WHOLE,
        record.precision.features,
        record.engine,
    )


def test_a_finetuned_run_computes_once_with_its_own_backbone(finished_race: FinishedRace):
    (tuned, dataset), (frozen, _) = asked(finished_race, "finetuned"), asked(finished_race, "frozen")

    first = reference_features(tuned, dataset, "val")
    again = reference_features(tuned, dataset, "val", lambda done, total: pytest.fail("computed twice"))

    assert np.array_equal(first.features, again.features)
    assert not np.allclose(first.features, reference_features(frozen, dataset, "val").features, atol=1e-3)


def test_a_large_part_is_looked_at_in_an_even_spread(finished_race: FinishedRace, monkeypatch):
    predictor, dataset = asked(finished_race, "frozen")
    whole = reference_features(predictor, dataset, "train")
    monkeypatch.setattr(evidence, "MOST", 5)

    some = reference_features(predictor, dataset, "train")

    assert len(some.pictures) == 5 and some.of == len(whole.pictures)
    assert some.pictures[0] == whole.pictures[0] and some.pictures[-1] > whole.pictures[-6]


def test_another_data_set_under_the_same_name_is_refused(finished_race: FinishedRace):
    predictor, dataset = asked(finished_race, "frozen")

    with pytest.raises(RunError, match="not here any more"):
        reference_features(predictor, replace(dataset, fingerprint="0" * 64), "train")


def features_of(features: np.ndarray) -> ReferenceFeatures:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    lengths = np.ones(len(unit), np.float32)
    return ReferenceFeatures(
        pictures=tuple(range(len(unit))), features=unit.astype(np.float32), lengths=lengths, of=len(unit)
    )


def clouds(rng: np.random.Generator, count: int) -> np.ndarray:
    """Features of two classes."""
    centres = np.eye(16)[[0, 1]] * 5
    return centres[rng.integers(0, 2, count)] + rng.normal(0, 0.5, (count, 16))


def test_the_limit_turns_away_the_stated_share_of_known_pictures_and_all_that_lie_elsewhere():
    rng, known, elsewhere = np.random.default_rng(0), [], []
    for _ in range(40):
        train = features_of(clouds(rng, 100))
        limit = fit_limit(train, features_of(clouds(rng, 99)), 0.05)
        known += [limit.is_beyond(d) for d in ood_score(train, clouds(rng, 100), 5)]
        far = np.eye(16)[7] * 5 + rng.normal(0, 0.5, (10, 16))
        elsewhere += [limit.is_beyond(d) for d in ood_score(train, far, 5)]

    assert np.mean(known) == pytest.approx(0.05, abs=0.015)
    assert all(elsewhere)


def test_too_small_a_val_part_turns_nothing_away():
    rng = np.random.default_rng(0)
    limit = fit_limit(features_of(clouds(rng, 50)), features_of(clouds(rng, 18)), 0.05)

    assert limit.val_pictures == 18 and not limit.is_beyond(2.0)
    assert fit_limit(features_of(clouds(rng, 50)), features_of(clouds(rng, 19)), 0.05).is_beyond(2.0)


def test_the_detector_turns_away_as_few_known_pictures_as_val_allows_and_says_how_many():
    rng = np.random.default_rng(0)
    train = features_of(clouds(rng, 50))
    far = np.stack([np.eye(16)[7], train.features[0]])
    shares = {}
    for size in (18, 30, 99):
        detector = fit_detector(train, features_of(clouds(rng, size)))
        shares[size] = detector and detector.limit.turned_away
        if detector:
            assert detector.are_unknown(far).tolist() == [True, False]
            assert f"About {100 * detector.limit.turned_away:.1f} % of pictures" in detection_sentence(detector, size)

    assert shares == {18: None, 30: pytest.approx(1 / 31), 99: 0.02}
    assert "18 validation pictures, and 19 are needed" in detection_sentence(None, 18)


def test_what_a_run_learnt_from_is_found_in_a_thread_as_without_one(finished_race: FinishedRace):
    predictor, dataset = asked(finished_race, "finetuned")
    found, job = look_at_known(predictor, dataset), KnownJob(predictor, dataset)

    assert job.wait(60) and np.array_equal(job.result().train.features, found.train.features)
    refused = KnownJob(predictor, replace(dataset, fingerprint="0" * 64))
    with pytest.raises(RunError, match="not here any more"):
        refused.result()
