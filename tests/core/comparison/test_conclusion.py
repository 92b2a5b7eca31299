"""The conclusion: graded by what the rules and the chances say, never beyond them."""

from dataclasses import replace

import pytest

from core.comparison.conclusion import PROBABLE, conclusion_of, grade_of
from core.comparison.crossed import Chances
from core.comparison.race_verdict import race_verdict

PICTURES = 400


def arm(outcome, scenario: str, wrong: list[int], **values) -> list:
    """One run per seed, wrong on so many pictures at the end, each seed on some others, too."""
    return [
        outcome("R" * (PICTURES - count) + "W" * count, scenario, seed, **values) for seed, count in enumerate(wrong)
    ]


def test_over_seeds_a_large_difference_is_clear(outcome):
    race = race_verdict(arm(outcome, "frozen", [60, 66, 63]) + arm(outcome, "finetuned", [12, 15, 14]))
    found = conclusion_of(race)

    assert (found.grade, found.more_seeds) == ("clearly", 0)
    assert found.headline == "Fine-tuned is clearly better than Frozen"
    assert found.numbers.startswith("Test accuracy (95 % interval): Fine-tuned 96.6 % (")
    assert found.numbers.endswith(" · 3 seeds, 400 test pictures")
    assert found.best == race.arms[1].experiment and found.advice == ""


def test_one_seed_is_never_clear_and_asks_for_more(outcome):
    found = conclusion_of(race_verdict(arm(outcome, "frozen", [60]) + arm(outcome, "finetuned", [12])))

    assert (found.grade, found.more_seeds) == ("probably", 2)
    assert found.headline == "Fine-tuned is probably better than Frozen"
    assert "about these trained models, not about the training strategy" in found.advice


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([40], "; of the trained models, that of Fine-tuned is better"),
        ([38, 38], "; of the trained models, those of Fine-tuned are better"),
        ([24], "; Fine-tuned is ahead"),
        ([22], ""),
    ],
    ids=["one model", "two models", "ahead", "equal"],
)
def test_what_one_or_two_models_show_is_not_said_of_their_strategies(outcome, wrong, said):
    """Another seed may well turn a difference of that size around."""
    race = race_verdict(arm(outcome, "frozen", wrong) + arm(outcome, "finetuned", [22] * len(wrong)))
    found = conclusion_of(race)

    assert race.pairs[0].better == ("of the trained models" in said)
    best, other = ("Fine-tuned", "Frozen") if said else ("Frozen", "Fine-tuned")
    assert (found.grade, found.headline) == ("undecided", f"Not decided yet between {best} and {other}{said}")


def test_where_one_has_fewer_seeds_the_shared_ones_count(outcome):
    race = race_verdict(arm(outcome, "frozen", [60, 62, 64]) + arm(outcome, "finetuned", [12]))
    assert conclusion_of(race).more_seeds == 2


def test_among_several_a_chance_counts_for_less(outcome):
    race = race_verdict(arm(outcome, "frozen", [40, 44, 30]) + arm(outcome, "finetuned", [30, 25, 41]))
    pair = replace(race.pairs[0], chances=Chances(above=0.02, inside=0.08, below=0.9))

    assert grade_of(pair) == "probably" and grade_of(replace(pair, tests=3)) == "undecided"
    assert grade_of(replace(pair, tests=3, chances=Chances(above=0.0, inside=0.05, below=0.95))) == "probably"


@pytest.mark.parametrize(("above", "grade"), [(PROBABLE, "probably"), (PROBABLE - 0.01, "undecided")])
def test_what_the_rules_leave_open_is_graded_by_its_chances(outcome, above, grade):
    race = race_verdict(arm(outcome, "frozen", [40, 44, 30]) + arm(outcome, "finetuned", [30, 25, 41]))
    assert race.pairs[0].outcome == "cannot-tell"
    pair = replace(race.pairs[0], chances=Chances(above=1 - above - 0.1, inside=0.1, below=above))
    found = conclusion_of(replace(race, pairs=(pair,)))

    assert found.grade == grade and found.advice.startswith("Of this uncertainty")


def test_practically_the_same(outcome):
    found = conclusion_of(race_verdict(arm(outcome, "frozen", [20, 20, 21]) + arm(outcome, "finetuned", [20, 21, 20])))

    assert (found.grade, found.headline) == ("same", "Frozen is practically as accurate as Fine-tuned")


def test_several_are_told_in_one_sentence_and_the_grade_is_the_least_founded(outcome):
    runs = arm(outcome, "frozen", [31, 33, 29]) + arm(outcome, "finetuned", [30, 26, 29])
    found = conclusion_of(race_verdict(runs + arm(outcome, "scratch", [140, 150, 146])))

    assert found.headline == "Fine-tuned is clearly better than From scratch; against Frozen it is not decided yet"
    assert found.grade == "undecided" and found.more_seeds > 0


def test_what_cannot_be_compared_says_why(outcome):
    other = outcome("R" * PICTURES, "finetuned", changed={"fingerprint": "other"})
    found = conclusion_of(race_verdict([*arm(outcome, "frozen", [12]), other]))

    assert found.grade == "not-comparable"
    assert found.advice == "They were trained on different data sets."


def test_one_alone_says_its_accuracy(outcome):
    found = conclusion_of(race_verdict(arm(outcome, "frozen", [20])))
    assert (found.grade, found.headline) == ("single", "Frozen: 95.0 % test accuracy")
