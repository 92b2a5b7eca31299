"""The experiments there are, one row each with its seeds inside; which one is shown stands in the address."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.comparison.arms import summary_of_arm
from core.comparison.folds import gather_folds
from core.errors import ThawError
from core.runs.experiments import Experiment, names_in_list
from core.runs.store import Run

from .. import chosen
from ..resources import run_outcome
from ..wording import STATES


def shown_experiment(experiments: Sequence[Experiment], with_studies: Sequence[Experiment]) -> Experiment | None:
    """The one that the address asks for, by its key or by one of its runs; else the newest that is not put away.

    What is not here is taken out of the address.

    Args:
        with_studies: the same and those of studies, which only the address leads to.
    """
    key, run = st.query_params.get("experiment"), st.query_params.get("run")
    for one in (*experiments, *with_studies):
        if one.key == key or (run and not key and any(mine.id.startswith(run) for mine in one.runs)):
            return one
    for name in {"experiment", "run"} & {*st.query_params}:
        st.query_params.pop(name)
    return next((one for one in experiments if not one.archived), None)


def show_in_address(key: str, run: str | None = None) -> None:
    """Let the address ask for this experiment, and for one run of it."""
    st.query_params["experiment"] = key
    if run:
        st.query_params["run"] = run
    else:
        st.query_params.pop("run", None)


def names_by_key(experiments: Sequence[Experiment]) -> dict[str, str]:
    """What experiments are called among those on the same pictures: others stand apart by their data."""
    by_data: dict[str, list[Experiment]] = {}
    for one in experiments:
        by_data.setdefault(one.settings.data.dataset, []).append(one)
    return {one.key: name for group in by_data.values() for one, name in zip(group, names_in_list(group), strict=True)}


def experiment_list(experiments: Sequence[Experiment], names: Mapping[str, str]) -> None:
    """All that there are, without those in the archive unless they are wanted.

    Args:
        names: what each is called, by key.
    """
    st.header("Experiments", anchor=False)
    archived = sum(one.archived for one in experiments)
    wanted = st.checkbox(f"Show archived ({archived})", key="train.archived") if archived else False
    listed = [one for one in experiments if wanted or not one.archived]
    if listed:
        _table(listed, names)


def _table(experiments: Sequence[Experiment], names: Mapping[str, str]) -> None:
    """A row for each; a click on one puts it into the address."""
    rows = [_row(one, names[one.key]) for one in experiments]
    if not any(row["settings"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "settings"} for row in rows]
    # a selection is a place in the table: in another table, longer by a new run, the same place is another one
    place = f"train.experiments.{experiments[0].newest.number}.{len(experiments)}"
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select=lambda: _take_clicked(place, [one.key for one in experiments]),
        selection_mode="single-row",
        key=place,
        column_config={
            "settings": st.column_config.TextColumn(width="medium", help="What is not as usual"),
            "test accuracy": st.column_config.NumberColumn(format="%.1f %%"),
            "seconds": st.column_config.NumberColumn("seconds per run", format="%.1f", help="The mean over its runs"),
        },
        placeholder="",
        alt="Experiments, newest first",
    )


def _row(one: Experiment, name: str) -> dict[str, object]:
    seconds = [run.summary["duration_s"] for run in one.finished if run.summary]
    return {
        "experiment": called(one),
        "settings": one.settings.model.row.label if one.name else set_apart(one, name),
        "test accuracy": None if one.test_accuracy is None else 100 * one.test_accuracy,
        "95 % interval": _interval(chosen.home(), tuple(run.id for run in one.finished)),
        "seeds": ", ".join(map(str, sorted({run.settings.seed for run in one.runs}))),
        "state": "archived" if one.archived else state_of(one),
        "data": one.newest.dataset_title,
        "seconds": sum(seconds) / len(seconds) if seconds else None,
    }


def called(one: Experiment) -> str:
    """What it is called where there is no room for what differs."""
    return one.name or one.settings.model.row.label


def set_apart(one: Experiment, name: str) -> str:
    """What sets it apart from the others, of what it is called among them; nothing where it was given a name."""
    return name.removeprefix(called(one)).strip(" ()")


def state_of(one: Experiment) -> str:
    """What its runs do now, or how the newest one ended where none has finished."""
    for state in ("running", "queued", "finished"):
        if any(run.state == state for run in one.runs):
            return STATES[state][0]
    return STATES[one.newest.state][0]


@st.cache_data(max_entries=500, show_spinner=False)
def _interval(home: str, ids: tuple[str, ...]) -> str:
    """Of the mean accuracy over these runs, in per cent; empty where there is none."""
    try:
        outcomes = [run_outcome(home, run_id) for run_id in ids]
        seeds = {one.settings.seed: one for one in (gather_folds(outcomes) if len(outcomes) > 1 else outcomes)}
        ends = summary_of_arm(seeds).interval if seeds else None
    except ThawError:  # files that are gone or damaged: told where it is shown
        return ""
    return f"{100 * ends.low:.1f} to {100 * ends.high:.1f}" if ends else ""


def _take_clicked(key: str, keys: Sequence[str]) -> None:
    """The address keeps what was clicked; nothing changes where the click took a selection back."""
    for row in st.session_state[key].selection.rows:
        show_in_address(keys[row])


def shown_run(one: Experiment) -> Run | None:
    """The finished run that the address asks for, else the newest."""
    asked = st.query_params.get("run")
    finished = sorted(one.finished, key=lambda run: -run.number)
    return next((run for run in finished if asked and run.id.startswith(asked)), finished[0] if finished else None)
