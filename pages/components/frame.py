"""The frame around everything that a page draws: what goes wrong in it ends in a sentence, and the rest stays usable.

Streamlit's own signals, to stop or to draw anew, are no errors and pass through.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st
from streamlit.errors import FragmentHandledException

from core.storage import explain

from .messages import show_error

P = ParamSpec("P")
log = logging.getLogger("thaw.pages")


def draw_each(*parts: Callable[[], object]) -> None:
    """Draw parts of a page one after the other, each whatever became of the others; the same failure is told once."""
    told: set[str] = set()
    for draw in parts:
        try:
            draw()
        except Exception as error:  # the boundary of a page, as `execute` is that of a run
            if repr(error) not in told:
                show_failure(error)
            told.add(repr(error))


def framed(draw: Callable[P, object]) -> Callable[P, None]:
    """`draw` without exceptions, for what Streamlit runs on its own: fragments and dialogs."""

    @wraps(draw)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except Exception as error:  # as above
            show_failure(error)

    return guarded


def show_failure(error: Exception) -> bool:
    """What happened, as a sentence; a bug goes into the log whole. Always True: it was shown."""
    if isinstance(error, FragmentHandledException):  # it has been shown, inside its fragment
        return True
    expected = explain(error)
    if expected is not None:
        show_error(expected)
        return True
    log.error("a page failed", exc_info=error)
    st.error(
        f"Thaw did not expect this ({type(error).__name__}); the server's log has the details. Nothing that was stored "
        "is lost: reload the page, or go on with another one.",
        title="This part of the page failed",
        icon=":material/error:",
    )
    return True
