"""The five outcomes for two models: python -m pytest tests/core/comparison/test_verdict.py"""

import json
from dataclasses import fields

import numpy as np
import pytest

from core.comparison.compare import compare
from core.comparison.metrics import Interval
from core.comparison.statistics import paired_difference, pictures_needed, wilson
from core.comparison.verdict import BAND, decide
from core.errors import SettingsError


def test_one_is_better_when_p_is_small_and_the_interval_leaves_out_zero(table):
    result = compare(*table(142, 7, 0, 4))

    assert result.outcome == "a-better"
    assert result.p_value == 2 / 2**7
    assert result.interval is not None and result.interval.low > 0
    assert result.pictures_needed is None
    assert result.sentence == (
        "Fine-tuned is better than Frozen on these 153 pictures: 97.4 % against 92.8 %, a difference of 4.6 points "
        "(95 % interval 1.0 to 9.2), p = 0.016."
    )


@pytest.mark.parametrize(
    ("difference", "low", "high", "p", "outcome"),
    [
        (0.04, 0.01, 0.08, 0.03, "a-better"),
        (-0.04, -0.08, -0.01, 0.03, "b-better"),
        (0.04, -0.001, 0.08, 0.03, "cannot-tell"),
        (0.04, 0.01, 0.08, 0.06, "cannot-tell"),
        (0.01, 0.001, 0.019, 0.06, "same"),
        (0.01, 0.001, 0.019, 0.01, "a-better"),
        (0.0, -0.02, 0.02, 1.0, "same"),
        (0.0, -0.0201, 0.02, 1.0, "cannot-tell"),
    ],
)
def test_the_fixed_rules_want_both_the_test_and_the_interval(difference, low, high, p, outcome):
    assert decide(difference, Interval(low=low, high=high), p, 0.02) == outcome


@pytest.mark.parametrize(("wrong", "fewest"), [(0, 189), (12, 192)])
def test_how_many_pictures_two_models_need_that_never_differ(wrong, fewest):
    def said(pictures: int) -> str:
        difference, ends = paired_difference(pictures - wrong, 0, 0, wrong)
        return decide(difference, ends, 1.0, BAND)

    assert (said(fewest - 1), said(fewest)) == ("cannot-tell", "same")


def test_swapping_the_runs_swaps_the_verdict_and_keeps_the_sentence(table):
    for counts in ((142, 7, 0, 4), (140, 5, 4, 4), (130, 2, 12, 9)):
        a, b = table(*counts)
        one, other = compare(a, b), compare(b, a)
        swapped = {"a-better": "b-better", "b-better": "a-better"}

        assert other.outcome == swapped.get(one.outcome, one.outcome)
        assert other.sentence == one.sentence
        assert other.difference == -one.difference
        assert (other.interval.low, other.interval.high) == pytest.approx((-one.interval.high, -one.interval.low))
        assert other.p_value == one.p_value and other.pictures_needed == one.pictures_needed
        assert other.agreement.only_a_index == one.agreement.only_b_index


def test_the_tutorials_comparison_cannot_tell(table):
    # 147 against 144 of 153, at the very best for the tutorial's conclusion
    result = compare(*table(144, 3, 0, 6))

    assert (result.outcome, result.p_value, result.discordant) == ("cannot-tell", 0.25, 3)
    assert (result.a.accuracy.low, result.a.accuracy.high) == pytest.approx((0.917, 0.982), abs=5e-4)
    assert (result.b.accuracy.low, result.b.accuracy.high) == pytest.approx((0.892, 0.969), abs=5e-4)
    assert "can never reach p < 0.05" in result.note
    assert result.sentence.startswith("These 153 pictures cannot tell Fine-tuned from Frozen: 96.1 % against 94.1 %")
    assert "better" not in result.sentence


def test_cannot_tell_says_how_many_pictures_it_would_take_for_the_observed_gap(table):
    result = compare(*table(135, 9, 4, 5))

    assert result.outcome == "cannot-tell"
    assert result.gap_sought == pytest.approx(5 / 153)
    assert result.pictures_needed == pictures_needed(5 / 153, 13 / 153)
    assert f"about {result.pictures_needed:,} pictures" in result.sentence
    assert result.note == ""


def test_cannot_tell_asks_for_the_band_when_the_observed_gap_is_smaller(table):
    result = compare(*table(140, 5, 4, 4))

    assert result.gap_sought == 0.02
    assert result.pictures_needed == pictures_needed(0.02, 9 / 153)
    assert "to see a difference of 2 points with 80 % power." in result.sentence


def test_enough_pictures_for_the_band_are_asked_about_the_gap_there_is(table):
    result = compare(*table(2000, 88, 65, 0))

    assert result.outcome == "cannot-tell"
    assert result.gap_sought == pytest.approx(23 / 2153)
    assert result.pictures_needed > result.pictures


@pytest.mark.parametrize("counts", [(0, 5, 0, 0), (0, 0, 0, 1), (148, 5, 0, 0), (3, 1, 1, 0)])
def test_it_always_takes_more_pictures_than_could_not_tell(table, counts):
    result = compare(*table(*counts))

    assert result.outcome == "cannot-tell"
    assert result.pictures_needed > result.pictures


def test_practically_the_same_needs_the_whole_interval_inside_the_band(table):
    a, b = table(1400, 12, 10, 20)
    result = compare(a, b)

    assert result.outcome == "same"
    assert "practically the same" in result.sentence and "within 2 points" in result.sentence
    assert compare(a, b, band=0.005).outcome == "cannot-tell"


def test_two_identical_runs_on_few_pictures_are_not_called_the_same(table):
    assert compare(*table(60, 0, 0, 3)).outcome == "cannot-tell"
    assert compare(*table(600, 0, 0, 30)).outcome == "same"


def test_a_small_real_difference_is_called_better_and_small(table):
    result = compare(*table(9000, 60, 20, 920))

    assert result.outcome == "a-better"
    assert "real but small: within 2 points" in result.sentence


def test_different_data_is_not_comparable_and_has_no_common_numbers(table):
    _, b = table(140, 9, 3, 1)
    other, _ = table(140, 9, 3, 1, changed={"fingerprint": "other"})
    result = compare(other, b)

    assert result.outcome == "not-comparable"
    assert result.difference is result.p_value is result.interval is result.agreement is None
    assert result.a.accuracy.correct == 149
    assert result.sentence == ("Fine-tuned and Frozen are not comparable. They were trained on different data sets.")


def test_whatever_else_differs_is_said_in_the_first_sentence(outcome):
    b = outcome("R" * 142 + "W" * 7 + "W" * 4, "last-stages")
    other = outcome("R" * 149 + "W" * 4, "finetuned", optim__epochs=9, optim__batch_size=32)
    result = compare(other, b)

    assert result.outcome == "a-better"
    first, second = "Fine-tuned (9 epochs, batches of 32)", "Last stages (5 epochs, batches of 16)"
    assert result.sentence.startswith(f"{first} is better than {second} on these 153 pictures: ")


def test_a_better_run_with_one_uncontrolled_setting_says_so(outcome):
    a = outcome("R" * 149 + "W" * 4, "finetuned", optim__epochs=9)
    result = compare(a, outcome("R" * 142 + "W" * 11, "last-stages"))

    assert result.outcome == "a-better"
    assert "This can have other reasons. Not held equal: 9 epochs against 5 epochs." in result.sentence


def test_the_agreement_square_holds_every_picture_once(table):
    agreement = compare(*table(5, 2, 3, 4)).agreement

    assert (agreement.both, agreement.only_a, agreement.only_b, agreement.neither) == (5, 2, 3, 4)
    cells = agreement.both_index, agreement.only_a_index, agreement.only_b_index, agreement.neither_index
    assert [list(cell) for cell in cells] == [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9], [10, 11, 12, 13]]


def test_numbers_agree_with_the_functions_they_come_from(table):
    result = compare(*table(135, 9, 4, 5))

    assert (result.difference, result.interval) == paired_difference(135, 9, 4, 5)
    assert wilson(144, 153).low == result.a.accuracy.low
    assert result.a.recalls[0].total + result.a.recalls[1].total == 153
    assert sum(map(sum, result.a.confusion)) == 153


def test_training_time_counts_features_and_not_the_test(table):
    a, b = table(5, 2, 3, 4)
    slow, _ = table(5, 2, 3, 4, changed={"timings": {"train": 12.0}})
    idle, _ = table(5, 2, 3, 4, changed={"timings": {}})

    assert compare(a, b).a.train_s == 4.0 and compare(a, b).time_ratio == 1.0
    assert compare(slow, b).time_ratio == 3.0
    assert compare(a, idle).time_ratio is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, "Frozen (B) from Frozen (A)"),
        ({"seed": 1, "changed": {"split_hash": "split-0"}}, "Frozen, seed 1 from Frozen, seed 0"),
        ({"optim__views": 8}, "Frozen (8 views) from Frozen (2 views)"),
    ],
)
def test_runs_of_one_strategy_are_told_apart_by_what_differs(outcome, other, said):
    assert said in compare(outcome("RRRW"), outcome("RRRR", **other)).sentence


@pytest.mark.parametrize("counts", [(142, 7, 0, 4), (135, 9, 4, 5), (600, 0, 0, 30), (0, 0, 0, 1)])
def test_a_comparison_is_plain_json_with_nothing_lost_or_rounded(table, counts):
    result = compare(*table(*counts))
    values = result.to_dict()

    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert set(values) == {field.name for field in fields(result)}
    assert values["difference"] == result.difference
    assert values["agreement"]["only_a"] == counts[1]
    assert values["interval"] == {"low": result.interval.low, "high": result.interval.high}


def test_runs_without_test_pictures_give_none_and_not_zero(outcome):
    result = compare(outcome(""), outcome("", "finetuned"))

    assert result.outcome == "not-comparable"
    assert result.a.accuracy is result.a.balanced_accuracy is result.a.log_loss is None
    assert result.to_dict()["a"]["recalls"] == [None, None]


@pytest.mark.parametrize("band", [-0.01, 0.6, float("nan")])
def test_a_band_that_makes_no_sense_is_refused(table, band):
    with pytest.raises(SettingsError, match="must lie between 0 and"):
        compare(*table(5, 2, 3, 4), band=band)


def test_classes_that_a_part_lacks_stand_in_every_verdict_once(outcome):
    lack = (
        "The class bee has no picture in train: it can never be named, and all of its 20 test pictures count as wrong."
    )
    a, b = (outcome("RW" * 20, scenario, changed={"lacks": (lack,)}) for scenario in ("frozen", "finetuned"))
    other = outcome("RW" * 20, "scratch", changed={"lacks": ("Another.",), "fingerprint": "other"})

    assert compare(a, b).sentence.endswith(f" {lack}") and compare(a, b).sentence.count(lack) == 1
    assert compare(a, b).to_dict()["lacks"] == [lack]
    assert compare(a, other).sentence.endswith(f" {lack} Another."), "also where two runs cannot be compared"


def test_recall_of_a_class_without_test_pictures_is_unknown_and_left_out_of_the_mean(outcome):
    result = compare(
        *(outcome("RRRW", name, changed={"targets": np.zeros(4, dtype=np.int64)}) for name in ("frozen", "scratch"))
    )

    assert result.a.recalls[1] is None
    assert result.a.balanced_accuracy == result.a.recalls[0].value == result.a.accuracy.value
