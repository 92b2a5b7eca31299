"""After a click something moves at once: before any work was done, and without an empty page on the way.

`benchmarks/at_once.py` counts the milliseconds; here it is shown by what appears, however slow the machine.
"""

import re
from typing import Any

import pytest
from helpers import home_at

from core.runs.store import RunStore

pytestmark = pytest.mark.browser
CLICK_MS, WORK_MS = 120_000, 600_000

WATCH = """() => {
    window.bare = 0;
    const look = () => {
        const main = document.querySelector('[data-testid="stMain"]');
        window.bare += main.querySelector('h1') && main.innerText.length > 100 ? 0 : 1;
        requestAnimationFrame(look);
    };
    look();
}"""
"""Counts the frames in which the page shows next to nothing."""
ANSWERS = "[...document.querySelectorAll('.st-key-home-live-watched')].map(one => one.innerText).join()"


def test_a_race_and_its_stop_show_at_once_and_pictures_change_while_it_trains(server: Any, chromium: Any) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(CLICK_MS)
    page.goto(f"{server.url}/?epochs=60&train_size=96&strategies=finetuned&seeds=1&recipe=own")
    page.get_by_role("button", name="Run the race").wait_for()
    page.evaluate(WATCH)

    page.get_by_role("button", name="Run the race").click()
    page.get_by_text("no answers yet").first.wait_for()
    with home_at(server.home):
        (run,) = RunStore().runs()
        assert not run.epochs and run.watched is None, "what is on the screen is there before anything was learnt"
    page.locator(".st-key-home-live-watched img").nth(11).wait_for()

    page.get_by_text(re.compile("of 12 right")).first.wait_for(timeout=WORK_MS)
    first = page.evaluate(ANSWERS)
    page.wait_for_function(f"first => {ANSWERS} !== first", arg=first, timeout=WORK_MS)

    page.get_by_role("button", name="Stop").click()
    page.get_by_text(re.compile("stopping|was stopped")).first.wait_for()
    page.get_by_text("This race was stopped").wait_for()
    assert page.get_by_role("button", name="Start again").count() == 1
    assert page.evaluate("window.bare") == 0
    page.close()
