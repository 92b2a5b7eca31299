"""An experiment's name, note and place in the archive; deleting it, or one run of it."""

from contextlib import suppress
from dataclasses import replace

import streamlit as st

from core.errors import ThawError
from core.runs import deletion
from core.runs.database import LONGEST_NAME, LONGEST_NOTE
from core.runs.experiments import Experiment
from core.runs.store import Label, Run

from ..confirm import delete_button
from ..messages import md, show_error
from ..resources import run_store
from ..wording import run_label
from .experiments import called


def keeping(one: Experiment) -> None:
    """The buttons in one row."""
    with st.container(horizontal=True):
        _name_and_note(one)
        if one.is_active:
            return
        away = "Take out of the archive" if one.archived else "Archive"
        icon = ":material/unarchive:" if one.archived else ":material/archive:"
        asked = st.button(away, icon=icon, key="train.archive", help="Kept, and neither listed nor offered")
        if asked and _written(one, replace(one.label, archived=not one.archived)):
            st.rerun()
        _delete_experiment(one)


def _name_and_note(one: Experiment) -> None:
    """A popover that closes once its form is saved, and says that it was."""
    key = f"train.keep.{one.key}"
    if st.session_state.pop(f"{key}.saved", False):  # before it is drawn: afterwards nothing can close it
        st.session_state[key] = False
        st.toast("Name and note are saved.", icon=":material/edit_note:")
    shown = st.popover("Name and note", icon=":material/edit_note:", key=key, on_change="rerun")
    with shown, st.form(f"train.label.{one.key}", border=False):
        name = st.text_input("Name", one.name, max_chars=LONGEST_NAME, placeholder="by its training strategy")
        note = st.text_area("Note", one.note, max_chars=LONGEST_NOTE)
        if st.form_submit_button("Save", type="primary") and _written(one, replace(one.label, name=name, note=note)):
            st.session_state[f"{key}.saved"] = True
            st.rerun()


def _written(one: Experiment, label: Label) -> bool:
    """Whether it could be; why not is shown."""
    try:
        run_store().label(one.key, label)
    except ThawError as error:
        show_error(error)
        return False
    return True


def _delete_experiment(one: Experiment) -> None:
    def goes() -> bool:
        count = "its run" if len(one.runs) == 1 else f"all {len(one.runs)} runs"
        noted = ", its name and its note" if one.name or one.note else ""
        st.markdown(
            f"**{md(called(one))}** on {md(one.newest.dataset_title)} will be deleted: {count}, with networks, "
            f"predictions and numbers{noted}. This cannot be undone."
        )
        _say_what_races_lose(one.runs)
        return True

    def destroy() -> None:
        deletion.delete_experiment(run_store(), one)
        for name in ("experiment", "run"):
            with suppress(KeyError):
                del st.query_params[name]

    delete_button("Delete this experiment", "train.delete", one.key, goes, destroy)


def delete_run(run: Run) -> None:
    """A button that deletes an ended run, after a question."""

    def goes() -> bool:
        kept = "its network, its predictions and its numbers" if run.state == "finished" else "its settings"
        st.markdown(
            f"**{md(run_label(run))}** on {md(run.dataset_title)} will be deleted, with {kept}. This cannot be undone."
        )
        _say_what_races_lose([run])
        return True

    def destroy() -> None:
        deletion.delete_run(run_store(), run.id)
        with suppress(KeyError):
            del st.query_params["run"]

    delete_button("Delete this run", "train.delete_run", run.id, goes, destroy)


def _say_what_races_lose(runs: tuple[Run, ...] | list[Run]) -> None:
    """Whose verdict will no longer count these."""
    going = {run.id for run in runs if run.state == "finished"}
    races = {run.race for run in runs if run.race and run.id in going}
    mates = [mate for race in races for mate in run_store().runs(race=race) if mate.id not in going]
    if mates:
        raced = "1 other run" if len(mates) == 1 else f"{len(mates)} other runs"
        st.caption(f"{raced} raced with this; their verdict will no longer count it.")
