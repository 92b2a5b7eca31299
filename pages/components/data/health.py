"""What may be wrong with the chosen pictures: findings that open their pictures and offer the fix."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import streamlit as st

from core.data.dataset import Dataset
from core.data.edit import draw_all, draw_val, drop_pictures, merge_alike, move_pictures, remove_classes, set_groups
from core.data.groups import find_groups
from core.data.health import Finding, find_problems, others_of
from core.data.reading.folder_names import listed
from core.settings.schema import DataSettings

from .. import chosen
from ..gallery import GalleryItem, gallery
from ..messages import LONGEST_MESSAGE, md
from ..resources import stored_dataset, thumbnail
from .undo import change

SHOWN = 12
LISTED = 12  # findings
_Edit = Callable[[Dataset, Finding], Dataset]
_BUTTONS: Final[dict[str, tuple[str, str, _Edit, str | None]]] = {
    "drop": ("Drop these", ":material/delete:", lambda d, f: drop_pictures(d, f.pictures), None),
    "drop-others": (
        "Keep one of each",
        ":material/filter_1:",
        lambda d, f: drop_pictures(d, others_of(d, f.pictures)),
        None,
    ),
    "merge": ("Merge them", ":material/merge:", lambda d, f: merge_alike(d), "The larger class gives its name."),
    "draw-val": (
        "Draw val from train and val",
        ":material/shuffle:",
        lambda d, f: draw_val(d),
        "The val part it came with is given up; the test part stays as it is.",
    ),
    "draw-all": (
        "Draw all parts again",
        ":material/shuffle:",
        lambda d, f: draw_all(d),
        "The parts it came in are given up: train, val and test are drawn from all its pictures.",
    ),
    "group": (
        "Set these groups",
        ":material/groups:",
        lambda d, f: set_groups(d, find_groups(d, f.groups)),
        "Pictures of one group then stay in one part. Other ways to group them stand below, under Groups.",
    ),
    "leave-out": (
        "Leave out {classes}",
        ":material/delete:",
        lambda d, f: remove_classes(d, f.classes),
        "All pictures of these classes are dropped.",
    ),
}
"""Fixes that are one click: label, icon, what it does, help."""


Found = tuple[Finding, ...]


@st.cache_data(max_entries=32, show_spinner=False)
def _findings(home: str, dataset_id: str, stamp: tuple[int, ...], seed: int, data: DataSettings) -> Found:
    """`stamp`: of the data set's files; one that was deleted and brought again may have its pictures elsewhere."""
    dataset = stored_dataset(home, dataset_id)
    return find_problems(dataset, dataset.split(seed, data))


def open_findings(dataset: Dataset) -> tuple[Found, int]:
    """What was found and not waved through, serious things first; and how many were left as they are."""
    settings = chosen.settings()
    found = _findings(chosen.home(), dataset.id, dataset.stamp, settings.seed, settings.data)
    open_ = tuple(finding for finding in found if finding.sentence not in _kept(dataset))
    return open_, len(found) - len(open_)


def _kept(dataset: Dataset) -> set[str]:
    kept: set[str] = st.session_state.setdefault(f"data.kept.{dataset.id}", set())
    return kept


def findings(dataset: Dataset, found: Sequence[Finding], first: int) -> None:
    """Each finding, folded, with its pictures and what can be done; numbered from `first` on.

    Of two hundred classes each may have one of its own: then the first, and the others when they are asked for.
    """
    more = len(found) - LISTED
    everything = more > 0 and st.session_state.get(f"data.findings.{dataset.id}", False)
    for number, finding in enumerate(found if everything else found[:LISTED], first):
        icon = ":material/warning:" if finding.serious else ":material/info:"
        key = f"data.health.{dataset.id}.{number}"  # what was opened of another data set is closed here
        with st.expander(f"{icon} {md(finding.sentence, LONGEST_MESSAGE)}", key=key):
            pictures(dataset, finding, number)
            mends(dataset, finding, number)
    if more > 0:
        st.checkbox(f"Show {more:,} more", key=f"data.findings.{dataset.id}")


def pictures(dataset: Dataset, finding: Finding, number: int) -> None:
    """What a finding is about."""
    items = [
        GalleryItem(
            image=thumbnail(chosen.home(), dataset.id, index),
            title=dataset.class_names[dataset.pictures[index].target],
            captions=(dataset.pictures[index].name.rsplit("/", 1)[-1],),
        )
        for index in finding.pictures[:SHOWN]
    ]
    gallery(items, 6, f"data.health.{number}.pictures")
    if len(finding.pictures) > SHOWN:
        st.caption(f"The first {SHOWN} of {len(finding.pictures):,}.")


def mends(dataset: Dataset, finding: Finding, number: int) -> None:
    """What can be done about a finding, as buttons."""
    key = f"data.health.{number}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for fix, (label, icon, edit, help) in _BUTTONS.items():
            words = label.format(classes=md(listed(finding.classes, 3))) if finding.classes else label
            if fix in finding.fixes and st.button(words, icon=icon, key=f"{key}.{fix}", help=help):
                change(partial(edit, dataset, finding))
        if "move" in finding.fixes:
            target = st.selectbox(
                "Move them to", _likely_classes(dataset, finding), key=f"{key}.target.{dataset.id}", width=220
            )
            if st.button("Move", icon=":material/drive_file_move:", key=f"{key}.move"):
                change(lambda: move_pictures(dataset, finding.pictures, target))
        if st.button("Leave as it is", icon=":material/check:", key=f"{key}.keep"):
            _kept(dataset).add(finding.sentence)
            st.rerun()


def _likely_classes(dataset: Dataset, finding: Finding) -> list[str]:
    """All classes, first those that most of its pictures stand in now."""
    counts = Counter(dataset.pictures[index].target for index in finding.pictures)
    order = sorted(range(len(dataset.class_names)), key=lambda target: (-counts[target], target))
    return [dataset.class_names[target] for target in order]
