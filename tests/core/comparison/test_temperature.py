"""Calibration changes how sure a run says it is, and never what it says."""

import numpy as np
import pytest
from helpers import FinishedRace

from core.comparison.calibration import calibration_error, reliability
from core.comparison.metrics import log_loss
from core.comparison.temperature import (
    BOUNDS,
    FEWEST,
    FEWEST_MISTAKES,
    at_temperature,
    fit_temperature,
    temperature_sentence,
)
from core.runs.record import load_record


def too_sure(count: int, times: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets drawn from honest probabilities, and the same probabilities with logits `times` as large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 4))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = (honest.cumsum(1) < rng.random((count, 1))).sum(1)
    return targets, at_temperature(honest, 1 / times)


@pytest.mark.parametrize("times", [0.8, 1.0, 3.0])
def test_the_temperature_is_what_the_logits_were_multiplied_with(times: float):
    assert fit_temperature(*too_sure(5000, times)) == pytest.approx(times, rel=0.06)


def test_a_network_that_is_too_sure_is_better_calibrated_on_other_pictures():
    temperature = fit_temperature(*too_sure(200, 3.0))
    targets, raw = too_sure(3000, 3.0, seed=1)
    calibrated = at_temperature(raw, temperature)

    before, after = (calibration_error(reliability(targets, p)) for p in (raw, calibrated))
    assert after < before / 3
    assert log_loss(targets, calibrated) < log_loss(targets, raw)


@pytest.mark.parametrize("temperature", [0.5, 1.7, 10.0])
def test_the_order_of_the_classes_never_changes(temperature: float):
    rows = np.random.default_rng(0).dirichlet(np.full(5, 0.3), 500).astype(np.float32)
    rows[0] = (1, 0, 0, 0, 0)

    scaled = at_temperature(rows, temperature)

    assert np.array_equal(scaled.argmax(1), rows.argmax(1))
    assert scaled.dtype == np.float32 and np.allclose(scaled.sum(1), 1) and np.isfinite(scaled).all()


def test_no_temperature_leaves_probabilities_as_they_are():
    rows = np.array([[0.9, 0.1]], np.float32)

    assert at_temperature(rows, None) is rows
    assert np.allclose(at_temperature(rows, 1.0), rows)


@pytest.mark.parametrize("mistakes", [0, FEWEST_MISTAKES - 1])
def test_a_val_part_with_hardly_a_mistake_sharpens_nothing_and_says_so(mistakes: int):
    targets = np.zeros(400, np.int64)
    targets[:mistakes] = 1
    temperature = fit_temperature(targets, np.tile(np.array([0.9, 0.1], np.float32), (400, 1)))

    assert temperature == 1.0
    assert "too few mistakes" in temperature_sentence(temperature, 400)


def test_with_enough_mistakes_probabilities_may_be_sharpened_up_to_the_bound():
    targets = np.zeros(4000, np.int64)
    targets[:FEWEST_MISTAKES] = 1
    temperature = fit_temperature(targets, np.tile(np.array([0.9, 0.1], np.float32), (4000, 1)))

    assert temperature == BOUNDS[0]
    assert "as far as Thaw goes" in temperature_sentence(temperature, 4000)
    assert "as far as Thaw goes" not in temperature_sentence(1.4, 4000)


def test_too_small_a_val_part_gives_none_and_the_sentence_says_how_small():
    targets, rows = too_sure(FEWEST - 1, 3.0)

    assert fit_temperature(targets, rows) is None and fit_temperature(None, None) is None
    assert f"{FEWEST - 1} pictures, and {FEWEST} are needed" in temperature_sentence(None, FEWEST - 1)
    assert "earlier version" in temperature_sentence(None, 100)


@pytest.mark.parametrize(("temperature", "word"), [(2.0, "softened"), (0.8, "sharpened")])
def test_the_sentence_counts_the_pictures_and_says_what_was_done(temperature: float, word: str):
    assert "60 val pictures" in temperature_sentence(temperature, 60)
    assert word in temperature_sentence(temperature, 60)


def test_a_run_with_a_small_val_part_is_kept_without_a_temperature(finished_race: FinishedRace):
    record = load_record(finished_race.run("frozen"))

    assert record.split.val < FEWEST and record.temperature is None
