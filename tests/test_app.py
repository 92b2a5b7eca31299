"""The entry and the frame: every page is listed, and every answer carries its headers."""

import asyncio
import base64
import hashlib
import json
import re
import socket
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import psutil
import pytest
import streamlit as st
from helpers import REPOSITORY, python
from starlette.requests import Request

import app as entry
from app import CONTENT_SECURITY_POLICY, OwnSessionsOnly, PagesOnly, SecurityHeaders, UploadsInFrames, security_policy
from benchmarks.shown import served
from core.runs.supervisor import SILENCE_S

PATIENCE_S = 120


def test_the_navigation_lists_exactly_the_files_in_pages():
    listed = re.findall(r'st\.Page\("(\w+)\.py"', (REPOSITORY / "pages" / "main.py").read_text())
    files = {path.stem for path in (REPOSITORY / "pages").glob("*.py")} - {"main"}

    assert sorted(listed) == sorted(files)


def test_every_answer_carries_the_content_security_policy():
    async def answers(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"kept")]})

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(SecurityHeaders(answers)({"type": "http"}, None, send))

    headers = dict(sent[0]["headers"])
    assert headers[b"x-own"] == b"kept"
    assert headers[b"content-security-policy"] == CONTENT_SECURITY_POLICY.encode()
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert "unsafe-eval" not in CONTENT_SECURITY_POLICY


class InlineScripts(HTMLParser):
    """What a page runs that stands in it, as a browser would find it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self._inside = list[str](), False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and "src" not in dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        self.found += [data] if self._inside else []


def is_allowed(script: str, policy: str) -> bool:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_the_inline_scripts_of_the_installed_page_may_run_and_no_others():
    page = (Path(st.__file__).parent / "static" / "index.html").read_text("utf-8")
    scripts = InlineScripts(page).found

    assert scripts and all(is_allowed(script, CONTENT_SECURITY_POLICY) for script in scripts)
    assert CONTENT_SECURITY_POLICY.count("sha256-") == len(scripts)


def test_another_streamlit_s_scripts_are_allowed_as_they_are_there():
    page = "<head><script>\r\n  window.other = 1\r\n</script><script src='a.js'></script><script async>b()</script>"

    policy = security_policy(page.encode())

    assert is_allowed("\n  window.other = 1\n", policy) and is_allowed("b()", policy)
    assert policy.count("sha256-") == 2 and not any(is_allowed(script, policy) for script in ("", "c()"))


def cookies_given(scheme: str, headers: dict[str, str]) -> list[str]:
    """The cookies of an answer to a request, of which the server itself gives two."""

    async def answers(scope, receive, send):
        given = [b"_streamlit_xsrf=2|ab|cd|1; Path=/; SameSite=Lax", b"other=1; SameSite=Lax"]
        await send({"type": "http.response.start", "headers": [(b"set-cookie", cookie) for cookie in given]})

    sent = []

    async def send(message):
        sent.append(message)

    named = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "scheme": scheme, "headers": named}
    asyncio.run(UploadsInFrames(answers)(scope, None, send))
    return [value.decode() for name, value in sent[0]["headers"]]


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ("https", {"host": "thaw.example"}),
        ("http", {"host": "someone-thaw.hf.space", "x-forwarded-proto": "https"}),
        ("http", {"host": "10.0.0.3:7860", "x-forwarded-proto": "https, http"}),
        ("http", {"host": "localhost:8501"}),
        ("http", {"host": "127.0.0.1:8501"}),
        ("http", {"host": "[::1]:8501"}),
    ],
)
def test_the_cookie_of_uploads_is_given_once_more_for_frames_with_the_same_token(scheme, headers):
    own, other, framed = cookies_given(scheme, headers)

    assert (own, other) == ("_streamlit_xsrf=2|ab|cd|1; Path=/; SameSite=Lax", "other=1; SameSite=Lax")
    assert framed == "_streamlit_xsrf=2|ab|cd|1; Path=/; SameSite=None; Secure; Partitioned"


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        ("http", {"host": "192.168.1.5:8501"}),
        ("http", {"host": "localhost.example"}),
        ("https", {"host": "thaw.example", "x-forwarded-proto": "http"}),
        ("http", {"host": "[odd"}),
        ("http", {}),
    ],
)
def test_where_browsers_refuse_secure_cookies_none_is_added(scheme, headers):
    assert len(cookies_given(scheme, headers)) == 2


def answer_to_a_session(headers: dict[str, str]) -> str:
    async def accepts(scope, receive, send):
        await send({"type": "websocket.accept"})

    sent = []

    async def send(message):
        sent.append(message["type"])

    named = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(OwnSessionsOnly(accepts)({"type": "websocket", "headers": named}, None, send))
    return " ".join(sent)


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"host": "thaw.example", "origin": "https://thaw.example"}, "accept"),
        ({"host": "thaw.example:8443", "origin": "https://thaw.example:8443"}, "accept"),
        ({"host": "10.0.0.3:7860"}, "accept"),
        ({"host": "10.0.0.3:7860", "origin": "http://localhost:8501"}, "accept"),
        ({"host": "thaw.example", "origin": "https://elsewhere.example"}, "close"),
        ({"host": "thaw.example", "origin": "https://thaw.example.elsewhere.example"}, "close"),
        ({"host": "thaw.example", "origin": "null"}, "close"),
        ({"host": "thaw.example", "origin": "http://[odd"}, "close"),
        ({"origin": "https://thaw.example"}, "close"),
    ],
)
def test_pages_of_other_sites_get_no_session_and_nobody_else_is_asked_about_them(headers, answer):
    assert answer_to_a_session(headers) == f"websocket.{answer}"


@pytest.mark.parametrize(("silent_s", "status"), [(0.0, 200), (SILENCE_S, 200), (SILENCE_S + 1, 503)])
def test_whether_the_server_is_well_depends_on_the_worker_s_signs_of_life(monkeypatch, silent_s, status):
    monkeypatch.setitem(entry.app.state, "supervisor", SimpleNamespace(silent_s=silent_s))

    answer = entry.health(Request({"type": "http"}))

    assert answer.status_code == status
    assert json.loads(answer.body) == {"well": status == 200, "worker_silent_s": silent_s}


@pytest.mark.slow
def test_what_is_let_go_while_the_server_loads_torch_is_collected():
    code = """
import gc, weakref, app

class Session: pass

held = Session()
held.itself, seen = held, weakref.ref(held)
app._import_early()
del held
gc.collect()
print(seen(), gc.isenabled())
"""
    assert python(code).split() == ["None", "True"]


@pytest.mark.slow
def test_a_server_ends_though_somebody_takes_no_answer(tmp_path: Path):
    largest = max((Path(st.__file__).parent / "static").rglob("*.js"), key=lambda path: path.stat().st_size)
    assert largest.stat().st_size > 2_000_000, "more than lies between a server and a client"
    with served(tmp_path) as url, closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", urlsplit(url).port))
        client.sendall(f"GET /static/js/{largest.name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        (server,) = (child for child in psutil.Process().children() if str(urlsplit(url).port) in child.cmdline())
        server.terminate()

        assert server.wait(PATIENCE_S) == -15


@pytest.mark.parametrize(
    ("path", "query", "leads"),
    [
        ("/", "", None),
        ("/data", "run=1", None),
        ("/media/report.html", "", None),
        ("/nosuch", "", "./?page=nosuch"),
        ("/data/nosuch", "w=key", "../?page=data%2Fnosuch&w=key"),
        ("/home", "data=digits", "./?data=digits"),
        ("/workspace", "", "./?page=workspace"),
        ("/<script>/a&b=c", "", "../?page=%3Cscript%3E%2Fa%26b%3Dc"),
    ],
)
def test_whoever_asks_for_no_page_is_led_home_and_told_there(path, query, leads):
    async def page_for_everything(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"blank"})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []}
    asyncio.run(PagesOnly(page_for_everything)(scope, None, send))

    start, body = sent
    assert dict(start["headers"]).get(b"location", b"").decode() == (leads or "")
    assert (start["status"], body["body"]) == ((200, b"blank") if leads is None else (303, b""))
