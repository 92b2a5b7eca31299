"""What stands around the questions: how many were predicted, and where a reference's own steps are."""

from collections.abc import Mapping

import streamlit as st

from core.comparison.wording import counted
from core.lessons.progress import Answer
from core.lessons.table import Lesson, lessons, questions


def progress_line(here: Mapping[str, Answer]) -> str:
    """How far one has come, in a sentence."""
    known = [one for one in here.values() if one.came_out]
    if not known:
        number = f"{counted(len(questions()), 'question')} in {counted(len(lessons()), 'lesson')}"
        return f"**Predict first, then see what comes out.** {number}."
    right = sum(one.came_out == one.predicted for one in known)
    return f"**{len(known)} of {counted(len(questions()), 'question')} answered, {right} as you predicted.**"


def steps_of(lesson: Lesson) -> None:
    """The reference's own steps, each with the way to the page that has it."""
    with st.expander("Its steps, and where they are in Thaw", icon=":material/checklist:"):
        for step, page in lesson.steps:
            st.page_link(f"{page}.py", label=step, icon=":material/arrow_forward:")
