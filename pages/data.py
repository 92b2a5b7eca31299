"""Data: what am I working with? Choose pictures, see counts, samples, and what was left out."""

from dataclasses import replace

import pandas as pd
import streamlit as st
from components import chosen
from components.data.add_pictures import picture_sources
from components.data.editing import damaged_datasets, editing
from components.data.grouping import grouping
from components.data.health import health
from components.data.undo import offer_undo
from components.data.upload_report import upload_report
from components.frame import draw_each
from components.gallery import GalleryItem, gallery
from components.help import with_term
from components.hosting import say_if_uploads_are_refused
from components.messages import md, show_error
from components.resources import readable_datasets, thumbnail
from components.wording import dataset_labels

from core.data.dataset import SPLITS
from core.data.sources import BUILTIN_TITLE
from core.errors import DatasetError, ThawError

SHOWN_SAMPLES = 12
PARTS_HELP = with_term("Of which part samples are shown.", "Training, validation and test")

st.title("Data")
st.caption("What am I working with? Choose pictures; everything else in Thaw uses them.")
damaged_datasets()
try:
    current = chosen.dataset()  # draws the built-in set the first time, so that it can be chosen
except ThawError as error:
    show_error(error)
    picture_sources()
    st.stop()

stored = readable_datasets(chosen.home())
# the widget follows what is chosen, by an upload, say; and it forgets its value while another page is shown
if "data.chosen" not in st.session_state or st.session_state.get("data.shown") != current.id:
    st.session_state["data.chosen"] = st.session_state["data.shown"] = current.id
choose, bring = st.columns([2, 3], gap="large")
with choose:
    picked = st.selectbox(
        "Pictures to work with",
        list(stored),
        format_func=dataset_labels(stored).__getitem__,
        key="data.chosen",
    )
    if picked != current.id:
        drawn = (stored[picked].kind, stored[picked].title) == ("builtin", BUILTIN_TITLE)  # not by an earlier Thaw
        chosen.choose(
            replace(chosen.settings(), data=replace(chosen.settings().data, dataset="builtin" if drawn else picked))
        )
        st.rerun()
with bring:
    say_if_uploads_are_refused()
    picture_sources()

st.subheader(md(current.title))
offer_undo(current, "data.undo")
try:
    split = current.split(chosen.settings().seed, chosen.settings().data)
except DatasetError as error:  # taken in by an earlier version
    show_error(error)
    upload_report(current)
    grouping(current)
    editing(current)
    st.stop()
if current.kind == "builtin":
    st.caption("Drawn by Thaw itself, not photographs: for trying things out with no network.")
if current.read_as and current.kind != "builtin":
    when = "Before it was changed: read as" if current.kind == "edited" else "Read as"
    st.caption(f":material/account_tree: {when} {md(current.read_as, 400)}.")
counts = pd.DataFrame(current.counts(split)).rename_axis("class")
counts["all"] = counts.sum(axis=1)
gone = {row.name: row.reason for row in current.class_folders if row.name not in current.class_names}
if gone:  # a class that somebody brought does not vanish from the account
    counts = pd.concat([counts, pd.DataFrame(0, index=pd.Index(list(gone), name="class"), columns=counts.columns)])
    counts["left out"] = [gone.get(str(name), "") for name in counts.index]
table, explained = st.columns([3, 2], gap="large")
with table:
    st.dataframe(counts, width="stretch", alt="Number of pictures by class and part")
with explained:
    st.markdown(
        "**train** teaches, **val** chooses the best epoch, **test** is looked at once, at the end, for the report."
    )
    given = {picture.given for picture in current.pictures} - {None}
    if given == {"train", "val"}:
        st.caption(
            "It came with train and val only: its val is the test part here, and a val part is drawn from train."
        )
    elif not given:
        st.caption(
            "Thaw divides these pictures: test is drawn from every class by content alone, the same for all seeds; val "
            "by content and seed."
        )
    if current.grouped_by:
        st.caption(f":material/groups: Pictures of one group stay in one part: {md(current.grouped_by, 400)}.")
    st.caption(f"Seed {chosen.settings().seed} · split {split.hash[:8]} · content {current.fingerprint[:8]}")
for notice in split.notices:
    st.caption(f":material/content_copy: {md(notice, 400)}")

st.markdown("#### Samples")
part = st.segmented_control("Part", SPLITS, default="train", required=True, key="data.part", help=PARTS_HELP)
names, indices = current.class_names, split.part(part)
step = max(1, len(indices) // SHOWN_SAMPLES)


def samples() -> None:
    items = [
        GalleryItem(
            image=thumbnail(chosen.home(), current.id, index),
            title=names[current.pictures[index].target],
            captions=(current.pictures[index].name.rsplit("/", 1)[-1],),
        )
        for index in indices[::step][:SHOWN_SAMPLES]
    ]
    gallery(items, 6, "data.samples")


def report() -> None:
    if current.kind != "builtin":
        upload_report(current)


# each of them whatever becomes of the others: a damaged data set must still be deletable
draw_each(samples, lambda: health(current), lambda: grouping(current), report, lambda: editing(current))
st.page_link("augment.py", label="See what the network will see", icon=":material/tune:")
