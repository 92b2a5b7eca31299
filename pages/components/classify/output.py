"""The right side of Classify: the answer, what can be done next, and what it rests on."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from core.runs.record import RunRecord
from core.runs.store import Run

from .. import chosen
from ..resources import run_record
from .answer_cards import NOTHING, PER_PAGE, Speaker, in_order, show_answers
from .answers import Answer, InputPicture, answers
from .explanations import Explanations, show_explanations, show_legend, wanted_explanations
from .export import export_model
from .networks import Network, choose_second, network_of, run_name
from .numbers import show_numbers
from .options import Options
from .uncertainty import UncertaintyRules, is_known, uncertainty_rules, wait_until_known

_STEPS: Final = {"why": "See why", "second": "Compare networks", "export": "Export model"}


def show_output(asked: Sequence[InputPicture], run: Run, networks: Sequence[Network], options: Options) -> None:
    """What the run says about the pictures, and beside it a second one where that is wanted.

    The answer stands there as soon as there is one; that it is none of these may be found a moment later.

    Raises:
        RunError: a run's files are missing or damaged.
    """
    place = st.container(key="classify.answer").empty()
    if not asked:
        place.container(border=True).markdown("The answer appears here.")
        return
    pager, below = st.container(), st.container()
    with place.container():
        given = answers([run], asked)
    with below:
        is_any = not all(one.unreadable for one in given)
        steps = _next_steps(networks) if is_any else []  # of nothing there is no why
        second = choose_second(networks, run) if "second" in steps else None
        wanted = wanted_explanations() if "why" in steps else NOTHING
        why = st.container()
        if "export" in steps:
            export_model(run)
    runs = [run, second] if second else [run]
    records = [run_record(chosen.home(), one.id) for one in runs]
    labels = [run_name(one, network_of(networks, one.id)) for one in runs]
    if second:
        with place.container():
            given = answers(runs, asked)
    if (options.detect or wanted.nearest) and not all(map(is_known, records)):
        speakers = _speakers(labels, records, uncertainty_rules(records, given, options.coverage, False))
        with place.container():
            show_answers(in_order(given, speakers)[:PER_PAGE], given, speakers, options.top)
            wait_until_known(records)
    speakers = _speakers(labels, records, uncertainty_rules(records, given, options.coverage, options.detect))
    answered = in_order(given, speakers)
    with pager:
        shown = _page_of(answered)
    with place.container():
        show_answers(shown, given, speakers, options.top, wanted)
    with why:
        _explain(answered, wanted, records)
    with below:
        _say_if_untested(asked, labels, records)
        show_numbers(given, speakers, options.detect)


def _next_steps(networks: Sequence[Network]) -> list[str]:
    several = sum(len(one.runs) for one in networks) > 1
    return st.pills(
        "Next",
        [step for step in _STEPS if several or step != "second"],
        selection_mode="multi",
        format_func=_STEPS.__getitem__,
        key="classify.next",
        label_visibility="collapsed",
        persist_state="session",
        wrap=True,
    )


def _speakers(labels: Sequence[str], records: Sequence[RunRecord], rules: Sequence[UncertaintyRules]) -> list[Speaker]:
    return [Speaker(label=a, record=b, rules=c) for a, b, c in zip(labels, records, rules, strict=True)]


def _page_of(answered: list[Answer]) -> list[Answer]:
    pages = -(-len(answered) // PER_PAGE)
    page = st.pagination(pages, key="classify.page_number") if pages > 1 else 1
    return answered[(page - 1) * PER_PAGE : page * PER_PAGE]


def _explain(answered: Sequence[Answer], wanted: Explanations, records: Sequence[RunRecord]) -> None:
    """How a heat map is read, and the only answer's reasons; those of several stand on their cards."""
    if wanted and len(answered) == 1:
        show_explanations(wanted, answered[0], records)
    if wanted.heat and answered:
        show_legend(len(records))


def _say_if_untested(asked: Sequence[InputPicture], labels: Sequence[str], records: Sequence[RunRecord]) -> None:
    """A test picture of the first run may be one that the second has learnt from."""
    if len(records) == 2:
        tested = records[1].test_contents
        if untested := sum(one.place is not None and one.content not in tested for one in asked):
            whole = f"was not tested on {untested} of these {len(asked)} and may have trained on some."
            st.caption(f"{labels[1]} {whole}")
