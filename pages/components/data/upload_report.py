"""What became of every file that was brought: used, normalised, skipped, ignored."""

import pandas as pd
import streamlit as st

from core.data.dataset import Dataset
from core.data.reading.report import as_csv
from core.data.summary import empty_classes_sentence, skipped_sentence

from .. import chosen
from ..gallery import GalleryItem, gallery
from ..messages import md
from ..resources import thumbnail
from ..wording import counted

SHOWN = 6


def is_pressing(dataset: Dataset) -> bool:
    """Whether something was left out: then the report stands at the top."""
    return bool(skipped_sentence(dataset) or empty_classes_sentence(dataset))


def upload_report(dataset: Dataset) -> None:
    """What was odd, the left-out files with their reasons, and the whole as a table to download; folded."""
    pressing = is_pressing(dataset)
    label = "See what was skipped" if pressing else "What became of the files"
    with st.expander(label, icon=":material/rule:", key=f"data.files.{dataset.id}"):
        for notice in dataset.notices:
            st.caption(f":material/info: {md(notice, 400)}")
        if dataset.skipped:
            st.markdown(f"{counted(len(dataset.skipped), 'picture')} skipped: not readable here. The others were kept.")
            _left_out(dataset.skipped)
        if dataset.ignored:
            st.markdown(f"{counted(len(dataset.ignored), 'other file')} ignored.")
            _left_out(dataset.ignored)
        _normalised(dataset)
        st.download_button(
            "The whole report",
            lambda: as_csv(dataset).encode("utf-8", "replace"),
            "thaw-upload.csv",
            "text/csv",
            icon=":material/download:",
            key="data.report",
            on_click="ignore",
        )


def _normalised(dataset: Dataset) -> None:
    """Pictures that something was done to, to make them usable."""
    normalised = [index for index, picture in enumerate(dataset.pictures) if picture.notes]
    if not normalised:
        return
    more = f", the first {SHOWN} of them here" if len(normalised) > SHOWN else ""
    st.markdown(f"{counted(len(normalised), 'picture')} normalised{more}.")
    items = [
        GalleryItem(
            image=thumbnail(chosen.home(), dataset.id, index),
            title=dataset.pictures[index].name.rsplit("/", 1)[-1],
            captions=dataset.pictures[index].notes,
        )
        for index in normalised[:SHOWN]
    ]
    gallery(items, SHOWN, "data.normalised.pictures")


def _left_out(rows: tuple) -> None:  # type: ignore[type-arg]
    table = pd.DataFrame([{"file": row.file, "reason": row.reason, "code": row.code} for row in rows])
    st.dataframe(
        table if table["code"].any() else table.drop(columns="code"),
        hide_index=True,
        alt="Files that were left out, with the reason",
    )
