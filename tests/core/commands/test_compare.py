"""`compare`: a verdict over two runs or a race, as text, a report or a table."""

import pytest
from helpers import Asked, FinishedRace, Refused

from core.__main__ import main
from core.comparison.experiments import experiment_key
from core.runs.example import example_runs
from core.runs.store import RunStore
from core.settings.schema import RunSettings


def test_compare_gives_a_verdict(asked: Asked, finished_race: FinishedRace):
    values = asked("compare", finished_race.run("frozen"), finished_race.run("finetuned"))

    assert values["verdict"] == values["outcome"]
    assert values["sentence"] and values["conclusion"]["headline"]


def test_experiments_stand_for_their_runs_and_the_conclusion_comes_first(
    asked: Asked, finished_race: FinishedRace, capsys: pytest.CaptureFixture[str]
):
    runs = [finished_race.run("frozen"), finished_race.run("finetuned")]
    keys = [experiment_key(RunStore().get(run).settings) for run in runs]

    assert asked("compare", *keys) == asked("compare", *runs)
    assert main(["compare", *keys]) == 0
    assert capsys.readouterr().out.startswith(asked("compare", *keys)["conclusion"]["headline"])


def test_a_comparison_is_printed_as_a_report_or_a_table_of_pictures(finished_race, capsys: pytest.CaptureFixture[str]):
    runs = [run["run"] for run in finished_race.values["runs"]]

    assert main(["compare", *runs, "--report", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# Frozen against Fine-tuned")
    assert main(["compare", *runs, "--report", "csv"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("picture,true,A says")
    assert len(lines) - 1 == finished_race.values["runs"][0]["split"]["test"]


def test_a_race_is_printed_as_a_report_or_a_table_of_pairs(asked: Asked, capsys: pytest.CaptureFixture[str]):
    recorded = [run.id for run in example_runs()]
    verdict = asked("compare", *recorded)

    assert main(["compare", *recorded, "--report", "markdown"]) == 0
    printed = capsys.readouterr().out
    assert verdict["sentence"] in printed
    assert printed.index(verdict["conclusion"]["headline"]) < printed.index(verdict["sentence"])
    assert main(["compare", *recorded, "--report", "csv"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 1 + len(verdict["pairs"]) and lines[0].startswith("first,second,seeds")
    assert main(["compare", *recorded]) == 0
    assert capsys.readouterr().out.count("for new seeds and new pictures") == len(verdict["arms"])


def test_a_run_that_has_not_finished_cannot_be_used(refused: Refused):
    (run,) = RunStore().submit([RunSettings()], "pictures")

    assert f"The run {run} is queued; only finished runs can be used" in refused("classify", run, "x.jpg")
    assert "is queued" in refused("compare", run, run)


def test_a_run_is_not_compared_with_itself(refused: Refused):
    first, second, *_ = [run.id for run in example_runs()]

    for runs in ([first, first], [first, second, first]):
        assert f"The run {first} is named twice; a run cannot be compared with itself." in refused("compare", *runs)
