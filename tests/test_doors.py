"""Who may come in where strangers share a server: keys in cookies, and pictures for their owner alone."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from core.visitors.signin import SIGNING_IN
from core.workspaces.workspace import new_workspace
from doors import Workspaces, is_owned, keys_for, keys_in, may_have


@pytest.fixture(autouse=True)
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_HOSTED", "1")


def test_only_whole_keys_are_read_from_cookies():
    key = "A" * 22

    cookies = {"_xsrf": "1", "thaw": key, "thaw-12ab": key, "thaw-x": "short", "other": key}
    assert keys_in(cookies) == {"thaw": key, "thaw-12ab": key}


def test_fonts_are_everybody_s_and_pictures_their_owner_s():
    (mine, key), (_, other) = new_workspace(), new_workspace()

    assert is_owned(f"/media/{mine.id}-ab.jpg") and not is_owned("/static/media/font.woff2") and not is_owned("/data")
    assert may_have(f"/media/{mine.id}-ab.jpg", {"thaw": key})
    assert may_have(f"/media/{mine.id}-ab.jpg", {"thaw": other, "thaw-link": key})
    for keys in ({}, {"thaw": other}, {"thaw": "A" * 22}):
        assert not may_have(f"/media/{mine.id}-ab.jpg", keys)
        assert not may_have("/media/ab.jpg", keys), "what has no owner is nobody's"
    secret = f"/media/session{'5' * 32}_{mine.id}-cd.jpg"
    assert may_have(secret, {}) and may_have(secret, {"thaw": key}) and not may_have(secret, {"thaw": other})


def test_who_goes_to_sign_in_brings_back_what_the_link_named():
    (_, key), (_, other) = new_workspace(), new_workspace()

    def kept(cookie: str, link: str) -> str:
        return next(given for given in answered("/workspace", cookie, link)[1] if given.startswith(SIGNING_IN))

    assert kept(f"thaw={key}", f"w={other}&sign-in=1").startswith(f"{SIGNING_IN}={other};")
    assert kept(f"thaw={key}", f"w={key}&sign-in=1").startswith(f"{SIGNING_IN}={key};")
    assert kept("", f"w={other}&sign-in=1").startswith(f"{SIGNING_IN}={other};")
    assert not any(given.startswith(SIGNING_IN) for given in answered("/workspace", f"thaw={key}", f"w={other}")[1])


def answered(
    path: str, cookie: str = "", link: str = "", headers: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, list[str]]:
    """Status and cookies of the answer that a browser gets."""
    sent: list[dict[str, Any]] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    brought = {"cookie": cookie, **headers}
    raw = [(name.encode(), value.encode()) for name, value in brought.items() if value]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": link.encode(), "headers": raw}
    asyncio.run(Workspaces(page, is_trusted=lambda scope: False)(scope, None, send))
    cookies = [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]
    return sent[0]["status"], cookies


def test_a_page_gives_a_key_and_a_picture_is_for_whoever_brings_it():
    (mine, key), (_, other) = new_workspace(), new_workspace()

    status, (given,) = answered("/")
    assert status == 200 and keys_in(dict([given.split(";")[0].split("=")])) and "HttpOnly; SameSite=Lax" in given
    assert answered("/", f"thaw={key}")[1][0].startswith(f"thaw={key};")
    assert [cookie.split("=")[0][:5] for cookie in answered("/", f"thaw={key}", f"w={other}")[1]] == ["thaw", "thaw-"]
    picture = f"/media/{mine.id}-ab.jpg"
    assert answered(picture, f"a=b; thaw={key}")[0] == 200
    assert answered(picture)[0] == answered(picture, f"thaw={other}")[0] == 404


def test_a_browser_that_shows_a_page_in_a_frame_is_told_apart():
    assert not any(given.startswith("thaw-framed") for given in answered("/")[1])
    assert [given.split(";")[0] for given in answered("/", headers={"sec-fetch-dest": "iframe"})[1]][1:] == [
        "thaw-framed=1"
    ]
    assert keys_in({"thaw-framed": "1"}) == {}, "it opens nothing"


def test_a_link_takes_a_browser_s_own_key_s_place_only_where_that_opens_nothing():
    (_, own), (workspace, linked) = new_workspace(), new_workspace()

    (fresh,) = keys_for({}, "").values()
    assert len(fresh) == 22 and keys_for({}, "no key") != {"thaw": "no key"}
    assert keys_for({}, linked) == keys_for({"thaw": "A" * 22}, linked) == {"thaw": linked}
    both = keys_for({"thaw": own}, linked)
    assert both["thaw"] == own and linked in both.values() and len(both) == 2
    workspace.delete()
    assert linked not in keys_for({"thaw": linked}, "").values(), "a spent key is not kept"
