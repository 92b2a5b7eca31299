"""Answers drawn: a card for each picture, where two runs are at odds first."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.runs.store import Run

from ..messages import md, plain
from ..wording import per_cent
from .answers import Answer
from .explanations import Explanations, show_explanations
from .uncertainty import UncertaintyRules, uncertainty_badges

PER_PAGE = 24
_MOST_NAMED = 20
NOTHING = Explanations()


def answer_cards(
    given: Sequence[Answer],
    runs: Sequence[Run],
    class_names: Sequence[Sequence[str]],
    top: int,
    rules: Sequence[UncertaintyRules] = (),
    wanted: Explanations = NOTHING,
) -> None:
    """A card per answered picture; with two runs of the same classes, disagreements first.

    Args:
        class_names: of the runs.
        top: how many classes are shown for each run.
        rules: of the runs; none are shown without.
        wanted: what is shown with each answer.
    """
    answered = [answer for answer in given if not answer.unreadable]
    _unreadable([answer for answer in given if answer.unreadable])
    comparable = len(runs) == 2 and set(class_names[0]) == set(class_names[1])
    if comparable and answered:
        odd = [answer for answer in answered if _at_odds(answer, class_names)]
        answered = odd + [answer for answer in answered if not _at_odds(answer, class_names)]
        st.markdown(
            f"The two runs disagree on **{len(odd)} of {len(answered)}** pictures{', shown first' if odd else ''}."
        )
    elif len(runs) == 2 and answered:
        st.caption("The two runs know different classes, so their answers cannot agree or disagree.")
    pages = -(-len(answered) // PER_PAGE)
    page = st.pagination(pages, key="classify.page") if pages > 1 else 1
    grid = st.grid(3 if len(runs) == 1 else 2, min_column_width=310, key="classify.answers")
    for answer in answered[(page - 1) * PER_PAGE : page * PER_PAGE]:
        with grid.cell(), st.container(border=True, height="stretch"):
            _card(answer, runs, class_names, top, comparable, rules)
            if wanted:
                show_explanations(wanted, answer, runs, class_names)


def _at_odds(answer: Answer, class_names: Sequence[Sequence[str]]) -> bool:
    first, second = (names[int(row.argmax())] for names, row in zip(class_names, answer.probabilities, strict=True))
    return first != second


def _unreadable(failed: Sequence[Answer]) -> None:
    if failed:
        lines = [f"- **{md(answer.picture.name)}** {md(answer.unreadable)}" for answer in failed[:_MOST_NAMED]]
        if len(failed) > _MOST_NAMED:
            lines.append(f"- and {len(failed) - _MOST_NAMED} more; the table below names them all")
        word = "1 file" if len(failed) == 1 else f"{len(failed)} files"
        st.warning("\n".join(lines), title=f"{word} could not be read", icon=":material/warning:")


def _card(
    answer: Answer,
    runs: Sequence[Run],
    class_names: Sequence[Sequence[str]],
    top: int,
    comparable: bool,
    rules: Sequence[UncertaintyRules],
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(answer.thumbnail, width=96, alt=plain(answer.picture.name))
        with st.container(gap="xxsmall", width="stretch"):
            st.markdown(f"**{md(answer.picture.name, 60)}**")
            if answer.picture.truth is not None:
                st.caption(f"true class: {md(answer.picture.truth)}")
            if comparable and _at_odds(answer, class_names):
                st.badge("disagree", icon=":material/call_split:", color="orange")
    columns = st.grid(len(runs), min_column_width=130)
    said = zip(runs, class_names, answer.probabilities, strict=True)
    for place, (run, names, row) in enumerate(said):
        with columns.cell(), st.container(gap="xsmall"):
            if len(runs) > 1:
                st.caption(f"#{run.number} {run.settings.model.row.label}")
            _guesses(names, row, top, answer.picture.truth)
            if rules:
                uncertainty_badges(rules[place], answer, place, names)


def _guesses(names: Sequence[str], row: np.ndarray, top: int, truth: str | None) -> None:
    order = np.argsort(-row, kind="stable")[:top]  # as core.inference.predictor orders them
    if truth in names:  # a network that does not know the true class could not be right
        right = names[order[0]] == truth
        st.badge(
            "right" if right else "wrong",
            icon=":material/check:" if right else ":material/close:",
            color="green" if right else "red",
        )
    for index in order:
        st.progress(float(row[index]), text=f"{md(names[index], 40)} {per_cent(row[index])}")
