"""Data: what am I working with? What was understood, used and skipped; counts, samples, problems with their mends."""

from functools import partial

import pandas as pd
import streamlit as st
from components import chosen
from components.data.add_pictures import picture_sources
from components.data.banner import banner, parts_notice, small_print, waiting
from components.data.body import fresh_bodies
from components.data.editing import damaged_datasets, editing
from components.data.grouping import grouping
from components.data.health import findings, open_findings
from components.data.labels import labels
from components.data.undo import offer_undo
from components.data.upload_report import is_pressing, upload_report
from components.frame import draw_each
from components.gallery import GalleryItem, gallery
from components.help import with_term
from components.hosting import say_if_uploads_are_refused
from components.messages import md, plain, show_error
from components.resources import readable_datasets, thumbnail
from components.wording import dataset_labels

from core.data.dataset import SPLITS, Dataset, Split
from core.data.sources import BUILTIN_TITLE
from core.errors import DatasetError, ThawError

SHOWN_SAMPLES = 12
PURPOSES = {
    "train": "Training: a network learns from these.",
    "val": "Validation: the best epoch is chosen on these.",
    "test": "Looked at once, at the end, for the report.",
}


def choose_picked() -> None:
    picked = st.session_state["data.chosen"]
    drawn = (stored[picked].kind, stored[picked].title) == ("builtin", BUILTIN_TITLE)  # not by an earlier Thaw
    chosen.work_with("builtin" if drawn else picked)


def show_counts(current: Dataset, split: Split) -> None:
    counts = pd.DataFrame(current.counts(split)).rename_axis("class")
    counts["all"] = counts.sum(axis=1)
    gone = {row.name: row.reason for row in current.class_folders if row.name not in current.class_names}
    if gone:  # a class that somebody brought does not vanish from the account
        counts = pd.concat([counts, pd.DataFrame(0, index=pd.Index(list(gone), name="class"), columns=counts.columns)])
        counts["left out"] = [gone.get(str(name), "") for name in counts.index]
    helps = {part: st.column_config.NumberColumn(help=purpose) for part, purpose in PURPOSES.items()}
    st.subheader("Counts", anchor=False)
    st.dataframe(counts, width="stretch", column_config=helps, alt="Number of pictures by class and part")
    notice = parts_notice(current)
    if notice:
        st.caption(notice[0], help=with_term(notice[1], "Training, validation and test"))
    if chosen.settings().data.folds:
        for sentence in split.notices:
            st.caption(md(sentence, 400))


def show_samples(current: Dataset, split: Split) -> None:
    st.subheader("Samples", anchor=False)
    key = f"data.part.{current.id}"
    part = st.segmented_control("Part", SPLITS, default="train", required=True, key=key, label_visibility="collapsed")
    indices = split.part(part)
    items = [
        GalleryItem(
            image=thumbnail(chosen.home(), current.id, index),
            title=current.class_names[current.pictures[index].target],
            alt=plain(current.pictures[index].name.rsplit("/", 1)[-1]),
        )
        for index in indices[:: max(1, len(indices) // SHOWN_SAMPLES)][:SHOWN_SAMPLES]
    ]
    gallery(items, 6, "data.samples")


def show_health(current: Dataset) -> None:
    """The banner, and what else is to be said about problems, where the page has kept a place for both."""
    try:
        found, left = open_findings(current)
    finally:
        looking.empty()
    with answer:
        shown = banner(current, found, left)
    with problems:
        st.subheader("Health", anchor=False)
        findings(current, found[shown:], shown)
        labels(current)


def show_report(current: Dataset) -> None:
    if current.kind != "builtin" and not is_pressing(current):  # then the banner has it
        upload_report(current)


st.title("Data")
top, head, notes, rest = st.container(), st.container(), st.container(), st.container()
(answer, body), is_other = fresh_bodies(chosen.settings().data.dataset, top, rest)
with notes:
    damaged_datasets()
try:
    with notes:
        current = chosen.dataset()  # draws the built-in set the first time, so that it can be chosen
except ThawError as error:
    show_error(error)
    picture_sources()
    st.stop()

stored = readable_datasets(chosen.home())
# the widget follows what is chosen, by an upload, say; and it forgets its value while another page is shown
if st.session_state.get("data.chosen") != current.id:
    st.session_state["data.chosen"] = current.id
with head:
    say_if_uploads_are_refused()
    called = dataset_labels(stored).__getitem__
    st.selectbox("Data set", list(stored), format_func=called, key="data.chosen", on_change=choose_picked, width=420)
    picture_sources()

with answer:
    st.header(md(current.title), anchor=False)
    offer_undo(current, "data.undo")
with body:
    try:
        split = current.split(chosen.settings().seed, chosen.settings().data)
    except DatasetError as error:  # taken in by an earlier version
        with answer:
            show_error(error)
        draw_each(partial(upload_report, current), partial(grouping, current), partial(editing, current))
        st.stop()
    problems = st.container()
    looking = answer.empty()
    if is_other:
        with looking:
            waiting(current)
    # each of them whatever becomes of the others: a damaged data set must still be deletable
    draw_each(
        partial(show_counts, current, split),
        partial(show_samples, current, split),
        partial(show_health, current),
        partial(grouping, current),
        partial(show_report, current),
        partial(editing, current),
        partial(small_print, current, split.hash),
    )
    st.page_link("augment.py", label="See what the network will see", icon=":material/tune:")
