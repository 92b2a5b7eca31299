"""The workspace's link, and what it has of the server."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import streamlit as st

from core.visitors.signin import SIGN_IN, can_sign_in

from .. import visitor
from ..messages import md

_SHARES: Final = {
    "pictures": ("Pictures", "{:,.0f}"),
    "megabytes": ("Storage", "{:,.0f} MB"),
    "runs": ("Runs", "{:,.0f}"),
    "minutes": ("Training today", "{:,.0f} min"),
}


def private_link() -> None:
    """How one comes back, from this browser and from others."""
    workspace = visitor.mine()
    until = datetime.fromtimestamp(workspace.place.expires, UTC)
    seen = "; your class sees your runs on its pictures" if workspace.place.room else ""
    st.markdown(
        f"Only you see what is in here{seen}. It is kept until **{until:%d %B %Y}**: {workspace.days} days from each "
        "visit, then everything in it is deleted."
    )
    st.header("Private link", anchor=False)
    here = (st.context.url or "").rpartition("/")[0]
    st.code(f"{here}/?{visitor.NAME}={visitor.key()}", language=None, wrap_lines=True)
    st.caption(
        "Whoever has it has everything in here: it is a key. "
        + (
            "This browser brings none by itself, so keep the link: nothing else leads back."
            if visitor.key_is_in_address()
            else "This browser remembers it; keep the link to come back from another one."
        )
    )
    if st.button("Replace the link", icon=":material/sync_lock:", key="workspace.change", help=_REPLACE):
        visitor.change_key()
        st.toast("The old link opens nothing any more.", icon=":material/sync_lock:")
        st.rerun()
    if can_sign_in():
        _sign_in(f"{here}/workspace")


def _sign_in(address: str) -> None:
    """An account instead of a link that has to be kept. In a tab of its own: no provider shows itself in a frame."""
    if SIGN_IN in st.query_params and visitor.signed_in() is None:
        st.login()
    elif visitor.signed_in() is None:
        to = urlencode({visitor.NAME: visitor.key(), SIGN_IN: "1"})
        st.link_button("Sign in to find it from any device", f"{address}?{to}", icon=":material/login:", help=_ACCOUNT)
    else:
        name = st.user.get("preferred_username") or st.user.get("name") or "you"
        st.markdown(f"Signed in as **{md(str(name))}**: wherever you sign in, you come to this workspace.")
        st.button("Sign out", icon=":material/logout:", key="workspace.sign_out", on_click=st.logout)


_ACCOUNT: Final = "Only a hash of your account is kept, to find this workspace by; it goes with the workspace."
_REPLACE: Final = "For a link that has come into other hands: it opens nothing any more, and a new one does."


def shares() -> None:
    """What is used of this visitor's share."""
    st.header("Your share of this server", anchor=False)
    with st.container(horizontal=True, key="workspace-shares"):
        for share in visitor.mine().shares():
            label, text = _SHARES[share.what]
            with st.container(width=165):  # two beside each other on a phone
                st.metric(label, text.format(share.used))
                part = min(1.0, share.used / share.limit)
                st.progress(part, text=f"of {text.format(share.limit)}")
