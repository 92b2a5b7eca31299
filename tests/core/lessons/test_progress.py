"""Predictions are locked before anything runs, kept, and set beside what came out."""

from dataclasses import replace

import pytest

from core.data.ingest import Ingested
from core.errors import SettingsError
from core.lessons import progress
from core.lessons.progress import answers, find_out, looked_up, plans_of, predict, start_again
from core.lessons.table import get_question
from core.runs.store import RunStore

RACE, LINES = get_question("finetune-or-freeze"), get_question("out-features")


@pytest.fixture
def raced(tiny_dataset, thaw_home):
    """A race of the question, queued by a locked prediction."""
    return find_out(RunStore(), predict(RACE, "same"), Ingested(dataset=tiny_dataset, decode_s=0.0))


def test_a_prediction_is_locked_until_the_question_is_started_again(thaw_home):
    first = predict(LINES, "two")

    assert predict(LINES, "two") == first == answers()["out-features"]
    with pytest.raises(SettingsError, match="Your prediction is locked: 2"):
        predict(LINES, "error")
    start_again(LINES)
    assert answers() == {}
    assert predict(LINES, "error").predicted == "error"


def test_lines_are_run_at_once_and_what_came_out_is_kept(thaw_home):
    answer = find_out(RunStore(), predict(LINES, "two"))

    assert (answer.predicted, answer.came_out) == ("two", "thousand")
    assert answers()["out-features"] == answer


def test_a_race_is_queued_as_planned(raced, tiny_dataset):
    runs = RunStore().runs(race=raced.race)

    assert sorted(run.settings.seed for run in runs) == [0, 0, 1, 1, 2, 2]
    assert {run.settings for run in runs} == {*plans_of(RACE, tiny_dataset.id)}
    assert looked_up(RunStore(), raced) == raced and not raced.came_out, "nothing has finished"


def test_a_prediction_that_was_given_up_meanwhile_stays_given_up(raced):
    start_again(RACE)
    progress._keep(replace(raced, came_out="same"))

    assert answers() == {}


def test_a_damaged_file_is_no_error_and_a_later_version_s_questions_are_left_alone(thaw_home):
    (thaw_home / progress.FILE).write_text('{"version": 1, "answers": [{"question"')
    assert answers() == {}
    assert predict(LINES, "two").predicted == "two"
