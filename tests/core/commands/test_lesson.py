"""`lesson`: a question is predicted, found out and told."""

from helpers import Asked, Refused

from core.__main__ import main
from core.lessons.table import questions


def test_all_questions_are_listed_with_what_was_predicted(asked: Asked, capsys):
    asked("lesson", "out-features", "--predict", "two")

    rows = {row["question"]: row for row in asked("lesson")["questions"]}
    assert list(rows) == list(questions())
    assert rows["out-features"]["answer"]["came_out"] == "thousand"
    assert rows["finetune-or-freeze"]["answer"] is None
    assert main(["lesson"]) == 0
    assert capsys.readouterr().out.count("\n") == len(rows)


def test_a_prediction_is_locked_and_set_beside_what_came_out(asked: Asked, refused: Refused, capsys):
    assert "Say what you expect with --predict: " in refused("lesson", "out-features")

    told = asked("lesson", "out-features", "--predict", "two")
    assert (told["predicted"], told["came_out"], told["as_predicted"]) == ("two", "thousand", False)
    assert asked("lesson", "out-features") == told, "what is known is not run again"
    assert main(["lesson", "out-features"]) == 0
    assert "\nYou predicted: 2\nIt came out: " in capsys.readouterr().out

    assert "Your prediction is locked: 2" in refused("lesson", "out-features", "--predict", "thousand")
    assert asked("lesson", "out-features", "--again", "--predict", "thousand")["as_predicted"]
