"""A race to take home: python -m pytest tests/core/comparison/test_race_report.py"""

import csv
import io
from dataclasses import replace

import pytest

from core.comparison.race_report import race_as_csv, race_as_markdown
from core.comparison.race_verdict import race_verdict


def race_of(outcome, seeds: int):
    wrong = {"frozen": (40, 43, 41), "finetuned": (8, 6, 7), "scratch": (90, 93, 88)}
    return race_verdict(
        [
            outcome("R" * (200 - count) + "W" * count, name, seed)
            for name, counts in wrong.items()
            for seed, count in enumerate(counts[:seeds])
        ]
    )


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_the_table_has_a_row_per_pair_with_the_verdicts_own_numbers(outcome, seeds):
    race = race_of(outcome, seeds)
    rows = list(csv.DictReader(io.StringIO(race_as_csv(race))))

    assert [(row["first"], row["second"]) for row in rows] == [(pair.label_a, pair.label_b) for pair in race.pairs]
    for row, pair in zip(rows, race.pairs, strict=True):
        assert (float(row["gap"]), float(row["p Holm"]), row["verdict"]) == (pair.gap, pair.p_holm, pair.outcome)
        assert row["low"] == ("" if pair.interval is None else str(pair.interval.low))
        assert (row["above"] == "") == (seeds < 3)
        assert len(row["by seed"].split()) == seeds


def test_the_report_says_everything_that_the_page_says(outcome):
    race = race_of(outcome, 3)
    report = race_as_markdown(race)

    assert race.sentence in report
    assert all(pair.sentence in report for pair in race.pairs)
    assert report.count("for new seeds and new pictures") == 3  # an interval for every scenario
    assert "| Frozen minus Fine-tuned | -17.2 |" in report and "second is better" in report
    assert "log-loss" in report and "Obuchowski and Rockette" in report


def test_the_small_print_says_whether_it_is_about_other_subjects(outcome):
    runs = [outcome("RRRW" * 5, name, seed) for name in ("frozen", "finetuned") for seed in range(3)]
    grouped = [replace(run, groups=tuple(str(place // 2) for place in range(20))) for run in runs]

    assert "not other subjects" in race_as_markdown(race_verdict(runs))
    assert "other groups of the same kind" in race_as_markdown(race_verdict(grouped))


def test_a_race_that_cannot_be_compared_is_reported_without_numbers(outcome):
    race = race_verdict([outcome("RRRW", "frozen", 0), outcome("RRRR", "finetuned", 1)])

    assert "They have no seed in common." in race_as_markdown(race)
    (row,) = csv.DictReader(io.StringIO(race_as_csv(race)))
    assert (row["gap"], row["verdict"]) == ("", "not-comparable")
