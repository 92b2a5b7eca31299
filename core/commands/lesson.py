"""`lesson`: a question of the field's tutorials: a prediction, locked; then the experiment; then both side by side."""

from dataclasses import asdict
from typing import Any

from core.commands.command import Commands, Result, Say, progress_of
from core.commands.data import bring
from core.commands.options import DATA_HELP
from core.commands.runs import finished
from core.commands.train import train_all
from core.data.reading.layout import AUTO
from core.data.sources import BUILTIN
from core.errors import SettingsError
from core.lessons.progress import Answer, answers, find_out, looked_up, predict, start_again
from core.lessons.table import Question, get_question, lessons
from core.runs.life import identity
from core.runs.store import RunStore


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add(
        "lesson",
        "Predict what an experiment will show, run it, and see both; without a question: list them.",
        lambda a: lesson(a.question, a.predict, a.data, a.again, progress_of(a)),
    )
    command.add_argument("question", nargs="?", help="the name of a question")
    command.add_argument("--predict", metavar="OPTION", help="what you expect; it is locked before anything runs")
    command.add_argument("--data", default=BUILTIN, metavar="D", help=f"of a race: {DATA_HELP}")
    command.add_argument("--again", action="store_true", help="give up an earlier prediction first")


def lesson(name: str | None, option: str | None, where: str, again: bool, say: Say) -> Result:
    """The questions there are; or one, predicted, run and compared."""
    if name is None and (option is not None or again):
        raise SettingsError("--predict and --again are of one question: name it; without them `lesson` lists all.")
    if name is None:
        return _listed()
    question = get_question(name)
    if again:
        start_again(question)
    here = answers().get(name)
    if option is None and here is None:
        raise SettingsError(
            f"{question.ask} Say what you expect with --predict: "
            + ", ".join(f"{one.name} ({one.label})" for one in question.options)
        )
    answer = predict(question, option) if option else here
    assert answer is not None
    answer = looked_up(RunStore(), answer)
    return _told(question, answer if answer.came_out else _found_out(question, answer, where, say))


def _found_out(question: Question, answer: Answer, where: str, say: Say) -> Answer:
    """Run it here; a race that is at work is waited for, one that was stopped is run anew."""
    store = RunStore()
    if question.live:
        return find_out(store, answer)
    if not (answer.race and any(run.is_active for run in store.runs(race=answer.race))):
        answer = find_out(store, answer, bring(where, AUTO, None), identity())
    for run in train_all(store, [run.id for run in store.runs(race=answer.race)], say):
        finished(run)
    return looked_up(store, answer)


def _told(question: Question, answer: Answer) -> Result:
    predicted, came_out = question.option(answer.predicted), question.option(answer.came_out)
    values: dict[str, Any] = {**asdict(answer), "as_predicted": predicted == came_out, "learned": question.learned}
    lines = [
        question.ask,
        f"You predicted: {predicted.label}",
        f"It came out: {came_out.label}",
        answer.said,
        question.learned,
        " ".join(filter(None, (question.source, question.source_url))),
    ]
    return values, "\n".join(filter(None, lines))


def _listed() -> Result:
    here = answers()
    rows = [
        {
            "lesson": lesson.name,
            "question": question.name,
            "ask": question.ask,
            "options": {option.name: option.label for option in question.options},
            "answer": asdict(here[question.name]) if question.name in here else None,
        }
        for lesson in lessons().values()
        for question in lesson.question
    ]
    lines = [f"{row['question']:20}{row['ask']}" for row in rows]
    return {"questions": rows}, "\n".join(lines)
