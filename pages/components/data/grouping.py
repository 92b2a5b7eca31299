"""Groups of the chosen pictures: by folder, a pattern in the file name, or a table; seen before they are set."""

from collections.abc import Sequence
from typing import Final

import pandas as pd
import streamlit as st

from core.data.dataset import Dataset
from core.data.edit import set_groups
from core.data.groups import FOLDER, NAME, Grouping, by_table, count_groups, find_groups, groups_sentence
from core.errors import DatasetError

from ..brought import say_if_lost
from ..messages import LONGEST_MESSAGE, md, plain, show_error
from .undo import change

_WAYS: Final = {
    "name": "A pattern in the file name",
    "folder": "The sub-folder below the class",
    "table": "A table of file and group (CSV)",
}


def grouping(dataset: Dataset) -> None:
    """What groups there are, and the way to set others or give them up."""
    with st.expander("Groups", icon=":material/groups:", key=f"data.groups.{dataset.id}"):
        st.caption(
            "Pictures of one patient, place or source stay in one part: else a network is tested on what it has seen."
        )
        if dataset.grouped_by:
            _now(dataset)
        way = st.radio(
            "Groups are told by",
            list(_WAYS),
            format_func=_WAYS.__getitem__,
            key=f"data.groups.way.{dataset.id}",
            horizontal=True,
        )
        try:
            found = _asked(dataset, way)
        except DatasetError as error:
            show_error(error)
            return
        if found is not None:
            _preview([picture.name for picture in dataset.pictures], found)
            if st.button("Set these groups", icon=":material/groups:", key="data.groups.set"):
                change(lambda: set_groups(dataset, found))


def _now(dataset: Dataset) -> None:
    names, groups = [p.name for p in dataset.pictures], [p.subject for p in dataset.pictures]
    said = f"Grouped by {dataset.grouped_by}: {groups_sentence(count_groups(names, groups))}."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/check_circle: {md(said, LONGEST_MESSAGE)}", width="content")
        if st.button("Give the groups up", icon=":material/group_off:", key="data.groups.none"):
            change(lambda: set_groups(dataset, None))


def _asked(dataset: Dataset, way: str) -> Grouping | None:
    """The groups that the widgets ask for; None where nothing is asked for yet.

    Raises:
        DatasetError: there would be none.
    """
    if way == "folder":
        return find_groups(dataset, FOLDER)
    if way == "name":
        pattern = st.text_input(
            "Pattern",
            key=f"data.groups.pattern.{dataset.id}",
            placeholder="(patient#)_*",
            help="Brackets are around what names the group. * is anything, # a number, ? one character. The ending of "
            "the file does not count. With a slash, the pattern is about the folders, too: */(*)/*.",
            live=True,
        )
        return find_groups(dataset, f"{NAME}{pattern.strip()}") if pattern.strip() else None
    file = st.file_uploader("Table of file and group", ["csv", "tsv", "jsonl"], key=f"data.groups.table.{dataset.id}")
    say_if_lost(f"data.groups.table.{dataset.id}")
    column = st.text_input("Its column of groups, where it has several", key=f"data.groups.column.{dataset.id}")
    return by_table(dataset, file.name, file.getvalue(), column.strip()) if file else None


def _preview(names: Sequence[str], found: Grouping) -> None:
    """How many groups, the largest, and some files with their group."""
    counts = count_groups(names, found.groups)
    st.markdown(f":material/visibility: By {md(found.said)}: {md(groups_sentence(counts), LONGEST_MESSAGE)}.")
    largest, examples = st.columns(2)
    largest.dataframe(
        pd.DataFrame([(plain(name), size) for name, size in counts.largest], columns=["largest groups", "pictures"]),
        hide_index=True,
        key="data.groups.largest",
        alt="The largest groups, with the number of their pictures",
    )
    examples.dataframe(
        pd.DataFrame([(plain(file), plain(group)) for file, group in counts.examples], columns=["file", "its group"]),
        hide_index=True,
        key="data.groups.examples",
        alt="Some files, with the group each would be in",
    )
