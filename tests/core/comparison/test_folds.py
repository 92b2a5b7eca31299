"""Runs of all folds are gathered as one in which every picture was tested once."""

from dataclasses import replace

import numpy as np
import pytest

from core.comparison.arms import arms_of, by_seed, summary_of_arm
from core.comparison.crossed import crossed_share
from core.comparison.folds import gather_folds, incomplete_seeds, question
from core.comparison.race_verdict import race_verdict
from core.comparison.race_wording import accuracy_interval
from core.comparison.statistics import wilson
from core.errors import RunError

ANSWERS = ("RRW", "RWR", "RRRR")


def folds(outcome, scenario="frozen", seed=0, answers=ANSWERS, **values):
    """A run for each fold; every picture of a fold has a name of its own."""
    return [
        outcome(
            text,
            scenario,
            seed,
            changed={
                "run": f"{scenario}-{seed}-{fold}",
                "pictures": tuple(f"{fold}/{place}" for place in range(len(text))),
                "split_hash": f"{seed}/{fold}",
                "lacks": (f"Fold {fold} lacks.",) if fold == 2 else (),
            },
            data__folds=len(answers),
            data__fold=fold,
            **values,
        )
        for fold, text in enumerate(answers, 1)
    ]


def test_every_picture_is_there_once_with_its_answer(outcome):
    runs = folds(outcome)

    (one,) = gather_folds(runs[::-1])

    assert one.pictures == tuple(picture for run in runs for picture in run.pictures)
    right = one.probabilities.argmax(axis=1) == one.targets
    assert "".join("R" if answer else "W" for answer in right) == "".join(ANSWERS)
    assert one.settings.data.folds == 3 and one.settings.data.fold is None
    assert one.duration_s == pytest.approx(sum(run.duration_s for run in runs))
    assert one.timings["train"] == pytest.approx(sum(run.timings["train"] for run in runs))
    assert one.lacks == ("Fold 2 lacks.",)


def test_scenarios_and_seeds_stay_apart_and_runs_without_folds_as_they_are(outcome):
    plain = outcome("RRRW", "scratch", 5)
    runs = [run for seed in (0, 1) for name in ("frozen", "finetuned") for run in folds(outcome, name, seed)]

    found = gather_folds([*runs, plain])

    assert [(one.settings.model.scenario, one.settings.seed) for one in found] == [
        ("frozen", 0),
        ("finetuned", 0),
        ("frozen", 1),
        ("finetuned", 1),
        ("scratch", 5),
    ]
    assert found[-1] is plain and len({one.split_hash for one in found[:4]}) == 2, "seeds divide differently"


def test_two_ways_of_training_over_the_same_folds_have_one_hash_and_the_same_pictures(outcome):
    a, b = gather_folds([*folds(outcome, "frozen"), *folds(outcome, "finetuned", answers=("WRR", "RRR", "RWRR"))])

    assert (a.split_hash, a.pictures) == (b.split_hash, b.pictures) and np.array_equal(a.targets, b.targets)


@pytest.mark.parametrize(
    ("kept", "says"),
    [([0, 2], "fold 2 of 3 is missing"), ([1], "fold 1 and 3 of 3 is missing"), ([0, 1, 2, 2], "there twice")],
)
def test_a_fold_that_is_missing_or_there_twice_is_named(outcome, kept, says):
    runs = folds(outcome)

    with pytest.raises(RunError, match=f"Frozen, seed 0: .*{says}, so not every picture was tested once"):
        gather_folds([runs[place] for place in kept])


def test_a_seed_that_lacks_a_fold_is_left_out_and_named_while_there_are_others(outcome):
    whole, partial, plain = folds(outcome, "frozen"), folds(outcome, "finetuned", seed=1)[:2], outcome("RRW", "scratch")
    runs = [*partial, *whole, plain]

    found = gather_folds(runs)

    assert [one.settings.model.scenario for one in found] == ["frozen", "scratch"]
    said = incomplete_seeds([run.settings for run in runs])
    assert said == ["Fine-tuned, seed 1 is left out: fold 3 of 3 is missing."]
    assert incomplete_seeds([run.settings for run in [*whole, plain]]) == []
    assert incomplete_seeds([run.settings for run in partial]) == [], "there is nothing else: then it is an error"


def test_a_run_over_folds_and_one_without_are_told_apart(outcome):
    runs = [*gather_folds(folds(outcome)), outcome("RRW")]

    assert list(arms_of(runs)) == ["Frozen (3 folds)", "Frozen (one test part)"]


@pytest.mark.parametrize(("groups", "units"), [((), "pictures"), (("a", "a", "b", "c"), "groups")])
@pytest.mark.parametrize("seeds", [1, 3])
def test_an_interval_says_what_it_holds_for_new_ones_of(outcome, groups: tuple[str, ...], units: str, seeds: int):
    arm = summary_of_arm({seed: replace(outcome("RRWR", seed=seed), groups=groups) for seed in range(seeds)})

    assert arm.units == units
    assert accuracy_interval(arm).endswith(f"new {units}")


def test_one_seed_over_folds_is_about_all_their_models(outcome):
    answers = ("RRW", "RWR", "WWRR")
    first, second = folds(outcome, "frozen"), folds(outcome, "finetuned", answers=answers)
    third = folds(outcome, "scratch", answers=answers)

    for runs in ([*first, *second], [*first, *second, *third]):
        said = race_verdict(gather_folds(runs)).sentence

        assert "With one seed over 3 folds this is about these 3 models of each, on pictures like these" in said
        assert "these trained models" not in said
    assert "this is about these trained models" in race_verdict([first[0], second[0]]).sentence, "one fold, one model"


def test_the_question_is_said_where_there_are_folds_and_only_there(outcome):
    assert "Over 3 folds every picture was tested once" in question(folds(outcome))
    assert "learns from 2 of 3 parts" in question(folds(outcome))
    assert question([outcome("RRW")]) == ""


def test_groups_of_all_folds_go_along(outcome):
    runs = folds(outcome)
    grouped = [
        replace(run, groups=tuple(f"{number}/{place // 2}" for place in range(len(run.pictures))))
        for number, run in enumerate(runs)
    ]

    (one,) = gather_folds(grouped)

    assert one.groups == ("0/0", "0/0", "0/1", "1/0", "1/0", "1/1", "2/0", "2/0", "2/1", "2/1")


def test_an_accuracy_over_folds_has_the_interval_of_as_many_test_pictures(outcome):
    """The form that benchmarks/truth.py found to hold the truth as often as it says."""
    answers = ("RRRRRRRRRW" * 4, "RRRRRRRRWW" * 4, "RRRRRRRRRR" * 4)
    runs = gather_folds([run for seed in range(3) for run in folds(outcome, seed=seed, answers=answers)])
    over = summary_of_arm({one.settings.seed: one for one in runs})

    assert over.mean == pytest.approx(0.9) and over.pictures == 120
    assert over.interval == crossed_share(by_seed(runs))


def test_one_seed_over_folds_and_one_fold_alone_have_wilson_s_interval(outcome):
    runs = folds(outcome, answers=("RRRRRRRRRW" * 4,) * 3)
    (one,) = gather_folds(runs)

    over, alone = summary_of_arm({0: one}), summary_of_arm({0: runs[0]})

    assert (over.interval.low, over.interval.high) == pytest.approx((wilson(108, 120).low, wilson(108, 120).high))
    assert accuracy_interval(over).endswith("for these models on new pictures")
    assert accuracy_interval(alone).endswith("for this model on new pictures")
    assert (alone.interval.low, alone.interval.high) == pytest.approx((wilson(36, 40).low, wilson(36, 40).high))
