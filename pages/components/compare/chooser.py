"""Which experiments stand side by side: the address says it, and what cannot stand beside them is not offered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from core.comparison.wording import counted
from core.data.reading.folder_names import listed
from core.errors import ThawError
from core.runs.example import example_runs
from core.runs.experiments import (
    MOST_COMPARED,
    Experiment,
    comparable_with,
    experiments_of,
    names_in_list,
    names_of,
    newest_comparable,
    stored_experiments,
    why_apart,
)
from core.runs.record import is_recorded
from core.runs.store import Run

from .. import chosen
from ..addressed import name_in_address
from ..messages import LONGEST_MESSAGE, md, plain
from ..resources import run_outcome, run_store

MOST_LISTED = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What is compared, and what could be."""

    experiments: list[Experiment]
    here: list[Experiment]
    """Everything that could be chosen, newest first."""


def choose_experiments() -> Choice:
    """Those that the address names; else the newest that can be compared; else those of the recorded example.

    What the address names and is not here, and what cannot be read, is said.
    """
    everything, recorded = stored_experiments(run_store(), archived=True, studied=False), experiments_of(example_runs())
    asked = _asked_for([*stored_experiments(run_store(), archived=True), *everything, *recorded])
    own = [one for one in everything if not one.archived or one in asked]
    own += [one for one in asked if one not in everything and one not in recorded]  # a study's, by its link
    if asked:
        few = asked[:MOST_COMPARED]
        ours = is_recorded(few[0].newest.id)
        here = recorded if ours else own
        return Choice(experiments=_readable([one for one in few if one in here]), here=here)
    usual = _newest_readable(own)
    if usual:
        return Choice(experiments=usual, here=own)
    _say_that_it_is_ours(own)
    return Choice(experiments=recorded[::-1], here=[*own, *recorded])


def _asked_for(here: Sequence[Experiment]) -> list[Experiment]:
    """The experiments that the address names: by their keys, or, as older addresses do, by their runs."""
    by_name = {name_in_address(one): one for one in here}
    by_run = {run.id: one for one in here for run in one.runs}  # the page's frame says which are not here
    named, runs = (st.query_params.get(name, "").split(",") for name in ("experiments", "runs"))
    found = [by_name[name] for name in named if name in by_name] or [by_run[run] for run in runs if run in by_run]
    waiting = [one for one in found if not one.finished]
    if waiting:
        names = listed(dict.fromkeys(names_of(waiting)))
        st.info(f"Nothing of {md(names, LONGEST_MESSAGE)} has finished yet.", icon=":material/hourglass_empty:")
    return [one for place, one in enumerate(found) if one not in found[:place] and one.finished]


def _newest_readable(own: Sequence[Experiment]) -> list[Experiment]:
    """The newest that can be compared, of those whose files are there; none where there are no two."""
    left = list(own)
    while wanted := newest_comparable(left):
        found = _readable(wanted)
        if len(found) > 1:
            return found
        kept = {one.key for one in found}
        left = [one for one in left if one not in wanted or one.key in kept]
    return []


def _readable(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The same with those runs whose files are there and whole; of others a sentence says that they are left out."""
    found, failed = [], []
    for one in experiments:
        runs, errors = _readable_runs(one)
        failed += errors
        if runs:
            found.append(replace(one, runs=tuple(reversed(runs))))
    if failed:
        st.warning(
            f"{counted(len(failed), 'run')} cannot be read and {'are' if len(failed) > 1 else 'is'} left out: "
            f"{md(str(failed[0]), LONGEST_MESSAGE)}",
            icon=":material/broken_image:",
        )
    return found


def _readable_runs(one: Experiment) -> tuple[list[Run], list[ThawError]]:
    runs: list[Run] = []
    errors: list[ThawError] = []
    for run in one.finished:
        try:
            run_outcome(chosen.home(), run.id)
            runs.append(run)
        except ThawError as error:
            errors.append(error)
    return runs, errors


def _say_that_it_is_ours(own: Sequence[Experiment]) -> None:
    """Why a recorded comparison is shown, and where one's own comes from."""
    finished = [one for one in own if one.finished]
    if len(finished) < 2:
        why = "A comparison needs two finished experiments on the same pictures. Until you have yours, here is ours."
    else:
        why = "No two of your experiments have pictures and a seed in common. Until two have, here is ours."
    st.markdown(why)
    active = [run for one in own for run in one.runs if run.is_active]
    with st.container(horizontal=True, vertical_alignment="center"):
        if active:
            st.badge(f"{counted(len(active), 'run')} on the way", icon=":material/autorenew:", color="blue")
        st.page_link("home.py", label="See the race" if active else "Run a race", icon=":material/flag:")


def show_chooser(choice: Choice) -> None:
    """What is compared, each with a way out; what may join it; and behind a word what may not, and why."""
    experiments = choice.experiments
    offered = [one for one in comparable_with(experiments, choice.here) if one not in _same(choice)]
    offered = [one for one in offered if one.finished]
    names = [plain(name) for name in names_in_list([*experiments, *offered])]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for one, name in zip(experiments, names_of(experiments), strict=True):
            st.button(
                md(name),
                icon=":material/close:",
                key=f"compare.drop.{one.key}",
                help="Leave it out",
                disabled=len(experiments) < 2,
                on_click=_compare,
                args=([other for other in experiments if other is not one],),
            )
        if offered and len(experiments) < MOST_COMPARED:
            st.selectbox(
                "Compare with",
                range(len(offered)),
                index=None,
                format_func=lambda place: f"{names[len(experiments) + place]}, {_seeds(offered[place])}",
                placeholder="Compare with…",
                label_visibility="collapsed",
                key="compare.add",
                width=260,
                on_change=_add,
                args=(experiments, offered),
            )
        _say_what_is_left_out(choice, offered)


def _same(choice: Choice) -> list[Experiment]:
    """What is chosen already, as it stands in the whole list."""
    keys = {name_in_address(one) for one in choice.experiments}
    return [one for one in choice.here if name_in_address(one) in keys]


def _seeds(one: Experiment) -> str:
    return counted(len(one.seeds), "seed")


def _add(experiments: Sequence[Experiment], offered: Sequence[Experiment]) -> None:
    place = st.session_state["compare.add"]
    if place is not None:
        _compare([*experiments, offered[place]])


def _compare(experiments: Sequence[Experiment]) -> None:
    st.query_params["experiments"] = ",".join(map(name_in_address, experiments))
    st.session_state.pop("compare.add", None)


def _say_what_is_left_out(choice: Choice, offered: Sequence[Experiment]) -> None:
    """Behind a word: what else there is, why it cannot join, and a way to compare that instead."""
    kept = [*_same(choice), *offered]
    out = [one for one in choice.here if one not in kept]
    if not out:
        return
    with st.popover(f"{len(out)} left out", icon=":material/filter_alt:", type="tertiary"):
        for one, name in zip(out[:MOST_LISTED], names_in_list(out), strict=False):
            st.markdown(f"**{md(name)}**, {md(one.newest.dataset_title)}: {_why_left_out(choice, one)}")
            if one.finished:
                mates = comparable_with([one], choice.here)
                instead = newest_comparable([one, *(mate for mate in mates if mate is not one)]) or [one]
                st.button(
                    "Compare this one instead",
                    key=f"compare.instead.{name_in_address(one)}",
                    type="tertiary",
                    on_click=_compare,
                    args=(instead,),
                )
        if len(out) > MOST_LISTED:
            st.caption(f"And {len(out) - MOST_LISTED} more, older ones.")


def _why_left_out(choice: Choice, one: Experiment) -> str:
    if one.is_active and not one.finished:
        return "still training"
    return next(filter(None, (why_apart(first, one) for first in choice.experiments)), "")
