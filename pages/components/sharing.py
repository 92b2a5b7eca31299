"""The address of what is shown, for others: as text to copy, and as a QR code for the phones in a room."""

import io
from typing import Final
from urllib.parse import urlencode, urlsplit

import segno
import streamlit as st

from core.visitors.signin import SIGN_IN

from .hosting import THIS_COMPUTER, address_in_the_room, listens_to_others

ONE_S_OWN: Final = {"projector", "w", "class", SIGN_IN}  # how it is shown here, and to whom; not what others are shown
SIDE: Final = 264  # pixels of the code on the screen
LONGEST: Final = 1500  # characters: a denser code is not read from a screen any more


def share(key: str) -> None:
    """A popover with a link that opens this page as it is now: same pictures, settings and seeds."""
    shared = st.popover("Share", icon=":material/share:", type="tertiary", key=key, on_change="rerun")
    if shared.open:
        with shared, st.container(width=SIDE + 96):
            _link(st.context.url)


def _link(here: str | None) -> None:
    if here is None:
        st.caption("Copy the address from the browser's address bar.")
        return
    outside = for_others(here)
    link = with_choices(outside or here)
    st.code(link, language=None, wrap_lines=True)
    if outside is None:
        st.caption(":material/lan: Only this computer can open it: the server listens to no other.")
    elif len(link) > LONGEST:
        st.caption(":material/qr_code: Too long for a QR code that a phone can read.")
    else:
        st.image(qr_code(link), width=SIDE, alt="The link as a QR code")
        if outside != here:
            st.caption(":material/wifi: For devices in the same network as this computer.")


def for_others(here: str) -> str | None:
    """The address of a page as others reach it; None where nobody does.

    A browser behind a proxy, or in a Space, knows the right one. Where it says `localhost`, the address of this
    computer in its network takes that place.
    """
    parts = urlsplit(here)
    if parts.hostname not in THIS_COMPUTER:
        return here
    host = address_in_the_room() if listens_to_others() else None
    return host and parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()


def with_choices(address: str) -> str:
    """A page's address with everything that its session's address says."""
    names = [name for name in st.query_params if name not in ONE_S_OWN]
    query = urlencode([(name, value) for name in names for value in st.query_params.get_all(name)], safe=",~=")
    return f"{address}?{query}" if query else address


def qr_code(text: str) -> bytes:
    """A PNG, black on white with its margin, so that it is read in a dark theme, too."""
    code = segno.make(text, error="l", micro=False)
    buffer = io.BytesIO()
    code.save(buffer, kind="png", scale=max(2, -(-2 * SIDE // code.symbol_size()[0])))
    return buffer.getvalue()
