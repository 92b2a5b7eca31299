"""The app as a person sees it: a server of its own on some home, and pages in a real Chromium. Measures nothing."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

PROJECT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = ("home", "data", "augment", "train", "compare", "classify", "inside", "much", "learn", "glossary")
PATIENCE_MS: Final = 120_000
WIDE: Final = ViewportSize(width=1280, height=900)
PHONE: Final = ViewportSize(width=390, height=844)
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_AT_REST: Final = """() => {
    const app = document.querySelector('[data-testid="stApp"]');
    return app?.dataset.testScriptState === 'notRunning' && document.querySelector('h1')
        && !document.querySelector('[data-testid="stSkeleton"], [data-testid="stAppSkeleton"]')
        && document.querySelector('[data-testid="stMain"] [data-stale="true"]') === null
        && [...document.images].every(image => image.complete)
        && [...document.querySelectorAll('[data-testid="stPlotlyChart"]')].every(chart => chart.querySelector('svg'));
}"""


@contextmanager
def served(home: Path, log: Path | None = None) -> Iterator[str]:
    """The app on a home folder, as `streamlit run` starts it; its address. Stopped at the end.

    Args:
        log: where what it says goes; else nowhere.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    environment = {**os.environ, "THAW_HOME": str(home)}
    with (log or Path(os.devnull)).open("ab") as said:
        server = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=said, stderr=said)
    try:
        _wait_for(f"http://localhost:{port}")
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str) -> None:
    end = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"no server answers at {url}")


@contextmanager
def browsing(*flags: str) -> Iterator[Browser]:
    """A Chromium without a window, started with these flags beside the usual ones.

    Raises:
        FileNotFoundError: none is installed.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise FileNotFoundError("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        yield browser
        browser.close()


@contextmanager
def tab(browser: Browser, size: ViewportSize = WIDE, colours: Literal["light", "dark"] = "light") -> Iterator[Page]:
    """A tab of a visitor who prefers these colours. Scripts may be brought in from outside: axe is one."""
    context = browser.new_context(viewport=size, color_scheme=colours, bypass_csp=True, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()


def visit(page: Page, url: str, name: str, address: str = "") -> None:
    """Open one of `PAGES` and wait until all of it is there."""
    page.goto(f"{url}/{'' if name == 'home' else name}{address}")
    settle(page)


def settle(page: Page) -> None:
    """Wait until the page has been drawn, with its pictures and charts, and stays so for a moment."""
    for _ in range(2):  # a fragment, or what a page starts when it has been drawn, may begin a moment later
        wait_for_rest(page)
        page.wait_for_timeout(200)
    wait_for_rest(page)


def wait_for_rest(page: Page) -> None:
    """Wait until no script runs for the page and everything it shows has arrived."""
    page.wait_for_function(_AT_REST)
