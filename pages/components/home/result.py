"""What a race has shown, answer first; and the recorded race, for a page that has nothing to show yet."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

import streamlit as st

from core.comparison.conclusion import conclusion_of
from core.comparison.experiments import shared_settings
from core.comparison.wording import counted, points
from core.data.dataset import Dataset
from core.runs.example import showcase_runs
from core.runs.experiments import experiments_of, names_of
from core.runs.store import Run
from core.training.history import EpochRecord

from ..cards import cards, record, strategy_cards
from ..charts import accuracy_by_epoch
from ..conclusion import GRADES, show_conclusion
from ..messages import LONGEST_MESSAGE, md
from ..planning import start_again, stopped_for_good
from ..predictions import sample_pictures
from ..progress import explain_end
from ..results import result_charts
from ..suspects import suspects_line
from ..verdicts import differences_and_chances, pairs_in_words, race_verdict_of, say_what_folds_answer
from ..wording import age
from .race import on_these

SHOWN = 6  # test pictures


def show_result(runs: Sequence[Run], dataset: Dataset, gone: bool) -> None:
    """A race that has ended, however it did.

    Args:
        gone: its data set is not here any more.
    """
    finished = [run for run in runs if run.state == "finished"]
    _say_what_it_is_about(runs, dataset, gone)
    if finished:
        verdict = race_verdict_of([run.id for run in finished])
        show_conclusion(verdict, finished, "home.result", *_in_detail(finished))
    _say_what_is_missing(runs)
    if finished:
        say_what_folds_answer(finished)
        suspects_line(finished[0].settings.data.dataset, "home.suspects")
        _evidence(finished)


def _say_what_it_is_about(runs: Sequence[Run], dataset: Dataset, gone: bool) -> None:
    others = "" if on_these(runs, dataset) else f" · chosen now: {md(dataset.title)}"
    deleted = " · deleted since: their numbers stand, the pictures are not here any more" if gone else ""
    shared = shared_settings([one.settings for one in experiments_of(runs)])
    about = " · ".join(filter(None, [f"On **{md(runs[0].dataset_title)}**", md(shared), age(runs[0].created)]))
    st.markdown(f":material/photo_library: {about}{deleted or others}")


def _in_detail(finished: Sequence[Run]) -> list[Callable[[], object]]:
    """The way to all that the conclusion rests on, where there are several."""
    if len(experiments_of(finished)) < 2:
        return []
    return [
        partial(
            st.page_link,
            "compare.py",
            label="Compare in detail",
            icon=":material/balance:",
            query_params={"runs": ",".join(run.id for run in finished)},
        )
    ]


def _say_what_is_missing(runs: Sequence[Run]) -> None:
    """Runs that failed or were stopped, and the way back."""
    for run in runs:
        if run.state == "failed":
            explain_end(run)
    stopped = stopped_for_good(runs)
    if stopped:
        all_of_it, some = "This race was stopped; nothing of it", "Stopped: {} of {}; nothing of these"
        what = all_of_it if len(stopped) == len(runs) else some.format(len(stopped), counted(len(runs), "run"))
        why = next((f" {md(run.cause, LONGEST_MESSAGE)}" for run in stopped if run.cause), "")
        st.info(f"{what} was kept.{why}", icon=":material/stop_circle:")
        start_again(stopped)


def _evidence(finished: Sequence[Run]) -> None:
    """What the conclusion rests on: a few pictures open, the rest folded."""
    st.header("Test pictures")
    sample_pictures(finished, SHOWN, "home.pictures")
    several = len({(run.settings.seed, run.settings.data.fold) for run in finished}) > 1
    numbers = st.expander("Numbers and differences", icon=":material/bar_chart:", key="home.numbers", on_change="rerun")
    if numbers.open:
        with numbers:
            (strategy_cards if several else cards)(finished)
            if len(experiments_of(finished)) > 1:
                verdict = race_verdict_of([run.id for run in finished])
                differences_and_chances(verdict, "home.race")
                pairs_in_words(verdict)
    curves = st.expander("Curves and seconds", icon=":material/show_chart:", key="home.curves", on_change="rerun")
    if curves.open:
        with curves:
            result_charts(finished, "home.charts")


def show_recorded() -> None:
    """A race that we ran beforehand and that is decided: what the first one of one's own will look like."""
    runs = showcase_runs()
    verdict = race_verdict_of([run.id for run in runs])
    found = conclusion_of(verdict)
    word, icon, colour = GRADES[found.grade]
    gained = points(verdict.pairs[0].gap or 0.0)
    with st.container(border=True, key="home.example"):
        with st.container(horizontal=True, gap="xsmall"):
            st.badge("recorded example", icon=":material/history:", color="gray")
            st.badge(word, icon=icon, color=colour)
        st.header(f"Pretraining gained {gained} on {md(runs[0].dataset_title.lower())}", anchor=False)
        st.markdown(md(found.numbers, LONGEST_MESSAGE))
        experiments = experiments_of(runs)
        means = [
            (name, one.settings.model.scenario, _mean([record(run).history for run in one.finished]))
            for one, name in zip(experiments, names_of(experiments), strict=True)
        ]
        alt = "Mean validation accuracy by epoch, from ImageNet weights and from a random start"
        st.plotly_chart(accuracy_by_epoch(means), key="home.example.curves", alt=alt)
        st.caption(
            f"The same network and {runs[0].settings.optim.epochs} epochs, from ImageNet weights or from a random "
            "start; means over the seeds."
        )


def _mean(histories: Sequence[Sequence[EpochRecord]]) -> list[EpochRecord]:
    """Epoch by epoch, the mean validation accuracy."""
    epochs = zip(*histories, strict=True)
    return [replace(rows[0], val_accuracy=fmean(row.val_accuracy for row in rows)) for rows in epochs]
