"""Pictures in a grid, each with its title, its lines and, if it was judged, a mark."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from .messages import md, plain

Mark = Literal["good", "bad"]

NARROWEST: Final = 140
"""Pixels: a telephone held upright (390) shows two columns, and never a scroll bar."""

_MARKS: Final[dict[Mark, dict[str, Any]]] = {
    "good": {"label": "right", "icon": ":material/check:", "color": "green"},
    "bad": {"label": "wrong", "icon": ":material/close:", "color": "red"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryItem:
    """One picture and what is said about it. All text is shown literally."""

    image: bytes | NDArray[np.uint8]
    """An encoded picture, or pixels of shape (H, W, 3)."""
    title: str
    captions: tuple[str, ...] = ()
    """Short lines under the title."""
    alt: str = ""
    """What tells the picture from others of its title to somebody who does not see it."""
    mark: Mark | None = None
    """Whether what is shown is right or wrong; said by word and icon as well as by colour."""


def gallery(items: Sequence[GalleryItem], columns_wide: int, key: str, narrowest: int = NARROWEST) -> None:
    """Draw the pictures in at most `columns_wide` columns; fewer where the window is narrow."""
    grid = st.grid(columns_wide, min_column_width=narrowest, key=key)
    for item in items:
        with grid.cell(), st.container(gap="xxsmall"):
            _draw(item)


def _draw(item: GalleryItem) -> None:
    judged = f", {_MARKS[item.mark]['label']}" if item.mark else ""
    named = f", {plain(item.alt)}" if item.alt else ""
    st.image(item.image, width="stretch", alt=plain(item.title) + named + judged)
    if item.mark:
        st.badge(**_MARKS[item.mark])
    st.markdown(f"**{md(item.title)}**")
    if item.captions:
        st.caption("  \n".join(md(line) for line in item.captions))
