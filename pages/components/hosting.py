"""Where the app is served from: strangers' browsers, and frames of other pages that keep uploads out."""

import os
from typing import Final

import streamlit as st

_COOKIE: Final = "_streamlit_xsrf"


def say_if_uploads_are_refused() -> None:
    """A sentence, and a link that opens the app by itself; nothing where files can be brought."""
    if not st.get_option("server.enableXsrfProtection") or not st.context.headers or _COOKIE in st.context.cookies:
        return
    with st.container(border=True, key="framed"):
        st.markdown(
            ":material/cookie_off: **Files cannot be brought here.** The browser keeps no cookies for Thaw in this "
            "place, most likely because another page shows it in a frame, and uploads are checked by one. Open Thaw by "
            "itself, or allow its cookies and reload the page."
        )
        st.link_button("Open Thaw by itself", st.context.url or "/", icon=":material/open_in_new:")


def is_hosted() -> bool:
    """Whether strangers use this server: on Hugging Face Spaces, or where `THAW_HOSTED` says so."""
    return bool(os.environ.get("SPACE_ID") or os.environ.get("THAW_HOSTED"))
