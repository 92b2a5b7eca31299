"""Inside, by keyboard alone, and with axe on every part of it.

Run with `python -m pytest tests/browser/test_inside.py -m browser`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from benchmarks.shown import settle, tab, visit

from .conftest import Raced

pytestmark = pytest.mark.browser

VIEWS = ("layers", "head", "tensors", "changes", "module", "sees")
MOST_STOPS = 120


@pytest.fixture(scope="module")
def inside(chromium: Any, raced: Raced) -> Iterator[tuple[Any, str, str]]:
    """A tab, the server's address and a fine-tuned run."""
    with tab(chromium) as page:
        yield page, raced.url, raced.finetuned


def reach(page: Any, selector: str) -> None:
    """Go there with the tab key."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the tab key does not reach {selector}")


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious_on_any_part(inside: tuple[Any, str, str], view: str):
    page, url, run = inside
    visit(page, url, "inside", f"?of={run}&view={view}")
    page.evaluate(Axe().axe_script)
    page.evaluate((Path(__file__).parent / "everybody.js").read_text())

    for colours in ("dark", "light"):
        page.emulate_media(color_scheme=colours)
        settle(page)
        assert page.evaluate("everybody.audit([])") == [], colours
    levels = page.evaluate("everybody.headings()")
    assert levels[0] == 1 and max(levels) <= 3


def test_the_tree_is_unfolded_by_keyboard(inside: tuple[Any, str, str]):
    page, url, _ = inside
    visit(page, url, "inside", "?of=resnet18")

    reach(page, ".thaw-tree summary")
    page.keyboard.press("Enter")

    assert page.locator(".thaw-tree details[open]").count() == 1
    assert page.get_by_text("(conv1)").count() >= 2, "the network's own, and a block's"


def test_a_channel_is_chosen_by_keyboard(inside: tuple[Any, str, str]):
    page, url, run = inside
    visit(page, url, "inside", f"?of={run}&view=sees")

    reach(page, "[class*=st-key-inside-map-middle] button, [class*=st-key-inside-maps-middle] button")
    channel = page.evaluate("document.activeElement.querySelector('img').alt")
    page.keyboard.press("Enter")
    settle(page)

    number = channel.split()[1]
    page.get_by_text(f"What excites channel {number} of stage 5 most").wait_for()
    assert f"channel={number}" in page.url and "level=middle" in page.url
