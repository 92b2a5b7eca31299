"""Changing the chosen data set: its title, its classes, more pictures, or away with it."""

from dataclasses import replace

import streamlit as st

from core.comparison.wording import counted
from core.data.dataset import Dataset, delete_stored, stored_ids
from core.data.edit import MAX_TITLE, add_pictures, delete, remove_class, rename, rename_class
from core.data.reading import limits
from core.errors import DatasetError, StorageError
from core.runs.store import Run
from core.settings.schema import DataSettings

from .. import chosen
from ..confirm import delete_button
from ..messages import LONGEST_MESSAGE, md
from ..resources import forget_dataset, readable_datasets, run_store, stored_dataset
from ..wording import dataset_labels
from .undo import change, offer_undo


def editing(dataset: Dataset) -> None:
    """Everything that can be changed; an edit of pictures or classes makes a new data set beside the old one.

    What it did can be undone (`undo.offer_undo`); the whole data set goes after a question.
    """
    with st.expander("Change this data set", icon=":material/edit:", key=f"data.edit.{dataset.id}"):
        st.caption("Pictures and classes are changed in a copy; runs keep what they recorded.")
        offer_undo(dataset, "data.edit.undo")  # here too: who edits does not see the page's top
        title, give = st.columns([3, 1], vertical_alignment="bottom")
        new = title.text_input("Title", dataset.title, max_chars=MAX_TITLE, key=f"data.title.{dataset.id}")
        if give.button("Rename", key="data.rename", disabled=new == dataset.title or dataset.kind == "builtin"):
            change(lambda: rename(dataset, new))
        _classes(dataset)
        _more(dataset)
        if dataset.kind != "builtin":
            _delete(dataset)


def _classes(dataset: Dataset) -> None:
    which, name, give, away = st.columns([2, 2, 1, 1], vertical_alignment="bottom")
    old = which.selectbox("Class", dataset.class_names, key=f"data.edit.class.{dataset.id}")
    merges = "That of another class merges the two."
    # keys by data set: a name that was given must not be given again by mistake
    new = name.text_input(
        "Its new name", key=f"data.edit.name.{dataset.id}", max_chars=limits.MAX_CLASS_NAME, help=merges
    )
    if give.button("Rename or merge", key="data.edit.rename", disabled=not new.strip()):
        change(lambda: rename_class(dataset, old, new.strip()))
    if away.button("Remove", key="data.edit.remove"):
        change(lambda: remove_class(dataset, old))


def _more(dataset: Dataset) -> None:
    stored = readable_datasets(chosen.home())
    others = {key: other for key, other in stored.items() if key != dataset.id}
    if not others:
        return
    which, add = st.columns([3, 1], vertical_alignment="bottom")
    other = which.selectbox(
        "Add the pictures of another data set",
        list(others),
        format_func=dataset_labels(stored).__getitem__,
        key=f"data.edit.other.{dataset.id}",  # what could be added to another set may be this one
        help="Classes of the same name become one. Old pictures stay in the parts they are in.",
    )
    if add.button("Add", key="data.edit.add"):
        change(lambda: add_pictures(dataset, others[other]))


def _delete(dataset: Dataset) -> None:
    def destroy() -> None:
        delete(dataset)
        forget_dataset(chosen.home(), dataset.id)
        chosen.choose(replace(chosen.settings(), data=DataSettings()))

    delete_button("Delete this data set", "data.delete", dataset.id, lambda: _what_goes(dataset), destroy)


def _what_goes(dataset: Dataset) -> bool:
    users = _users(dataset.id)
    if any(run.is_active for run in users):
        st.markdown("A run that waits or trains needs it. Stop that run first, or let it end.")
        return False
    st.markdown(
        f"**{md(dataset.title)}**, {len(dataset.pictures):,} pictures, will be deleted, with its files. "
        "This cannot be undone."
    )
    if users:
        st.caption(
            f"{counted(len(users), 'run')} used it: numbers and networks are kept, the sight of the pictures is lost."
        )
    return True


def _users(dataset_id: str) -> list[Run]:
    """Runs that were made with it; none where the database cannot be had: then none can be at work either."""
    try:
        return [run for run in run_store().runs() if run.settings.data.dataset == dataset_id]
    except StorageError:
        return []


def damaged_datasets() -> None:
    """Data sets whose files are not what was stored, each with a way out of the store."""
    for dataset_id in stored_ids():
        try:
            stored_dataset(chosen.home(), dataset_id)
        except DatasetError as error:
            with st.container(border=True, horizontal=True, vertical_alignment="center"):
                st.badge("damaged", icon=":material/broken_image:", color="red")
                st.markdown(md(str(error), LONGEST_MESSAGE))
                _delete_damaged(dataset_id)


def _delete_damaged(dataset_id: str) -> None:
    def destroy() -> None:
        delete_stored(dataset_id)
        forget_dataset(chosen.home(), dataset_id)

    def goes() -> bool:
        if any(run.is_active for run in _users(dataset_id)):
            st.markdown("A run that waits or trains needs it. Stop that run first, or let it end.")
            return False
        st.markdown(
            f"The data set {md(dataset_id)} will be deleted, with its files. To have it back, add its pictures again."
        )
        return True

    delete_button("Delete this damaged data set", f"data.damaged.{dataset_id}", dataset_id, goes, destroy)
