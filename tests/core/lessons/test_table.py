"""The table of lessons: whole, and true to the pages and settings it names."""

import pytest
from helpers import REPOSITORY

from core.errors import SettingsError
from core.lessons.live import LIVE
from core.lessons.progress import SEEDS, plans_of
from core.lessons.table import get_question, lessons, questions


def test_there_is_a_lesson_for_each_reference_and_each_asks_something():
    assert len(lessons()) == 5
    assert all(lesson.question and lesson.steps for lesson in lessons().values())
    assert len(questions()) == sum(len(lesson.question) for lesson in lessons().values()), "names differ"


def test_every_step_is_on_a_page():
    named = {page for lesson in lessons().values() for _, page in lesson.steps}

    assert {page for page in named if not (REPOSITORY / "pages" / f"{page}.py").is_file()} == set()


@pytest.mark.parametrize("question", questions().values(), ids=lambda question: question.name)
def test_a_question_is_found_out_by_lines_or_by_a_race(question):
    if question.live:
        assert question.live in LIVE and not question.arms
        return
    plans = plans_of(question, "builtin")
    assert len({*plans}) == len(plans) == len(question.arms) * len(SEEDS) == 6
    least = [option.above for option in question.options]
    assert least == sorted(least, reverse=True) and least[-1] == -1, "one of them always holds"


def test_what_there_is_not_is_said_with_what_there_is():
    with pytest.raises(SettingsError, match="no question 'why'; choose one of: finetune-or-freeze"):
        get_question("why")
    with pytest.raises(SettingsError, match="choose one of: finetuned, same, frozen"):
        get_question("finetune-or-freeze").option("both")
