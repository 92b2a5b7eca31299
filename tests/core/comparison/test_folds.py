"""Runs of all folds are gathered as one in which every picture was tested once."""

from dataclasses import replace

import numpy as np
import pytest

from core.comparison.folds import gather_folds, question
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
