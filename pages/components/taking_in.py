"""Pictures are drawn, read and decoded: a bar that says what is going on."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from core.data.ingest import Ingested, IngestProgress

Show = Callable[[IngestProgress], None]

_STAGES: Final = {
    "drawing": ("Drawing the built-in pictures", 0.0, 0.7),
    "fetching": ("Fetching", 0.0, 0.25),
    "reading": ("Reading", 0.0, 0.3),
    "decoding": ("Decoding", 0.3, 0.95),
    "comparing": ("Looking for copies", 0.95, 1.0),
}
"""How a stage is called, and from where to where the bar goes in it."""


def watched(work: Callable[[Show], Ingested], first: str = "") -> Ingested:
    """Do the work with a bar on the screen; it never goes back.

    Args:
        first: said before the work says anything itself; without it there is no bar for what is here already.
    """
    place, furthest = st.empty(), 0.0
    if first:
        place.progress(0.0, text=first)

    def show(progress: IngestProgress) -> None:
        nonlocal furthest
        words, start, end = _STAGES[progress.stage]
        furthest = max(furthest, start + (end - start) * progress.done / max(1, progress.total))
        what = "files" if progress.stage == "fetching" else "pictures"
        counted = f": {progress.done:,} of {progress.total:,} {what}" if progress.total > 1 else "…"
        place.progress(min(1.0, furthest), text=words + counted)

    try:
        return work(show)
    finally:
        place.empty()
