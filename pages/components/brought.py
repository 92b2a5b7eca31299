"""What visitors bring is in the server's memory only as long as a page shows it or still has to read it.

Streamlit itself lets go of an upload when its visitor takes it out by hand or has left for two minutes; not when the
page is another one, nor when its widget is.
"""

from collections.abc import Iterable
from typing import Final

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile

_HELD: Final = "brought.held"
_LOST: Final = (
    "This file is listed here, but Thaw has it no longer: the server was started anew, or this page was away for some "
    "minutes. Take it out and bring it again."
)


def let_go_of_what_is_gone() -> None:
    """At the start of a run: what an earlier one held and none of the page's widgets holds any more."""
    values = [value if isinstance(value, list) else [value] for value in st.session_state.to_dict().values()]
    held = {one.file_id for several in values for one in several if isinstance(one, UploadedFile)}
    let_go(st.session_state.get(_HELD, set()) - held)
    st.session_state[_HELD] = held


def let_go(files: Iterable[str]) -> None:
    """Free what was brought under these ids; a widget that still holds one is empty from the next run on."""
    context = get_script_run_ctx()
    if context and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        for file in files:
            context.uploaded_file_mgr.remove_file(context.session_id, file)


def say_if_lost(key: str) -> None:
    """Where a widget of the browser still lists what the server let go of meanwhile, that it has to be brought again.

    Args:
        key: of a file uploader that has been drawn.
    """
    value = st.session_state.get(key)
    if any(isinstance(one, DeletedFile) for one in (value if isinstance(value, list) else [value])):
        st.warning(_LOST, icon=":material/unpublished:")
