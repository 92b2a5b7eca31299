"""Learn: what the field's tutorials teach, as questions: a prediction first, then the experiment, then both."""

import streamlit as st
from components import chosen
from components.kept import keep
from components.learn.question import ask
from components.learn.shown import progress_line, steps_of
from components.messages import LONGEST_MESSAGE, md

from core.lessons.progress import answers
from core.lessons.table import lessons

READABLE = 860  # pixels: of longer lines the eye loses the next

st.title("Learn")
dataset = chosen.dataset()
here, table = answers(), lessons()
st.markdown(progress_line(here))
names = list(table)
name = st.pills(
    "Lesson",
    names,
    key=keep("learn.lesson", names[0], names),
    format_func=lambda name: f"{names.index(name) + 1}. {table[name].title}",
    required=True,
    label_visibility="collapsed",
)
lesson = table[name or names[0]]
with st.container(key=f"lesson-{lesson.name}"):
    with st.container(width=READABLE):
        st.markdown(f"{md(lesson.about, LONGEST_MESSAGE)} [{md(lesson.reference)}]({lesson.url})")
        steps_of(lesson)
    for question in lesson.question:
        ask(question, here.get(question.name), dataset)
