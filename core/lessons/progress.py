"""What a learner has predicted, and what came out: kept in the home folder, so that lessons can be gone on with.

A prediction is locked before anything is run, and stands beside what came out: whoever only watches an experiment
learns no more from it than from none, whoever predicts first does (Crouch, Fagen, Callan and Mazur 2004, American
Journal of Physics 72, 835-838). No torch.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Final

from core.comparison.experiments import experiment_key
from core.comparison.race_verdict import race_verdict
from core.comparison.wording import per_cent, points
from core.data.ingest import Ingested
from core.errors import SettingsError
from core.home import one_at_a_time, thaw_home, write_atomically
from core.lessons.table import Question, get_question, questions
from core.records import read_json
from core.runs.life import Identity
from core.runs.race import submit
from core.runs.results import load_outcome
from core.runs.store import Run, RunStore
from core.settings.recipes import changed, get_recipe
from core.settings.schema import RunSettings

FILE: Final = "lessons.json"
SEEDS: Final = (0, 1, 2)
"""Each experiment of a lesson is trained with these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A locked prediction, and how it is being found out."""

    question: str
    predicted: str
    """Name of the option."""
    locked: float
    """Seconds since 1970."""
    race: str = ""
    """The race that finds it out; empty where it is no race, or none was started."""
    came_out: str = ""
    """Name of the option that is true; empty while that is not known."""
    said: str = ""
    """The numbers, in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    version: int = 1
    answers: tuple[Answer, ...] = ()


def answers() -> dict[str, Answer]:
    """What has been predicted, by question; of questions that there are no more, nothing."""
    path = thaw_home() / FILE
    with suppress(OSError, ValueError, RecursionError):
        return {one.question: one for one in read_json(path.read_bytes(), _Kept).answers if one.question in questions()}
    return {}


def predict(question: Question, option: str) -> Answer:
    """Lock a prediction.

    Raises:
        SettingsError: there is no such option, or another one is locked already.
    """
    wanted = question.option(option).name
    with one_at_a_time("lessons", lambda: None):
        here = answers().get(question.name)
        if here is not None and here.predicted != wanted:
            raise SettingsError(
                f"Your prediction is locked: {question.option(here.predicted).label}. Start the question again first."
            )
        if here is None:
            here = Answer(question=question.name, predicted=wanted, locked=time.time())
            _write({**answers(), question.name: here})
    return here


def start_again(question: Question) -> None:
    """Give up a prediction and what came out; runs stay."""
    with one_at_a_time("lessons", lambda: None):
        _write({name: one for name, one in answers().items() if name != question.name})


def plans_of(question: Question, dataset_id: str) -> list[RunSettings]:
    """The runs that find it out, seed by seed."""
    plain = RunSettings()
    base = get_recipe(question.recipe).apply(replace(plain, data=replace(plain.data, dataset=dataset_id)))
    return [replace(changed(base, arm), seed=seed) for seed in SEEDS for arm in question.arms]


def find_out(
    store: RunStore, answer: Answer, ingested: Ingested | None = None, owner: Identity | None = None
) -> Answer:
    """Run what a locked prediction is about: lines at once, a race by queueing it.

    Args:
        ingested: what a race is about; lines need none.
        owner: the process that a race is to end with, if it does.

    Raises:
        SettingsError, DatasetError: the race cannot run, see `core.runs.race.submit`.
    """
    question = get_question(answer.question)
    if ingested is None:
        from core.lessons.live import look  # it brings torch

        seen = look(question.live)
        return _keep(replace(answer, came_out=seen.option, said=seen.said))
    ids = submit(store, plans_of(question, ingested.dataset.id), ingested, as_race=True, owner=owner)
    return _keep(replace(answer, race=str(store.get(ids[0]).race)))


def looked_up(store: RunStore, answer: Answer) -> Answer:
    """The answer with what came out, if that is known by now; it is written down when it is.

    A race counts when each of its runs has finished: fewer would be another question.
    """
    question = get_question(answer.question)
    if answer.came_out or not answer.race:
        return answer
    runs = store.runs(race=answer.race)
    if len(finished_of(runs)) < len(SEEDS) * len(question.arms):
        return answer
    option, said = _came_out(question, runs)
    return _keep(replace(answer, came_out=option, said=said))


def finished_of(runs: Sequence[Run]) -> list[Run]:
    """Those runs of a race that the question is about and that have finished; more seeds may have been added."""
    return [run for run in runs if run.state == "finished" and run.settings.seed in SEEDS]


def _came_out(question: Question, runs: Sequence[Run]) -> tuple[str, str]:
    """Which option holds, and the lead of the last experiment over the first one."""
    verdict = race_verdict([load_outcome(run.id) for run in finished_of(runs)])
    planned = plans_of(question, runs[0].settings.data.dataset)[: len(question.arms)]
    arms = {arm.experiment: arm for arm in verdict.arms}
    first, *_, last = [arms[experiment_key(plan)] for plan in planned]
    lead = last.mean - first.mean
    option = next(option for option in question.options if lead > option.above)
    said = "; ".join(f"{arm.label}: {per_cent(arm.mean)}" for arm in (last, first))
    return option.name, f"Test accuracy: {said}. Difference: {points(abs(lead))}."


def _keep(answer: Answer) -> Answer:
    """Write an answer down, unless its prediction was given up meanwhile."""
    with one_at_a_time("lessons", lambda: None):
        here = answers()
        if answer.question in here and here[answer.question].locked == answer.locked:
            _write({**here, answer.question: answer})
    return answer


def _write(found: dict[str, Answer]) -> None:
    kept = _Kept(answers=tuple(found.values()))
    write_atomically(thaw_home() / FILE, json.dumps(asdict(kept), indent=1).encode())
