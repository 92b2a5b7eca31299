"""What an experiment's conclusion rests on, folded: drawn when it is opened."""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from core.runs.experiments import Experiment
from core.runs.store import Run

from ..cards import cards, record, strategy_cards
from ..charts import confusion
from ..predictions import sample_pictures
from ..results import result_charts, small_print
from ..wording import STATES, how_chosen
from .experiments import show_in_address, shown_run
from .keeping import delete_run


def evidence(one: Experiment) -> None:
    """Runs, curves, confusion, pictures and small print of an experiment with a finished run."""
    finished, run = one.finished, shown_run(one)
    assert run is not None, "one has finished"
    of = f" of run #{run.number}" if len(finished) > 1 else ""
    _folded("Runs and costs", "format_list_numbered", lambda: _runs(one, run))
    _folded("Learning curves", "show_chart", lambda: result_charts(finished, "train.charts"))
    _folded(f"Confusion matrix{of}", "grid_on", lambda: _confusion(run))
    _folded(
        "Test pictures, predicted and true", "image_search", lambda: sample_pictures(finished, 12, "train.pictures")
    )
    small_print(run)


def _folded(label: str, icon: str, draw: Callable[[], None]) -> None:
    key = f"train.evidence.{icon}"
    with st.expander(label, icon=f":material/{icon}:", key=key, on_change="rerun") as box:
        if box.open:
            draw()


def _runs(one: Experiment, run: Run) -> None:
    """Every run by its number; a click on one shows its confusion matrix and its small print."""
    if len(one.seeds) > 1:
        strategy_cards(one.finished)
    else:
        cards([run])
    st.caption(how_chosen(record(run)))
    if len(one.runs) > 1:
        run_table(one)
    delete_run(run)


def run_table(one: Experiment) -> None:
    """An experiment's runs by number."""
    folds = one.settings.data.folds is not None
    rows = [
        {
            "run": f"#{run.number}",
            "state": STATES[run.state][0],
            "seed": run.settings.seed,
            **({"fold": run.settings.data.fold} if folds else {}),
            "validation accuracy": 100 * run.summary["val_accuracy"] if run.summary else None,
            "test accuracy": 100 * run.summary["test_accuracy"] if run.summary else None,
            "seconds": run.summary["duration_s"] if run.summary else None,
        }
        for run in one.runs
    ]
    place = f"train.runs.{one.newest.number}.{len(one.runs)}"
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select=lambda: _take_clicked(place, one.key, one.runs),
        selection_mode="single-row",
        key=place,
        column_config={
            "validation accuracy": st.column_config.NumberColumn(format="%.1f %%"),
            "test accuracy": st.column_config.NumberColumn(format="%.1f %%"),
            "seconds": st.column_config.NumberColumn(format="%.1f"),
        },
        placeholder="",
        alt="Runs of this experiment, newest first",
    )


def _take_clicked(place: str, key: str, runs: Sequence[Run]) -> None:
    for row in st.session_state[place].selection.rows:
        show_in_address(key, runs[row].id)


def _confusion(run: Run) -> None:
    result = record(run)
    figure = confusion(result.confusion, result.dataset.class_names)
    st.plotly_chart(figure, key="train.confusion", alt="Confusion matrix over the test pictures")
