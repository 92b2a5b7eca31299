"""Where the app is served from: strangers' browsers, frames of other pages that keep uploads out, a room of people."""

import socket
from ipaddress import ip_address
from typing import Final

import psutil
import streamlit as st

THIS_COMPUTER: Final = {"localhost", "127.0.0.1", "::1"}
_ELSEWHERE: Final = ("192.0.2.1", 9)  # kept free for documentation (RFC 5737)
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


def listens_to_others() -> bool:
    """Whether the server answers more than this computer."""
    return (st.get_option("server.address") or "") not in THIS_COMPUTER


def address_in_the_room() -> str | None:
    """This computer's address in its network; None where it is in none. Nothing is sent to find it.

    Connecting a UDP socket only picks the way out. Where there is none, as in a room without the internet, an address
    of a private network is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
            return str(probe.getsockname()[0])
        except OSError:
            cards = psutil.net_if_addrs().values()
    known = [ip_address(one.address) for card in cards for one in card if one.family == socket.AF_INET]
    return next((str(one) for one in known if one.is_private and not one.is_loopback), None)
