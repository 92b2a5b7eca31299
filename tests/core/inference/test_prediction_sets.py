"""Sets hold the true class as often as was asked for, whatever the model; too small a val part is said to be."""

from itertools import pairwise

import numpy as np
import pytest

from core.errors import RunError, SettingsError
from core.inference.prediction_sets import conformal_quantile, fewest_pictures, fit_sets, set_sentence


def pictures(rng: np.random.Generator, count: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and what a model says that knows something but is badly calibrated."""
    targets = rng.integers(0, classes, count)
    logits = rng.normal(0, 1, (count, classes)) + 1.5 * np.eye(classes)[targets]
    powers = np.exp(2 * logits)
    return targets, (powers / powers.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("coverage", [0.6, 0.8, 0.9, 0.95])
def test_on_average_over_val_parts_the_asked_share_is_covered_and_hardly_more(coverage: float):
    rng, val = np.random.default_rng(0), 49
    covered = []
    for _ in range(300):
        rule = fit_sets(*pictures(rng, val), coverage)
        targets, rows = pictures(rng, 50)
        covered.append(np.mean(rows[np.arange(50), targets] >= rule.lowest))

    slack = 4 * np.std(covered) / np.sqrt(len(covered))
    assert coverage - slack <= np.mean(covered) <= coverage + 1 / (val + 1) + slack


def test_more_coverage_never_names_fewer_classes():
    val, (_, rows) = pictures(np.random.default_rng(1), 60), pictures(np.random.default_rng(2), 50)
    rules = [fit_sets(*val, coverage) for coverage in (0.5, 0.7, 0.9, 0.98)]

    for smaller, larger in pairwise(rules):
        assert all(set(smaller.names(row)) <= set(larger.names(row)) for row in rows)


def test_classes_are_named_most_probable_first_and_there_may_be_none():
    targets = np.zeros(9, np.int64)
    rows = np.tile(np.array([0.8, 0.15, 0.05], np.float32), (9, 1))

    rule = fit_sets(targets, rows, 0.9)

    assert rule.names(np.array([0.05, 0.9, 0.05], np.float32)) == (1,)
    assert rule.names(np.array([0.4, 0.35, 0.25], np.float32)) == ()
    assert fit_sets(targets, rows * 0 + 1 / 3, 0.9).names(np.array([0.34, 0.26, 0.4], np.float32)) == (2, 0)


@pytest.mark.parametrize(("coverage", "fewest"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_too_small_a_val_part_names_every_class_and_says_what_it_takes(coverage: float, fewest: int):
    rng = np.random.default_rng(0)
    enough, short = fit_sets(*pictures(rng, fewest), coverage), fit_sets(*pictures(rng, fewest - 1), coverage)

    assert fewest_pictures(coverage) == fewest
    assert enough.is_possible and not short.is_possible
    assert len(short.names(np.array([0.97, 0.01, 0.01, 0.01], np.float32))) == 4
    assert f"it takes {fewest}" in set_sentence(short) and f"{fewest - 1} val pictures" in set_sentence(short)
    assert f"({fewest} pictures decided" in set_sentence(enough)


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, 90.0, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(coverage: float):
    with pytest.raises(SettingsError, match=r"between 0 and 1, like 0\.9"):
        conformal_quantile(np.arange(5.0), coverage)


def test_damaged_predictions_are_refused():
    with pytest.raises(RunError, match="class"):
        fit_sets(np.array([0, 7]), np.full((2, 2), 0.5, np.float32), 0.5)
