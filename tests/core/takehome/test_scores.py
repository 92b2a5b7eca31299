"""Scores that go home with a run are those of the pages, groups and all."""

from dataclasses import replace

import pytest

from core.comparison.arms import summary_of_arm
from core.runs.record import load_record
from core.runs.results import load_outcome
from core.takehome.card import card
from core.takehome.scores import scores_of


@pytest.mark.parametrize("each", [0, 2, 3], ids=["no groups", "pairs", "threes"])
def test_the_interval_is_the_one_on_the_pages(finished_race, each: int):
    run = finished_race.run("frozen")
    record, outcome = load_record(run), load_outcome(run)
    names = tuple(f"{place // each}" for place in range(len(record.test_names))) if each else ()
    arm = summary_of_arm({0: replace(outcome, groups=names)})
    record = replace(record, test_groups=names)

    whole, classes = scores_of(record)

    assert whole.right / whole.total == pytest.approx(arm.mean)
    assert (whole.interval.low, whole.interval.high) == pytest.approx((arm.interval.low, arm.interval.high))
    assert sum(one.right for one in classes) == whole.right and sum(one.total for one in classes) == whole.total
    assert f"| all | {whole.right} of {whole.total} | {100 * arm.mean:.1f} % ({whole.ends}) |" in card(record, False)
    assert f"intervals for new {'groups of ' if each else ''}pictures)" in card(record, False)
