"""The entry: `streamlit run app.py`. Starts the worker with the server, stops it with the server, adds headers."""

import base64
import hashlib
import importlib
import os
import re
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import streamlit as st
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route
from streamlit.config import set_option

from core.machine.process import prepare_process
from core.runs.supervisor import SILENCE_S, Supervisor
from core.storage import is_hosted

_INLINE: Final = re.compile(rb"<script(?![^>]*\bsrc\b)[^>]*>(.*?)</script>", re.DOTALL)


def security_policy(page: bytes) -> str:
    """Everything from this server, nothing from elsewhere; of what runs, only this page's own inline scripts beside.

    Styles are inline because Streamlit writes them so, and data: may be connected to because its camera fetches its
    own photo.
    """
    found = _INLINE.findall(page.replace(b"\r\n", b"\n"))  # as a browser reads it
    inline = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in found)
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in inline)])
    return (
        "default-src 'self'; base-uri 'self'; object-src 'none'; form-action 'self'; "
        f"script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; font-src 'self' data:; connect-src 'self' data: ws: wss:; worker-src 'self' blob:; "
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
    )


CONTENT_SECURITY_POLICY: Final = security_policy((Path(st.__file__).parent / "static" / "index.html").read_bytes())


class SecurityHeaders:
    """Adds a content security policy and its friends to every HTTP answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", []).extend(
                    [
                        (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
                        (b"x-content-type-options", b"nosniff"),
                        (b"referrer-policy", b"same-origin"),
                    ]
                )
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


UPLOAD_COOKIE: Final = b"_streamlit_xsrf="
THIS_COMPUTER: Final = {"localhost", "127.0.0.1", "::1"}


class UploadsInFrames:
    """Files can be brought where a page of another site shows Thaw in a frame, as Hugging Face shows its Spaces.

    Streamlit takes an upload only with a token that its cookie holds, too. The cookie is `SameSite=Lax`, which no
    browser keeps in such a frame, so it is given a second time: for frames, and for those of each outer site apart
    (`Partitioned`). The check stays what it was: a page elsewhere can read neither cookie, so it cannot give the token.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_cookie(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                given = [
                    value
                    for name, value in headers
                    if name.lower() == b"set-cookie" and value.startswith(UPLOAD_COOKIE)
                ]
                for value in given:
                    token = value.partition(b";")[0]
                    headers.append((b"set-cookie", token + b"; Path=/; SameSite=None; Secure; Partitioned"))
            await send(message)

        await self.app(scope, receive, send_with_cookie if is_trusted_by_browsers(scope) else send)


def is_trusted_by_browsers(scope: Any) -> bool:
    """Whether a request came over https, be it to a proxy before this server, or from this computer.

    Elsewhere a browser refuses cookies that are `Secure`, and others are not kept in frames.
    """
    if scope["type"] != "http":
        return False
    headers = dict(scope.get("headers", []))
    outside = headers.get(b"x-forwarded-proto", b"").decode("latin-1").partition(",")[0].strip()
    try:
        host = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").hostname
    except ValueError:  # nothing that a browser sends
        return False
    return (outside or scope.get("scheme")) == "https" or host in THIS_COMPUTER


class OwnSessionsOnly:
    """No page of another site gets a session here.

    Streamlit would refuse it, too, but first asks an outside server, within the event loop, whether the site is this
    machine's own: one stranger could have everybody wait for seconds, again and again.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and is_from_elsewhere(dict(scope.get("headers", []))):
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)


def is_from_elsewhere(headers: dict[bytes, bytes]) -> bool:
    """Whether a browser asks for another site than the one it was asked from; others send no origin."""
    if not st.get_option("server.enableCORS") or st.get_option("server.corsAllowedOrigins"):
        return False  # somebody has said who may
    origin = headers.get(b"origin")
    try:
        site = urlsplit((origin or b"").decode("latin-1"))
        return (
            origin is not None and site.netloc.encode() != headers.get(b"host") and site.hostname not in THIS_COMPUTER
        )
    except ValueError:  # nothing that a browser sends
        return True


class PagesOnly:
    """Whoever asks for a page that is not here comes to Home, which says so (`components.addressed`).

    Streamlit gives its own page for every address. Below a folder (`/data/nosuch`) that finds none of its scripts, and
    stays blank; else it opens a box of its own before Home.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        away: RedirectResponse | None = None

        async def send_or_lead_away(message: Any) -> None:
            nonlocal away
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                is_page = Headers(raw=message["headers"]).get("content-type", "").startswith("text/html")
                away = way_home(scope) if is_page else None
                if away:
                    await away(scope, receive, send)
            if away is None:
                await send(message)

        await self.app(scope, receive, send_or_lead_away if scope["type"] == "http" else send)


PAGES: Final = {path.stem for path in (Path(__file__).parent / "pages").glob("*.py")} - {"main", "home"}
_FILES: Final = ("_stcore/", "app/static/", "component/", "media/", "static/")
"""How addresses begin under which Streamlit serves files, which may be HTML, too."""


def way_home(scope: Any) -> RedirectResponse | None:
    """Where to go from an address that is no page's; None from those that are. Relative: a proxy may add a folder."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    asked = f"{scope['path']}/".removeprefix(f"/{base}/" if base else "/").strip("/")
    if asked in PAGES - (set() if is_hosted() else {"workspace"}) | {""} or asked.startswith(_FILES):
        return None
    named = "" if asked == "home" else f"page={quote(asked[:80], safe='')}"
    query = "&".join(filter(None, (named, scope["query_string"].decode("latin-1"))))
    return RedirectResponse(f"{'../' * asked.count('/') or './'}?{query}", HTTPStatus.SEE_OTHER)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    """One worker for as long as the server lives."""
    prepare_process()
    end_without_the_slow()
    supervisor = Supervisor()
    supervisor.start()
    exporter = _start_exporter() if os.environ.get("THAW_MLFLOW") else None
    sweep = _start_sweeper() if is_hosted() else None
    threading.Thread(target=_import_early, daemon=True).start()
    try:
        yield {"supervisor": supervisor}
    finally:
        if sweep:
            sweep.stop()
        if exporter:
            exporter.stop()
        supervisor.stop()


GRACE_S: Final = 3  # whoever stops a container waits ten, and the worker must end, too


def end_without_the_slow() -> None:
    """A server that is told to end waits `GRACE_S` for its answers to be taken, and not for as long as a client likes.

    Streamlit starts uvicorn and leaves this option of it alone; the server is met where it listens for signals.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if config := getattr(server, "config", None):
        config.timeout_graceful_shutdown = GRACE_S


def health(request: Request) -> JSONResponse:
    """For whoever looks after the server: 200 if it answers and the worker lives, or is still being started; else 503.

    The server's own `/_stcore/health` knows of no worker.
    """
    silent_s: float = app.state["supervisor"].silent_s
    is_well = silent_s <= SILENCE_S
    return JSONResponse({"well": is_well, "worker_silent_s": round(silent_s, 1)}, 200 if is_well else 503)


def _import_early() -> None:
    """Seconds of import that nobody waits for: torch, then what pages bring in when something is clicked.

    One thread: beside a run that uses all cores, a forward pass with two takes many times longer than with one.
    """
    import torch

    torch.set_num_threads(1)
    for name in ("torchvision", "timm", "core.inference.predictor", "core.advice.depths"):
        importlib.import_module(name)


def _start_sweeper() -> Any:
    from core.workspaces.sweeper import Sweeper  # where strangers share a server, and only there

    sweeper = Sweeper()
    sweeper.start()
    return sweeper


def _start_exporter() -> Any:
    from core.tracking.beside import Exporter  # where runs are tracked elsewhere, too, and only there

    exporter = Exporter()
    exporter.start()
    return exporter


def _for_strangers() -> list[Middleware]:
    from doors import Workspaces  # as above

    return [Middleware(Workspaces, is_trusted=is_trusted_by_browsers)]


def offer_sign_in() -> None:
    """Where strangers share a server that knows a provider of accounts: Streamlit reads of it in a file."""
    from core.visitors.signin import can_sign_in, sign_in_file  # as above

    if can_sign_in():
        set_option("secrets.files", [str(sign_in_file())])


def say_what_failed(error: Exception) -> bool:
    """The last resort for what no frame of a page was around, such as what a widget calls before the page is drawn."""
    from components.frame import show_failure  # to be found once a page has been started

    return show_failure(error)


if is_hosted():
    offer_sign_in()
app = st.App(
    "pages/main.py",
    lifespan=lifespan,
    routes=[Route("/health", health)],
    middleware=[
        Middleware(OwnSessionsOnly),
        Middleware(SecurityHeaders),
        Middleware(UploadsInFrames),
        *(_for_strangers() if is_hosted() else []),
        Middleware(PagesOnly),
    ],
    on_script_error=say_what_failed,
)
