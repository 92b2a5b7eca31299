"""The five outcomes for ways of training, over seeds: python -m pytest tests/core/comparison/test_race.py"""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.comparison.compare import compare
from core.comparison.fairness import MIXED_RULES
from core.comparison.race_verdict import race_verdict
from core.comparison.statistics import wilson
from core.comparison.wording import paired_methods
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
    assert "not about the training strategy" in race.sentence


def test_several_pairs_of_one_seed_can_take_a_better_back(outcome):
    # 6 discordant pictures give p = 0.031, which is 0.094 once three pairs are looked at
    runs = arm(outcome, "frozen", [14]) + arm(outcome, "last-stages", [14]) + arm(outcome, "finetuned", [8])
    race = race_verdict(runs)
    pair = next(pair for pair in race.pairs if (pair.a, pair.b) == ("frozen", "finetuned"))

    assert pair.comparisons[0].outcome == "b-better"
    assert (pair.outcome, pair.p_holm) == ("cannot-tell", 3 * 0.03125)
    assert "Counting all 3 pairs of this race, p = 0.094: so it cannot tell." in pair.sentence
    assert "No training strategy can be called better than another." in race.sentence


def test_one_seed_says_what_three_would_show(outcome):
    race = race_verdict(arm(outcome, "frozen", [14]) + arm(outcome, "finetuned", [8]))

    assert race.sentence.endswith("3 seeds would show differences from about 7 points on.")


@pytest.mark.parametrize(
    ("frozen", "finetuned", "verdict"),
    [
        ([40, 30], [5, 28], "b-better"),  # one seed tells, the other does not disagree
        ([40, 28], [5, 30], "cannot-tell"),  # it does
        ([14, 14], [8, 8], "cannot-tell"),  # p = 0.031 for each, twice that for having looked at two
        ([10, 10], [10, 10], "same"),
    ],
)
def test_two_seeds_are_compared_model_by_model(outcome, frozen, finetuned, verdict):
    race = race_verdict(arm(outcome, "frozen", frozen) + arm(outcome, "finetuned", finetuned))
    pair = race.pairs[0]

    assert pair.outcome == verdict and pair.estimate is None
    assert pair.p_value == min(1.0, 2 * min(one.p_value for one in pair.comparisons))
    assert "Seed 0: " in pair.sentence and "Seed 1: " in pair.sentence
    assert "With 2 seeds this is about these trained models, not about the training strategy: 3 seeds" in pair.sentence


def test_three_seeds_that_agree_call_a_way_of_training_better(outcome):
    race = race_verdict(arm(outcome, "frozen", [40, 42, 39]) + arm(outcome, "finetuned", [5, 6, 5]))
    pair = race.pairs[0]

    assert (pair.outcome, pair.about_models, pair.comparisons) == ("b-better", False, ())
    assert pair.gap == pytest.approx(-35 / PICTURES) and pair.interval.high < -0.1
    assert pair.p_value == pair.p_holm == pair.estimate.p_value < 0.001
    assert pair.chances.below > 0.99 and pair.settling is None
    assert race.sentence == pair.sentence
    assert pair.sentence.startswith(
        "Fine-tuned is better than Frozen for pictures like these: by 17.5 points (95 % interval "
    )


def test_one_pair_among_three_counts_the_others(outcome):
    runs = [
        *arm(outcome, "scratch", [90, 95, 88]),
        *arm(outcome, "finetuned", [6, 7, 5]),
        *arm(outcome, "frozen", [30, 33, 29]),
    ]
    race = race_verdict(runs)

    assert [pair.outcome for pair in race.pairs] == ["b-better", "a-better", "a-better"]
    assert [one.scenario for one in race.arms] == ["frozen", "finetuned", "scratch"]
    assert all(pair.tests == 3 and pair.p_holm >= pair.p_value for pair in race.pairs)
    assert "counting all 3 pairs" in race.pairs[0].sentence
    assert race.sentence == (
        "Better: Fine-tuned than Frozen; Frozen than From scratch; Fine-tuned than From scratch. "
        "Mean accuracy: Fine-tuned 97.0 % (3 seeds), Frozen 84.7 % (3 seeds), From scratch 54.5 % (3 seeds)."
    )


def test_a_seed_more_that_says_the_same_never_takes_the_verdict_back(outcome):
    frozen, tuned = arm(outcome, "frozen", [24] * 8), arm(outcome, "finetuned", [6] * 8)

    for seeds in range(1, 9):
        assert race_verdict(frozen[:seeds] + tuned[:seeds]).pairs[0].outcome == "b-better"


def test_the_whole_interval_inside_the_band_is_practically_the_same(outcome):
    runs = arm(outcome, "frozen", [10, 10, 11]) + arm(outcome, "finetuned", [10, 10, 10])
    pair = race_verdict(runs).pairs[0]

    assert pair.outcome == "same" and pair.inside_band
    assert "practically the same for pictures like these" in pair.sentence
    assert "The whole interval lies within 2 points." in pair.sentence
    assert race_verdict(runs, band=0.005).pairs[0].outcome == "cannot-tell"


def test_every_seed_inside_the_band_is_not_enough(outcome):
    # 2 points either way, on other pictures each time: the mean could well be 3
    right = ["R" * 196 + "W" * 4, "R" * 190 + "W" * 4 + "R" * 6, "R" * 180 + "W" * 4 + "R" * 16]
    runs = [outcome(row, "finetuned", seed) for seed, row in enumerate(right)]
    pair = race_verdict(arm(outcome, "frozen", [8, 0, 8]) + runs).pairs[0]

    assert all(abs(one) <= 0.02 for one in pair.differences)
    assert pair.outcome == "cannot-tell" and not pair.inside_band


def test_a_small_real_difference_over_seeds_is_called_small(outcome):
    # 1 % of 2,000 pictures, the same ones with every seed
    runs = [outcome("R" * 1900 + "W" * 100, "frozen", seed) for seed in range(5)]
    runs += [outcome("R" * 1920 + "W" * 80, "finetuned", seed) for seed in range(5)]
    pair = race_verdict(runs).pairs[0]

    assert pair.outcome == "b-better"
    assert "The difference is real but small: within 2 points." in pair.sentence


def test_cannot_tell_says_what_would_help(outcome):
    pair = race_verdict(arm(outcome, "frozen", [18] * 5) + arm(outcome, "finetuned", [13] * 5)).pairs[0]

    assert pair.outcome == "cannot-tell" and pair.settling.more_seeds is None
    assert "5 seeds and 200 pictures cannot tell Fine-tuned from Frozen: a difference of 2.5 points" in pair.sentence
    assert (
        "Of this uncertainty 100 % comes from the test pictures: more seeds will not settle it; about" in pair.sentence
    )


def test_fewer_than_six_pictures_that_tell_the_two_apart_never_say_better(outcome):
    runs = [outcome("R" * 5 + "R" * 5, "finetuned", seed) for seed in range(4)]
    runs += [outcome("R" * 5 + "W" * 5, "frozen", seed) for seed in range(4)]
    pair = race_verdict(runs).pairs[0]

    assert pair.discordant == 5 and pair.p_holm < 0.05
    assert pair.outcome == "cannot-tell" and "Fewer than 6 pictures" in pair.sentence


@pytest.mark.parametrize("pictures", [1, 2, 5])
def test_a_handful_of_test_pictures_tells_nothing(outcome, pictures):
    runs = [outcome("R" * pictures, "finetuned", seed) for seed in range(3)]
    runs += [outcome("W" * pictures, "frozen", seed) for seed in range(3)]
    race = race_verdict(runs)

    assert race.pairs[0].outcome == "cannot-tell" and race.pairs[0].interval is None
    assert "fewer than 6 test pictures nothing can be told apart" in race.sentence
    assert race.arms[0].interval.high - race.arms[0].interval.low > 0.4


def own_parts(outcome, scenario: str, wrong: list[int]) -> list:
    """Runs of an older kind: every seed drew its own test part, half of it shared with the others."""
    runs = []
    for seed, count in enumerate(wrong):
        names = [f"both-{place}" if place < PICTURES // 2 else f"{seed}-{place}" for place in range(PICTURES)]
        right = "R" * (PICTURES - count) + "W" * count
        runs.append(outcome(right, scenario, seed, changed={"pictures": tuple(names)}))
    return runs


def test_older_runs_whose_seeds_had_test_parts_of_their_own_stay_comparable(outcome):
    runs = own_parts(outcome, "frozen", [40, 44, 42, 39]) + own_parts(outcome, "finetuned", [6, 8, 6, 5])
    race = race_verdict(runs)
    pair = race.pairs[0]

    assert pair.outcome == "b-better" and pair.crossed is None and pair.estimate.df == 3
    # Nadeau and Bengio (2003): half of every test part is shared
    spread = np.std(pair.differences, ddof=1)
    assert pair.estimate.error == pytest.approx(spread * np.sqrt(1 / 4 + 0.5 / 0.5))
    assert race.arms[0].interval is None and (race.arms[0].low, race.arms[0].high) == (0.78, 0.805)


def test_seeds_that_differ_by_exactly_the_same_on_own_pictures_tell_nothing(outcome):
    race = race_verdict(own_parts(outcome, "frozen", [20] * 3) + own_parts(outcome, "finetuned", [6] * 3))

    assert race.pairs[0].outcome == "cannot-tell"
    assert "nothing to judge its uncertainty by" in race.sentence


def test_a_mixture_of_shared_and_own_test_parts_is_not_comparable(outcome):
    frozen = [*arm(outcome, "frozen", [20, 22]), own_parts(outcome, "frozen", [20] * 3)[2]]
    tuned = [*arm(outcome, "finetuned", [6, 5]), own_parts(outcome, "finetuned", [6] * 3)[2]]
    race = race_verdict(frozen + tuned)

    assert race.pairs[0].outcome == "not-comparable" and race.pairs[0].p_value is None
    assert "Compare runs of one kind." in race.sentence


def test_the_seeds_test_pictures_may_stand_in_any_order(outcome):
    frozen, tuned = arm(outcome, "frozen", [20, 25, 22]), arm(outcome, "finetuned", [6, 9, 30])
    order = np.random.default_rng(0).permutation(PICTURES)
    moved = replace(
        tuned[1],
        pictures=tuple(tuned[1].pictures[place] for place in order),
        targets=tuned[1].targets[order],
        probabilities=tuned[1].probabilities[order],
    )

    plain, joined = race_verdict([*frozen, *tuned]), race_verdict([*frozen, tuned[0], moved, tuned[2]])

    assert joined.sentence == plain.sentence
    for one, other in zip(plain.pairs[0].scores, joined.pairs[0].scores, strict=True):
        assert other.estimate.interval.low == pytest.approx(one.estimate.interval.low)


def test_other_scores_are_compared_in_the_same_way(outcome):
    pair = race_verdict(arm(outcome, "frozen", [40, 45, 41]) + arm(outcome, "finetuned", [5, 6, 5])).pairs[0]
    found = {score.name: score for score in pair.scores}

    assert set(found) == {"balanced accuracy", "log-loss", "Brier score"}
    assert found["balanced accuracy"].estimate.value == pytest.approx(pair.gap, abs=0.01)
    # a wrong picture costs log(0.9) - log(0.1), a Brier score of 2 x 0.9^2 instead of 2 x 0.1^2
    assert found["log-loss"].estimate.value == pytest.approx(-pair.gap * np.log(9), rel=1e-4)
    assert found["Brier score"].estimate.value == pytest.approx(-pair.gap * 2 * (0.81 - 0.01), rel=1e-4)


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


def test_a_strategy_whose_settings_change_between_seeds_is_two_experiments(outcome):
    runs = arm(outcome, "frozen", [20] * 2) + arm(outcome, "finetuned", [6])
    runs.append(outcome("R" * PICTURES, "finetuned", 1, optim__epochs=9))
    race = race_verdict(runs)

    assert [one.label for one in race.arms] == ["Frozen", "Fine-tuned (5 epochs)", "Fine-tuned (9 epochs)"]
    assert race.pairs[2].reasons == ("They have no seed in common.",)


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

    assert (one.accuracies, one.pictures) == ((0.9, 0.95, 0.85), PICTURES)
    assert (one.mean, one.low, one.high) == (pytest.approx(0.9), 0.85, 0.95)


def test_an_accuracys_interval_is_wilsons_with_one_seed_and_wider_with_seeds_that_differ(outcome):
    one, two, three = (race_verdict(arm(outcome, "frozen", [20, 10, 30][:n])).arms[0] for n in (1, 2, 3))

    assert one.interval == wilson(180, PICTURES) and two.interval == wilson(185, PICTURES)
    assert [arm.holds_for_seeds for arm in (one, two, three)] == [False, False, True]
    assert three.interval.high - three.interval.low > 1.5 * (one.interval.high - one.interval.low)


def test_an_empty_or_lonely_race_says_so(outcome):
    assert race_verdict([]).sentence == "No run has finished yet."
    assert "nothing to be compared with" in race_verdict(arm(outcome, "frozen", [20, 10])).sentence


def test_the_order_of_the_runs_does_not_matter(outcome):
    runs = arm(outcome, "frozen", [20, 18, 25]) + arm(outcome, "finetuned", [6, 9, 30])

    assert race_verdict(runs[::-1]) == race_verdict(runs)


@pytest.mark.parametrize("seeds", [1, 2, 3, 6])
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


@pytest.mark.parametrize("scenarios", [["frozen"], ["frozen", "finetuned"], ["frozen", "finetuned", "scratch"]])
@pytest.mark.parametrize("seeds", [1, 3])
def test_classes_that_a_part_lacks_stand_in_what_a_race_says_once(outcome, scenarios: list[str], seeds: int):
    lack = "The class bee has no picture in test: nothing is known about how well it is recognised."
    runs = [run for name in scenarios for run in arm(outcome, name, [9] * seeds, changed={"lacks": (lack,)})]

    race = race_verdict(runs)

    assert race.sentence.endswith(f" {lack}") and race.sentence.count(lack) == 1
    assert not any(lack in pair.sentence for pair in race.pairs)


def test_a_race_of_earlier_and_newer_runs_is_not_comparable_and_says_what_to_do(outcome):
    runs = arm(outcome, "frozen", [20, 22]) + arm(outcome, "finetuned", [6, 5])
    for scenario, wrong in (("frozen", 20), ("finetuned", 6)):
        earlier = own_parts(outcome, scenario, [wrong] * 3)[2]
        data = replace(earlier.settings.data, split_rule=1)
        runs.append(replace(earlier, settings=replace(earlier.settings, data=data)))

    race = race_verdict(runs)

    across = [pair for pair in race.pairs if pair.reasons]
    assert len(race.arms) == len(across) == 4 and {pair.reasons for pair in across} == {(MIXED_RULES,)}
    assert "Train the earlier ones again" in across[0].sentence


def test_pictures_of_one_subject_are_no_independent_evidence(outcome):
    groups = tuple(str(place // 10) for place in range(PICTURES))
    plain = arm(outcome, "frozen", [40, 42, 41]) + arm(outcome, "finetuned", [20, 21, 22])
    grouped = [replace(run, groups=groups) for run in plain]

    alone, together = race_verdict(plain), race_verdict(grouped)

    assert (alone.pairs[0].outcome, together.pairs[0].outcome) == ("b-better", "cannot-tell")
    assert together.pairs[0].discordant == 3 and together.pairs[0].crossed.pictures == 20
    assert "groups of test pictures" in together.sentence
    assert "is of fewer than 6 groups of pictures" in together.sentence
    for narrow, wide in zip(alone.arms, together.arms, strict=True):
        assert wide.interval.high - wide.interval.low > 1.5 * (narrow.interval.high - narrow.interval.low)


@pytest.mark.parametrize("seeds", [2, 3])
def test_few_groups_are_few_however_many_pictures_they_hold(outcome, seeds):
    groups = tuple(str(place // 50) for place in range(PICTURES))  # four
    runs = arm(outcome, "frozen", [40, 42, 45][:seeds]) + arm(outcome, "finetuned", [20, 21, 22][:seeds])

    race = race_verdict([replace(run, groups=groups) for run in runs])

    assert (race.pairs[0].outcome, race.pairs[0].units) == ("cannot-tell", 4)
    expected = "With fewer than 6 groups of test pictures nothing can be told apart."
    assert (expected if seeds == 3 else "for that it takes 3 seeds and more test pictures.") in race.sentence


def test_two_models_on_groups_of_pictures_are_compared_by_groups(outcome):
    groups = tuple(str(place // 10) for place in range(PICTURES))
    pair = [
        replace(arm(outcome, name, [count])[0], groups=groups) for name, count in (("frozen", 40), ("finetuned", 10))
    ]

    found = compare(*pair)

    assert (found.outcome, found.p_value) == ("cannot-tell", 1.0)  # three groups tell them apart, six is the least
    assert "is of fewer than 6 groups of pictures" in found.sentence and found.discordant == 30 and found.groups == 20
    assert found.pictures_needed is found.detectable_gap is None, "their formulas know no groups"
    assert paired_methods(found)[0] == "over 20 groups of pictures" and "clustered" in paired_methods(found)[1]
    assert found.a.accuracy.high - found.a.accuracy.low > 0.25 and found.a.accuracy.value == 0.8


def test_where_classes_are_unequal_balanced_accuracy_has_an_interval_of_its_own(outcome):
    # 180 ants and 20 bees; half of the bees are taken for ants
    targets = np.array([0] * 180 + [1] * 20)
    probabilities = np.tile([0.9, 0.1], (200, 1)).astype(np.float32)
    probabilities[190:] = [0.1, 0.9]
    values = {"targets": targets, "probabilities": probabilities}
    one = race_verdict([outcome("R" * 200, "frozen", seed, changed=values) for seed in range(3)]).arms[0]

    assert one.unbalanced and (one.mean, one.balanced) == (pytest.approx(0.95), pytest.approx(0.75))
    # half of the standard error of a recall of 50 % of 20 pictures is 0.056
    width = one.balanced_interval.high - one.balanced_interval.low
    assert width == pytest.approx(2 * 1.96 * 0.056, rel=0.1) and one.balanced_interval.low < 0.75
    assert one.interval.high - one.interval.low < 0.08
    assert not race_verdict(arm(outcome, "frozen", [20])).arms[0].unbalanced
