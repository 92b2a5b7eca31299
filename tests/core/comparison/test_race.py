"""The five outcomes for ways of training, over seeds: python -m pytest tests/core/comparison/test_race.py"""

import json

import pytest

from core.comparison.race import race_verdict
from core.comparison.verdict import compare
from core.errors import RunError, SettingsError

PICTURES = 200


def arm(outcome, scenario: str, wrong: list[int], **values) -> list:
    """One scenario's runs, seed by seed, with so many pictures wrong."""
    return [
        outcome("R" * (PICTURES - count) + "W" * count, scenario, seed, **values) for seed, count in enumerate(wrong)
    ]


def test_one_seed_is_the_comparison_of_its_two_models(outcome):
    frozen, finetuned = arm(outcome, "frozen", [20]), arm(outcome, "finetuned", [6])
    race = race_verdict(finetuned + frozen)
    alone = compare(frozen[0], finetuned[0])

    assert [(pair.a, pair.b, pair.outcome) for pair in race.pairs] == [("frozen", "finetuned", "b-better")]
    assert race.pairs[0].p_value == race.pairs[0].p_holm == alone.p_value
    assert race.sentence.startswith(alone.sentence)
    assert "not about the way of training" in race.sentence


def test_several_pairs_of_one_seed_can_take_a_better_back(outcome):
    # 6 discordant pictures give p = 0.031, which is 0.094 once three pairs are looked at
    runs = arm(outcome, "frozen", [14]) + arm(outcome, "last-stages", [14]) + arm(outcome, "finetuned", [8])
    race = race_verdict(runs)
    pair = next(pair for pair in race.pairs if (pair.a, pair.b) == ("frozen", "finetuned"))

    assert pair.comparison.outcome == "b-better"
    assert (pair.outcome, pair.p_holm) == ("cannot-tell", 3 * 0.03125)
    assert "p = 0.094: so this race cannot tell." in pair.sentence
    assert "No scenario can be called better than another." in race.sentence


@pytest.mark.parametrize(("seeds", "smallest"), [(2, 0.5), (3, 0.25), (5, 0.0625)])
def test_few_seeds_never_call_a_way_of_training_better_and_say_why(outcome, seeds, smallest):
    race = race_verdict(arm(outcome, "frozen", [40] * seeds) + arm(outcome, "finetuned", [5] * seeds))
    pair = race.pairs[0]

    assert (pair.outcome, pair.p_value, pair.smallest_p) == ("cannot-tell", smallest, smallest)
    assert pair.comparison is None
    assert f"Fine-tuned was ahead in {seeds} of {seeds} seeds" in pair.sentence
    assert "So few seeds can never reach p < 0.05" in pair.sentence and "look at the dots" in pair.sentence


def test_six_seeds_that_agree_are_enough_for_one_pair(outcome):
    race = race_verdict(arm(outcome, "frozen", [12, 14, 11, 13, 15, 12]) + arm(outcome, "finetuned", [6] * 6))
    pair = race.pairs[0]

    assert (pair.outcome, pair.p_value, pair.p_holm) == ("b-better", 0.03125, 0.03125)
    assert pair.median == pytest.approx(-6.5 / PICTURES)
    assert race.sentence == pair.sentence
    assert pair.sentence.startswith("Fine-tuned is a better way of training than Frozen on this data.")
    assert "by a median of +3.2 points (+2.5 to +4.5)" in pair.sentence


def test_six_seeds_are_not_enough_for_three_pairs(outcome):
    runs = [
        *arm(outcome, "frozen", [20] * 6),
        *arm(outcome, "finetuned", [6] * 6),
        *arm(outcome, "scratch", [90] * 6),
    ]
    race = race_verdict(runs)

    assert [pair.outcome for pair in race.pairs] == ["cannot-tell"] * 3
    assert [pair.smallest_p for pair in race.pairs] == [3 * 0.03125] * 3
    assert "Holm's correction for 3 pairs included" in race.pairs[0].sentence
    assert "So few seeds can never reach p < 0.05" in race.sentence


def test_seven_seeds_are_enough_for_three_pairs(outcome):
    runs = [
        *arm(outcome, "scratch", [90] * 7),
        *arm(outcome, "finetuned", [6] * 7),
        *arm(outcome, "frozen", [20] * 7),
    ]
    race = race_verdict(runs)

    assert [pair.outcome for pair in race.pairs] == ["b-better", "a-better", "a-better"]
    assert [one.scenario for one in race.arms] == ["frozen", "finetuned", "scratch"]
    assert race.sentence == (
        "Mean accuracy: Fine-tuned 97.0 % (7 seeds), Frozen 90.0 % (7 seeds), From scratch 55.0 % (7 seeds). "
        "Better: Fine-tuned than Frozen; Frozen than From scratch; Fine-tuned than From scratch."
    )


def test_differences_inside_the_band_in_every_seed_are_practically_the_same(outcome):
    runs = arm(outcome, "frozen", [10, 12, 11]) + arm(outcome, "finetuned", [12, 9, 11])

    assert race_verdict(runs).pairs[0].outcome == "same"
    assert race_verdict(runs, band=0.01).pairs[0].outcome == "cannot-tell"


def test_a_difference_of_exactly_the_band_is_inside_it(outcome):
    assert race_verdict(arm(outcome, "frozen", [10, 6]) + arm(outcome, "finetuned", [6, 10])).pairs[0].outcome == "same"


def test_a_small_real_difference_over_seeds_is_called_small(outcome):
    race = race_verdict(arm(outcome, "frozen", [10] * 6) + arm(outcome, "finetuned", [8] * 6))

    assert race.pairs[0].outcome == "b-better"
    assert "real but small: always within 2 points" in race.sentence


def test_only_seeds_that_both_have_are_paired(outcome):
    race = race_verdict(arm(outcome, "frozen", [20, 21, 22, 23]) + arm(outcome, "finetuned", [6, 7]))

    assert race.pairs[0].seeds == (0, 1)
    assert race.pairs[0].differences == (-14 / PICTURES, -14 / PICTURES)
    assert race.arms[0].seeds == (0, 1, 2, 3)


def test_scenarios_without_a_common_seed_are_not_comparable(outcome):
    race = race_verdict([outcome("RRRW", "frozen", 0), outcome("RRRR", "finetuned", 1)])

    assert race.pairs[0].outcome == "not-comparable"
    assert race.sentence == "Frozen and Fine-tuned are not comparable. They have no seed in common."


def test_one_unfair_seed_makes_the_pair_not_comparable(outcome):
    runs = arm(outcome, "frozen", [20] * 3) + arm(outcome, "finetuned", [6] * 2)
    runs.append(outcome("R" * PICTURES, "finetuned", 2, changed={"split_hash": "other"}))
    race = race_verdict(runs)

    assert race.pairs[0].outcome == "not-comparable" and race.pairs[0].p_value is None
    assert "divided differently" in race.sentence


def test_a_scenario_whose_settings_change_between_seeds_is_not_comparable(outcome):
    runs = arm(outcome, "frozen", [20] * 2) + arm(outcome, "finetuned", [6])
    runs.append(outcome("R" * PICTURES, "finetuned", 1, optim__epochs=9))

    assert "Fine-tuned changed more than its seed from run to run: optim.epochs." in race_verdict(runs).sentence


def test_pairs_that_cannot_be_compared_do_not_count_in_the_correction(outcome):
    runs = [
        *arm(outcome, "frozen", [20] * 6),
        *arm(outcome, "finetuned", [6] * 6),
        *arm(outcome, "scratch", [90] * 6, changed={"fingerprint": "other"}),
    ]
    race = race_verdict(runs)

    assert [pair.outcome for pair in race.pairs] == ["b-better", "not-comparable", "not-comparable"]
    assert race.pairs[0].p_holm == race.pairs[0].p_value
    assert "Not comparable: Frozen and From scratch; Fine-tuned and From scratch." in race.sentence


def test_accuracies_over_seeds_are_summed_up(outcome):
    one = race_verdict(arm(outcome, "frozen", [20, 10, 30])).arms[0]

    assert one.accuracies == (0.9, 0.95, 0.85)
    assert (one.mean, one.low, one.high) == (pytest.approx(0.9), 0.85, 0.95)


def test_an_empty_or_lonely_race_says_so(outcome):
    assert race_verdict([]).sentence == "No run has finished yet."
    assert "nothing to be compared with" in race_verdict(arm(outcome, "frozen", [20, 10])).sentence


def test_the_order_of_the_runs_does_not_matter(outcome):
    runs = arm(outcome, "frozen", [20, 18, 25]) + arm(outcome, "finetuned", [6, 9, 30])

    assert race_verdict(runs[::-1]) == race_verdict(runs)


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_a_race_is_plain_json(outcome, seeds):
    race = race_verdict(arm(outcome, "frozen", [20] * seeds) + arm(outcome, "finetuned", [6] * seeds))
    values = race.to_dict()

    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["pairs"][0]["differences"] == list(race.pairs[0].differences)


def test_two_runs_of_one_scenario_and_seed_are_refused(outcome):
    with pytest.raises(RunError, match="Frozen has two runs with seed 0"):
        race_verdict(arm(outcome, "frozen", [20]) * 2)


def test_a_run_without_test_pictures_is_refused(outcome):
    with pytest.raises(RunError, match="no test pictures"):
        race_verdict([outcome("", "frozen"), outcome("", "finetuned")])


def test_a_band_that_makes_no_sense_is_refused():
    with pytest.raises(SettingsError, match="band"):
        race_verdict([], band=2)


def test_three_models_are_asked_together_before_any_pair(outcome):
    runs = [
        outcome("R" * 140 + "W" * 13, scenario, changed={"run": scenario})
        if scenario != "scratch"
        else outcome("R" * 60 + "W" * 93, scenario, changed={"run": scenario})
        for scenario in ("frozen", "finetuned", "scratch")
    ]

    verdict = race_verdict(runs)

    assert verdict.cochran_p is not None and verdict.cochran_p < 0.001
    assert "All 3 together: p < 0.001 (Cochran's Q)." in verdict.sentence
    assert race_verdict(runs[:2]).cochran_p is None


def timed(outcome, scenario: str, seed: int, train_s: float, **changed: object):
    timings = {"decode": 3.0, "features": 1.0, "train": train_s - 2.0, "val": 1.0, "test": 5.0}
    return outcome("RW" * 10, scenario, seed, changed={"timings": timings, **changed})


def test_times_of_first_runs_and_of_runs_with_cached_features_are_never_mixed(outcome):
    frozen = [timed(outcome, "frozen", seed, 10.0) for seed in range(3)]
    frozen.append(timed(outcome, "frozen", 3, 2.5, cached_features=99))
    tuned = [timed(outcome, "finetuned", seed, 40.0 + seed) for seed in range(4)]

    (pair,) = race_verdict([*frozen, *tuned]).pairs

    assert (pair.cold.runs, pair.cold.median) == (3, pytest.approx(10 / 41))
    assert pair.cold.interval.low == pytest.approx(10 / 42) and pair.cold.interval.high == pytest.approx(10 / 40)
    assert (pair.warm.runs, pair.warm.median, pair.warm.interval) == (1, pytest.approx(2.5 / 43), None)
    assert pair.speed == (
        "Frozen trained faster than Fine-tuned (median of 3 paired runs: 4.1 times, 95 % interval 4.0 to 4.2). "
        "With features from the cache, Frozen trained 17.2 times as fast as Fine-tuned (timed once)."
    )


def test_an_interval_around_one_calls_nobody_faster(outcome):
    runs = [timed(outcome, "frozen", seed, 10.0) for seed in range(4)]
    runs += [timed(outcome, "finetuned", seed, seconds) for seed, seconds in enumerate((8.0, 9.0, 12.0, 14.0))]

    (pair,) = race_verdict(runs).pairs

    assert pair.speed.startswith("Neither ") and "was clearly faster" in pair.speed


@pytest.mark.parametrize("changed", [{"machine": "four cores"}, {"threads": 9}], ids=["machine", "threads"])
def test_times_from_elsewhere_are_not_compared(outcome, changed):
    runs = [timed(outcome, "frozen", 0, 10.0, **changed), timed(outcome, "finetuned", 0, 40.0)]

    (pair,) = race_verdict(runs).pairs

    assert (pair.cold, pair.warm, pair.speed) == (None, None, "")


@pytest.mark.parametrize("scenarios", [["frozen"], ["frozen", "finetuned"], ["frozen", "finetuned", "scratch"]])
@pytest.mark.parametrize("seeds", [1, 3])
def test_classes_that_a_part_lacks_stand_in_what_a_race_says_once(outcome, scenarios: list[str], seeds: int):
    lack = "The class bee has no picture in test: nothing is known about how well it is recognised."
    runs = [run for name in scenarios for run in arm(outcome, name, [9] * seeds, changed={"lacks": (lack,)})]

    race = race_verdict(runs)

    assert race.sentence.endswith(f" {lack}") and race.sentence.count(lack) == 1
    assert not any(lack in pair.sentence for pair in race.pairs)
