"""Who may come in where strangers share a server: keys in cookies, and pictures for their owner alone."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from core.errors import ThawError
from core.visitors.registry import COOKIE, FRAMED, KEY, SECRET, Registry, hash_of, new_key
from core.visitors.signin import SIGN_IN, SIGNING_IN

MEDIA: Final = "/media/"
KEPT_S: Final = 400 * 86_400  # the longest that browsers keep a cookie


class Workspaces:
    """On a server that strangers share: every browser gets a key of its own, and what a page shows is for its owner.

    The key is a cookie that no script can read. A link with a key is opened beside it: it takes the cookie's place only
    where that opens nothing. Streamlit serves pictures and downloads to whoever asks; their addresses begin with the
    workspace (`components.media`), and here the request must bring a key of it. A cookie says where a browser shows
    Thaw in a frame: Chromium brings no cookies of a frame when it downloads, so addresses have a secret there. The
    registry is asked in a thread: a database that is busy has one visitor wait, and not the loop that serves all.
    """

    def __init__(self, app: Any, is_trusted: Callable[[Any], bool]) -> None:
        """`is_trusted`: whether a browser takes a `Secure` cookie of this request's answer."""
        self.app, self.is_trusted = app, is_trusted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        keys = keys_in(asked.cookies)
        if is_owned(scope["path"]) and not await run_in_threadpool(may_have, scope["path"], keys):
            await PlainTextResponse("There is nothing here.", status_code=404)(scope, receive, send)
            return

        async def send_with_key(message: Any) -> None:
            if message["type"] == "http.response.start" and scope["method"] == "GET":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                if "text/html" in headers.get("content-type", ""):
                    given = await run_in_threadpool(keys_for, keys, asked.query_params.get("w", ""))
                    if SIGN_IN in asked.query_params:
                        given[SIGNING_IN] = [*given.values()][-1]  # the link's, if there is one
                    if asked.headers.get("sec-fetch-dest") == "iframe":
                        given[FRAMED] = "1"
                    for name, key in given.items():
                        headers.append("set-cookie", self._cookie(scope, name, key))
            await send(message)

        await self.app(scope, receive, send_with_key)

    def _cookie(self, scope: Any, name: str, key: str) -> str:
        end = "SameSite=None; Secure; Partitioned" if self.is_trusted(scope) else "SameSite=Lax"
        return f"{name}={key}; Path=/; Max-Age={KEPT_S}; HttpOnly; {end}"


def keys_in(cookies: Mapping[str, str]) -> dict[str, str]:
    """The keys of workspaces among a request's cookies, by the cookie's name."""
    return {name: key for name, key in cookies.items() if name.partition("-")[0] == COOKIE and KEY.fullmatch(key)}


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

    Where a browser keeps no cookies, or does not always bring them, its session has put a secret of its own before the
    owner: whoever knows it brings the owner's key, or none.
    """
    secret, _, owner = path.rpartition("/")[2].partition("-")[0].rpartition("_")
    opened = {opened_by(key) for key in keys.values()} - {None}
    return owner in opened or (secret.startswith(SECRET) and not opened)


def opened_by(key: str) -> str | None:
    """The workspace that a key opens."""
    with suppress(ThawError):
        return Registry().find(key)
    return None
