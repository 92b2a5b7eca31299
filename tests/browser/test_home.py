"""From an empty home to an answer over three seeds: one click on one page, and all that moves meanwhile."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.takes(60)]
CLICK_MS, WORK_MS = 180_000, 600_000
ANSWER = re.compile("better than|practically the same|Not decided yet")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Server]:
    """On a machine that was never measured, without the built-in pictures."""
    with serving(tmp_path / "empty") as running:
        yield running


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("/?epochs=1&train_size=96", id="one epoch"),
        pytest.param("/", id="quick", marks=pytest.mark.long),
    ],
)
def test_one_click_leads_from_an_empty_home_to_an_answer_over_three_seeds(
    chromium: Any, empty: Server, address: str
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(CLICK_MS)
    page.goto(empty.url + address)
    page.get_by_role("button", name="Run the race").click()

    page.get_by_text(re.compile("^Run 1 of 6")).wait_for()
    page.get_by_text("no answers yet").first.wait_for()  # the pictures are there before the answers
    page.get_by_text(re.compile("of 12 right")).first.wait_for(timeout=WORK_MS)
    assert "waiting for the worker" not in page.inner_text("body")

    answer = page.get_by_role("heading", name=ANSWER)
    answer.wait_for(timeout=WORK_MS)
    page.get_by_role("heading", name="Test pictures").wait_for()
    page.get_by_text(re.compile("3 seeds, [0-9]+ test pictures")).wait_for()
    page.get_by_text(re.compile("On Drawn ants and bees")).wait_for()
    place = answer.bounding_box()
    assert place and place["y"] + place["height"] < 800, "read without scrolling"
    assert page.get_by_test_id("stException").count() == 0
    page.close()
