"""The lessons there are: a table that pages, the command line and the experiments read. No torch."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from core.errors import SettingsError
from core.records import typed

TABLE: Final = Path(__file__).with_name("lessons.toml")
Value = str | int | float


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """An answer that can be predicted."""

    name: str
    label: str
    above: float = -1.0
    """Of a race: the last experiment's mean test accuracy is ahead of the first one's by more than this fraction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is predicted, and how it is found out: by a race, or by a few lines that run at once."""

    name: str
    ask: str
    options: tuple[Option, ...]
    """Of a race: that with the largest lead first; the first one that holds is true."""
    learned: str
    """What to take away, whatever came out."""
    source: str = ""
    """Where what is claimed beyond that comes from."""
    source_url: str = ""
    live: str = ""
    """A name in `core.lessons.live.LIVE`; empty where it is a race."""
    arms: tuple[Mapping[str, Value], ...] = ()
    """What each experiment of a race changes, `part.field` -> value; the first one is what the others are held to."""
    recipe: str = ""
    """The recipe that the race's experiments share."""

    def option(self, name: str) -> Option:
        """The answer of this name.

        Raises:
            SettingsError: there is none; the message lists those there are.
        """
        found = next((option for option in self.options if option.name == name), None)
        if found is None:
            known = ", ".join(option.name for option in self.options)
            raise SettingsError(f"The prediction is {name!r}; choose one of: {known}.")
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What one of the field's tutorials teaches."""

    name: str
    title: str
    reference: str
    url: str
    about: str
    steps: tuple[tuple[str, str], ...]
    """The reference's own steps, and the page that has each of them: the last part of its address."""
    question: tuple[Question, ...]


@cache
def lessons() -> dict[str, Lesson]:
    """All of them by name, in their order."""
    found = typed(tomllib.loads(TABLE.read_text("utf-8"))["lesson"], tuple[Lesson, ...])
    return {lesson.name: lesson for lesson in found}


@cache
def questions() -> dict[str, Question]:
    """Those of all lessons by name, in their order."""
    return {question.name: question for lesson in lessons().values() for question in lesson.question}


def get_question(name: str) -> Question:
    """The question called `name`.

    Raises:
        SettingsError: there is none; the message lists those there are.
    """
    if name not in questions():
        raise SettingsError(f"There is no question {name!r}; choose one of: {', '.join(questions())}.")
    return questions()[name]
