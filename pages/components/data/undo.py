"""Edits of a data set can be undone: each makes another data set beside the one it changes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import streamlit as st

from core.comparison.wording import counted
from core.data.dataset import Dataset, stored_ids
from core.data.edit import delete, rename
from core.errors import ThawError

from .. import chosen
from ..messages import LONGEST_MESSAGE, md, plain, show_error
from ..resources import forget_dataset, run_store, stored_dataset

_UNDOS: Final = "data.undos"


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """What takes an edit back."""

    said: str
    """What the edit did."""
    before: str
    """Id of the data set as it was."""
    title: str
    """Its title then."""
    is_new: bool
    """The edit made its data set, rather than finding it here."""


def change(edit: Callable[[], Dataset]) -> None:
    """Make an edited data set of the chosen one and work with it, with a way back; or say why not."""
    before, known = chosen.dataset(), stored_ids()
    try:
        edited = edit()
    except ThawError as error:
        show_error(error)
        return
    if (edited.id, edited.title) == (before.id, before.title):
        st.toast("Nothing was changed: it is like that already.", icon=":material/edit_off:")
        return
    undo = Undo(said=what_changed(before, edited), before=before.id, title=before.title, is_new=edited.id not in known)
    _undos(edited).append(undo)
    st.toast(f"{md(undo.said, LONGEST_MESSAGE)} Undo stands at the top.", icon=":material/undo:", duration="long")
    forget_dataset(chosen.home(), before.id)
    _work_with(edited.id)


def offer_undo(dataset: Dataset, key: str) -> None:
    """What the last edit did, and the button that takes it back; nothing where there was none."""
    if not _undos(dataset):
        return
    undo = _undos(dataset)[-1]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/edit: {md(undo.said, LONGEST_MESSAGE)}", width="content")
        pressed = st.button("Undo", icon=":material/undo:", key=key)
    if pressed:
        try:
            _take_back(dataset, undo)
        except ThawError as error:
            show_error(error)
            return
        st.toast("As it was before.", icon=":material/undo:")
        _work_with(undo.before)


def _take_back(dataset: Dataset, undo: Undo) -> None:
    before = stored_dataset(chosen.home(), undo.before)  # raises where it was deleted since
    if before.title != undo.title and before.id == dataset.id:
        rename(before, undo.title)
    used = any(run.settings.data.dataset == dataset.id for run in run_store().runs())
    if undo.is_new and not used:
        delete(dataset)
    _undos(dataset).pop()
    forget_dataset(chosen.home(), dataset.id)


def _undos(dataset: Dataset) -> list[Undo]:
    """What this session did to get to a data set, the latest last."""
    undos: dict[str, list[Undo]] = st.session_state.setdefault(_UNDOS, {})
    return undos.setdefault(dataset.id, [])


def _work_with(dataset_id: str) -> None:
    chosen.work_with(dataset_id)
    st.rerun()


def what_changed(before: Dataset, after: Dataset) -> str:
    """An edit in a sentence, with the classes it took away or brought."""
    if before.id == after.id:
        return f"Renamed from “{plain(before.title)}”."
    difference, moved = len(after.pictures) - len(before.pictures), _moved(before, after)
    parts = [f"{counted(abs(difference), 'picture')} {'more' if difference > 0 else 'fewer'}"] if difference else []
    parts += [f"{counted(moved, 'picture')} relabelled"] if moved else []
    parts += [f"class {plain(name, 40)} gone" for name in before.class_names if name not in after.class_names]
    parts += [f"class {plain(name, 40)} new" for name in after.class_names if name not in before.class_names]
    return f"Changed in a copy: {', '.join(parts) or _what_moved(before, after)}."


def _moved(before: Dataset, after: Dataset) -> int:
    """How many pictures have another class, where there are the same classes as before."""
    if before.class_names != after.class_names:
        return 0
    labels = [Counter((picture.content, picture.target) for picture in dataset.pictures) for dataset in (before, after)]
    return min((labels[0] - labels[1]).total(), (labels[1] - labels[0]).total())


def _what_moved(before: Dataset, after: Dataset) -> str:
    """What differs where all pictures and classes are kept."""
    if before.grouped_by != after.grouped_by:
        return f"grouped by {plain(after.grouped_by)}" if after.grouped_by else "the groups are given up"
    brought = [Counter(picture.given for picture in dataset.pictures) for dataset in (before, after)]
    return "the val part is drawn by Thaw" if brought[1].keys() - {None} else "all parts are drawn by Thaw"
