"""Who may come in where strangers share a server: keys in cookies, and pictures for their owner alone."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qs

import streamlit as st
from starlette.responses import PlainTextResponse

from core.errors import ThawError
from core.visitors.registry import KEY, Registry, hash_of, new_key

COOKIE: Final = "thaw"
MEDIA: Final = "/media/"
KEPT_S: Final = 400 * 86_400  # the longest that browsers keep a cookie


class Workspaces:
    """On a server that strangers share: every browser gets a key of its own, and what a page shows is for its owner.

    The key is a cookie that no script can read. A link with a key is opened beside it: it takes the cookie's place only
    where that opens nothing. Streamlit serves pictures and downloads to whoever asks; their addresses begin with the
    workspace (`components.workspace`), and here the request must bring a key of it.
    """

    def __init__(self, app: Any, is_trusted: Callable[[Any], bool]) -> None:
        """`is_trusted`: whether a browser takes a `Secure` cookie of this request's answer."""
        self.app, self.is_trusted = app, is_trusted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope.get("headers", []))
        keys = keys_in(headers.get(b"cookie", b"").decode("latin-1"))
        if is_owned(scope["path"]) and not may_have(scope["path"], keys):
            await PlainTextResponse("There is nothing here.", status_code=404)(scope, receive, send)
            return

        async def send_with_key(message: Any) -> None:
            if message["type"] == "http.response.start":
                sent = message.setdefault("headers", [])
                is_page = any(name.lower() == b"content-type" and b"text/html" in value for name, value in sent)
                if is_page and scope["method"] == "GET":
                    framed = self.is_trusted(scope)
                    end = "SameSite=None; Secure; Partitioned" if framed else "SameSite=Lax"
                    asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("w", [""])[0]
                    for name, key in keys_for(keys, asked).items():
                        cookie = f"{name}={key}; Path=/; Max-Age={KEPT_S}; HttpOnly; {end}"
                        sent.append((b"set-cookie", cookie.encode()))
            await send(message)

        await self.app(scope, receive, send_with_key)


def keys_in(cookies: str) -> dict[str, str]:
    """The keys of workspaces among a request's cookies, by the cookie's name."""
    pairs = (pair.strip().partition("=") for pair in cookies.split(";"))
    return {name: key for name, _, key in pairs if name.partition("-")[0] == COOKIE and KEY.fullmatch(key)}


def keys_for(keys: dict[str, str], asked: str) -> dict[str, str]:
    """The cookies that a page's answer gives a browser: its own key, new if it has none, and that of a link."""
    own = keys.get(COOKIE)
    if own is not None and Registry().is_spent(own):
        own = None
    if opened_by(asked) is None or asked == own:
        return {COOKIE: own or new_key()}
    if own is None or opened_by(own) is None:
        return {COOKIE: asked}
    return {COOKIE: own, f"{COOKIE}-{hash_of(asked)[:8]}": asked}


def is_owned(path: str) -> bool:
    """Whether it is about a picture or a download of somebody; its own fonts lie in such a folder, too."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return MEDIA in path and not path.startswith(f"/{base}/static/".replace("//", "/"))


def may_have(path: str, keys: dict[str, str]) -> bool:
    """Whether a picture or a download is for whoever brings these keys.

    Where a browser keeps no cookies, its session has put a secret of its own in the owner's place.
    """
    owner = path.rpartition("/")[2].partition("-")[0]
    opened = {opened_by(key) for key in keys.values()} - {None}
    return owner in opened or (owner.startswith("session") and not opened)


def opened_by(key: str) -> str | None:
    """The workspace that a key opens."""
    with suppress(ThawError):
        return Registry().find(key)
    return None
