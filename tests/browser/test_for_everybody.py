"""For everybody: axe, headings and the focus of the keyboard on every page, in an empty home and in one with a race.

Run with `python -m pytest tests/browser/test_for_everybody.py -m browser`. A page is opened once, and looked at
in light and dark, and as wide as a telephone; in the home with a race all that is folded is opened first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from helpers import drawn
from playwright.sync_api import ViewportSize

from benchmarks.shown import PAGES, PHONE, WIDE, settle, tab, visit, wait_for_rest

from .conftest import Prepare, serving

pytestmark = pytest.mark.browser

NOT_OURS: tuple[tuple[str, str, str], ...] = ()
"""What Streamlit itself does wrong and nothing here can mend: rule of axe, selector of the element, reason."""

MOST_STOPS = 80
OPEN_FOLDED = """() => {
    const folded = [...document.querySelectorAll("details:not([open]) > summary")];
    folded.forEach((summary) => summary.click());
    return folded.length;
}"""


Look = tuple[str, str, ViewportSize]
LIGHT: Look = ("light", "light", WIDE)
LOOKS: dict[str, tuple[Look, ...]] = {
    "empty": (LIGHT, ("dark", "dark", WIDE)),
    "full": (LIGHT, ("dark", "dark", WIDE), ("phone", "dark", PHONE)),
}
"""How the pages of a home are looked at: name, colours, size of the window."""
CASES = [(home, name) for home in LOOKS for name in PAGES if (home, name) != ("empty", "glossary")]
"""The glossary is the same in every home."""


@dataclass(frozen=True)
class Seen:
    """What was found on a page in one home."""

    axe: dict[str, list[str]]
    """Findings by name of the look."""
    headings: list[int]
    unseen: list[str]
    """What has the keyboard's focus without showing it; looked for in the full home."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, prepare: Prepare) -> Iterator[str]:
    """The address of an app where nothing has been done yet."""
    with serving(prepare(tmp_path_factory.mktemp("empty") / "home")) as server:
        yield server.url


def address_of(home: str, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Of an app on that home, and of its pictures."""
    if home == "empty":
        return request.getfixturevalue("empty"), ""
    raced = request.getfixturevalue("raced")
    return raced.url, f"?data={raced.dataset}"


@pytest.fixture(scope="module")
def page(chromium: Any) -> Iterator[Any]:
    with tab(chromium) as page:
        yield page


def show_all(page: Any, name: str) -> None:
    """Have a picture classified, and open whatever is folded, and what is folded inside it."""
    if name == "classify":
        new = {"name": "new.png", "mimeType": "image/png", "buffer": drawn("discs", 7)}
        page.locator('input[type="file"]').first.set_input_files([new])
        page.get_by_text("new.png").first.wait_for()
        settle(page)
    while page.evaluate(OPEN_FOLDED):
        settle(page)


def seen_on(page: Any, home: str) -> Seen:
    """Everything there is to find on the page that is open."""
    page.evaluate(Axe().axe_script)
    page.evaluate((Path(__file__).parent / "everybody.js").read_text())
    exempt = [[rule, selector] for rule, selector, _ in NOT_OURS]
    found = {}
    for name, colours, size in LOOKS[home]:
        look_with(page, colours, size)
        found[name] = page.evaluate("exempt => everybody.audit(exempt)", exempt)
    look_with(page, *LIGHT[1:])
    unseen = without_ring(page) if home == "full" else []
    return Seen(axe=found, headings=page.evaluate("everybody.headings()"), unseen=unseen)


def look_with(page: Any, colours: str, size: ViewportSize) -> None:
    page.emulate_media(color_scheme=colours)
    page.set_viewport_size(size)
    page.wait_for_timeout(100)  # charts take the new colours and width a moment later
    wait_for_rest(page)


def without_ring(page: Any) -> list[str]:
    """Where the tab key stops and nothing shows it; as far as MOST_STOPS, or until it has been everywhere."""
    unseen = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        focus = page.evaluate("everybody.focus()")
        if focus["html"].startswith("<body"):
            break
        unseen += [] if focus["seen"] else [focus["html"]]
    return unseen


@pytest.mark.parametrize(("home", "name"), CASES)
def test_axe_finds_nothing_serious_headings_are_in_order_and_the_focus_is_seen(
    page: Any, home: str, name: str, request: pytest.FixtureRequest
):
    url, pictures = address_of(home, request)
    visit(page, url, name, pictures)
    page.add_style_tag(content="* { transition: none !important; animation: none !important }")
    if home == "full":
        show_all(page, name)
    seen = seen_on(page, home)

    assert {looked_at: found for looked_at, found in seen.axe.items() if found} == {}
    assert seen.headings[0] == 1 and seen.headings.count(1) == 1
    assert [(above, below) for above, below in pairwise(seen.headings) if below > above + 1] == []
    assert seen.unseen == []
