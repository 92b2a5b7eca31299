"""One question: it is predicted, the prediction is locked, the experiment runs, and both stand side by side."""

from collections.abc import Sequence

import streamlit as st

from core.comparison.conclusion import conclusion_of
from core.comparison.wording import counted
from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.errors import ThawError
from core.lessons.progress import Answer, find_out, finished_of, looked_up, plans_of, predict, start_again
from core.lessons.table import Question
from core.runs.experiments import experiments_of
from core.runs.record import load_record
from core.runs.store import Run

from .. import chosen
from ..messages import LONGEST_MESSAGE, md, show_error
from ..planning import estimate_run
from ..progress import explain_end, live
from ..resources import run_store
from ..verdicts import race_verdict_of
from ..wording import rough_time


def ask(question: Question, answer: Answer | None, dataset: Dataset) -> None:
    """Draw a question as far as it has come."""
    with st.container(border=True, key=f"learn-{question.name}"):
        st.header(md(question.ask, LONGEST_MESSAGE), anchor=False)
        answer = looked_up(run_store(), answer) if answer else None
        runs = run_store().runs(race=answer.race) if answer and answer.race else []
        if answer is None:
            _predict(question, dataset)
        elif answer.came_out:
            _both(question, answer, runs)
        elif any(run.is_active for run in runs):
            _locked(question, answer)
            live([run.id for run in runs], f"learn.{question.name}.live")
        else:
            _locked(question, answer)
            _not_run(question, answer, runs, dataset)


def _predict(question: Question, dataset: Dataset) -> None:
    labels = {option.name: option.label for option in question.options}
    option = st.radio(
        "Your prediction",
        list(labels),
        index=None,
        format_func=lambda name: md(labels[name]),
        key=f"learn.{question.name}.prediction",
    )
    ready = bool(question.live) or chosen.can_train(dataset)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Lock it and run",
            type="primary",
            icon=":material/lock:",
            disabled=option is None or not ready,
            key=f"learn.{question.name}.lock",
            on_click=_lock_and_run,
            args=(question, option, dataset),
        )
        st.caption(_what_it_takes(question, dataset) if ready else "")


def _what_it_takes(question: Question, dataset: Dataset) -> str:
    if question.live:
        return ":material/bolt: a few lines, at once"
    known = [estimate_run(plan, dataset) for plan in plans_of(question, dataset.id)]
    about = f"{len(known)} runs on {md(dataset.title)}"
    time = rough_time(sum(one.seconds for one in known if one)) if all(known) else "no time known before the first run"
    return f":material/timer: {about}, {time}"


def _lock_and_run(question: Question, option: str, dataset: Dataset) -> None:
    try:
        answer = predict(question, option)
        find_out(run_store(), answer, None if question.live else Ingested(dataset=dataset, decode_s=0.0))
    except ThawError as error:
        show_error(error)


def _locked(question: Question, answer: Answer) -> None:
    st.markdown(f":material/lock: You predicted: **{md(question.option(answer.predicted).label)}**")


def _not_run(question: Question, answer: Answer, runs: Sequence[Run], dataset: Dataset) -> None:
    """It was stopped, failed or deleted: the prediction stays, and it can be run again."""
    failed = [run for run in runs if run.state == "failed"][:1]
    for run in failed:
        explain_end(run)
    if runs and not failed:
        done = counted(len(finished_of(runs)), "run")
        st.caption(f":material/stop_circle: Stopped with {done} of {len(runs)} finished.")
    if not runs and answer.race:
        st.caption(":material/delete: Its runs were deleted.")
    with st.container(horizontal=True):
        args = (question, answer.predicted, dataset)
        st.button("Run it", type="primary", on_click=_lock_and_run, args=args, key=f"learn.{question.name}.run")
        _again(question)


def _both(question: Question, answer: Answer, runs: Sequence[Run]) -> None:
    """Prediction and outcome side by side, what to take away, the evidence and the code folded."""
    predicted, came_out = question.option(answer.predicted), question.option(answer.came_out)
    as_predicted = predicted == came_out
    word = "as you predicted" if as_predicted else "not as you predicted"
    colour, icon = ("green", ":material/check:") if as_predicted else ("orange", ":material/lightbulb:")
    st.badge(word, icon=icon, color=colour)  # type: ignore[arg-type]
    left, right = st.columns(2)
    left.markdown(f"Predicted  \n**{md(predicted.label)}**")
    right.markdown(f"Came out  \n**{md(came_out.label)}**")
    st.markdown(md(answer.said, LONGEST_MESSAGE))
    st.markdown(f":material/school: {md(question.learned, LONGEST_MESSAGE)}")
    if question.source:
        source = md(question.source, LONGEST_MESSAGE)
        st.caption(f"[{source}]({question.source_url})" if question.source_url else source)
    _evidence(question, runs)
    _again(question)


def _again(question: Question) -> None:
    st.button(
        "Predict anew",
        type="tertiary",
        icon=":material/replay:",
        key=f"learn.{question.name}.again",
        help="Gives up the prediction and what came out. Runs stay.",
        on_click=start_again,
        args=(question,),
    )


def _evidence(question: Question, runs: Sequence[Run]) -> None:
    """How sure it is, for a race, and the plain PyTorch that did it."""
    finished = finished_of(runs)
    if len(experiments_of(finished)) > 1:
        _how_sure(finished)
    if not question.live and not finished:
        st.caption(":material/delete: Its runs were deleted; what came out stands.")
        return
    code = st.expander(
        "The PyTorch that did it", icon=":material/code:", key=f"learn.{question.name}.code", on_change="rerun"
    )
    if code.open:
        with code:
            st.code(_code(question, finished), language="python")


def _how_sure(finished: Sequence[Run]) -> None:
    """What the rules of a comparison say about the same runs, which may be that nothing is decided."""
    ids = [run.id for run in finished]
    st.markdown(f":material/balance: {md(conclusion_of(race_verdict_of(ids)).headline, LONGEST_MESSAGE)}")
    st.page_link(
        "compare.py", label="Compare in detail", icon=":material/balance:", query_params={"runs": ",".join(ids)}
    )


def _code(question: Question, finished: Sequence[Run]) -> str:
    """The lines themselves; of a race, the script of its last experiment's first run."""
    if question.live:
        from core.lessons.live import code_of

        return code_of(question.live)
    from core.takehome.training_script import training_script

    return training_script(load_record(finished[-1].id))
