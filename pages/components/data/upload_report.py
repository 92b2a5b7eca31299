"""What became of every file that was brought: used, normalised, skipped, ignored."""

import pandas as pd
import streamlit as st

from core.data.dataset import Dataset
from core.data.reading.report import as_csv

from .. import chosen
from ..gallery import GalleryItem, gallery
from ..messages import md
from ..resources import thumbnail
from ..wording import counted

SHOWN = 6


def upload_report(dataset: Dataset) -> None:
    """Counts, what was odd, the left-out files with their reasons, and the whole as a table to download."""
    normalised = [index for index, picture in enumerate(dataset.pictures) if picture.notes]
    words = [f"{len(dataset.pictures):,} used", f"{len(normalised):,} of them normalised"]
    words += [f"{len(dataset.skipped):,} skipped", f"{len(dataset.ignored):,} ignored"]
    st.markdown(f"#### What became of the files\n{' · '.join(words)}")
    for notice in dataset.notices:
        st.caption(f":material/info: {md(notice, 400)}")
    if dataset.skipped:
        st.markdown(f"{counted(len(dataset.skipped), 'picture')} skipped: not readable here. The others were kept.")
        _left_out(dataset.skipped)
    if normalised:
        with st.expander(f"{counted(len(normalised), 'picture')} normalised", key="data.normalised"):
            items = [
                GalleryItem(
                    image=thumbnail(chosen.home(), dataset.id, index),
                    title=dataset.pictures[index].name.rsplit("/", 1)[-1],
                    captions=dataset.pictures[index].notes,
                )
                for index in normalised[:SHOWN]
            ]
            gallery(items, SHOWN, "data.normalised.pictures")
            if len(normalised) > SHOWN:
                st.caption(f"The first {SHOWN} of {len(normalised):,}; the table has them all.")
    if dataset.ignored:
        with st.expander(f"{counted(len(dataset.ignored), 'other file')} ignored", key="data.ignored"):
            _left_out(dataset.ignored)
    st.download_button(
        "The whole report",
        lambda: as_csv(dataset).encode("utf-8", "replace"),
        "thaw-upload.csv",
        "text/csv",
        icon=":material/download:",
        key="data.report",
        on_click="ignore",
    )


def _left_out(rows: tuple) -> None:  # type: ignore[type-arg]
    st.dataframe(
        pd.DataFrame([{"file": row.file, "reason": row.reason, "code": row.code} for row in rows]),
        hide_index=True,
        alt="Files that were left out, with the reason",
    )
