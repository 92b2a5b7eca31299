"""One action, an upload, and the answer is on the screen: on a desk and on a telephone, without scrolling.

Run with `python -m pytest tests/browser/test_classify.py -m browser`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import drawn, take_photo

from .conftest import Raced

pytestmark = pytest.mark.browser

PATIENCE_MS = 120_000
DESK, TELEPHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
IN_SIGHT = """element => {
    const box = element.getBoundingClientRect(), shown = [box.width, box.height]
    const inside = box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth
    const middle = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)
    return {inside, seen: element.contains(middle), shown, top: box.top}
}"""
SCROLLED = "[document.querySelector('[data-testid=\"stMain\"]').scrollTop, scrollY]"


@pytest.fixture
def opened(chromium: Any, raced: Raced, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Classify as it opens in a window of a size, light or dark."""
    size, colours = request.param
    context = chromium.new_context(viewport=size, color_scheme=colours)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{raced.url}/classify")
    page.locator(".st-key-classify-examples button").last.wait_for()
    page.locator("summary", has_text="Import model").wait_for()
    yield page
    page.screenshot(path=tmp_path / "last-seen.png")
    context.close()


def upload(page: Any, name: str) -> None:
    brought = {"name": f"{name}.png", "mimeType": "image/png", "buffer": drawn(name, 7)}
    page.locator('input[type="file"]').first.set_input_files([brought])


@pytest.mark.parametrize("opened", [(DESK, "light"), (TELEPHONE, "dark")], indirect=True, ids=["desk", "telephone"])
def test_after_an_upload_and_nothing_else_the_answer_is_in_sight(opened: Any):
    upload(opened, "discs")

    answer = opened.locator(".st-key-classify-answer h2")
    answer.wait_for()
    line = opened.locator(".st-key-classify-answer").get_by_text(re.compile("alibrated"))
    line.wait_for()
    opened.locator("summary", has_text="Numbers").wait_for()
    assert re.fullmatch(r"(discs|squares|stripes)\s>?\d+\.\d\s%", answer.inner_text().strip())
    opened.locator(".st-key-classify-answer img").evaluate("image => image.decode()")
    for element in (answer, line, opened.locator(".st-key-classify-answer img")):
        found = element.evaluate(IN_SIGHT)
        assert found["inside"] and found["seen"], found
    assert opened.evaluate(SCROLLED) == [0, 0]
    size = float(answer.evaluate("element => getComputedStyle(element).fontSize").removesuffix("px"))
    assert size >= 2 * float(line.evaluate("element => getComputedStyle(element).fontSize").removesuffix("px"))
    inputs = opened.locator("summary", has_text="Network and options")
    if opened.viewport_size == DESK:  # input left, answer right
        assert inputs.bounding_box()["x"] < answer.bounding_box()["x"]
    else:  # the answer first
        assert inputs.bounding_box()["y"] > answer.bounding_box()["y"]


@pytest.mark.parametrize("opened", [(TELEPHONE, "light")], indirect=True, ids=["telephone"])
def test_a_test_picture_is_asked_about_with_the_keyboard_and_the_answer_is_in_sight(opened: Any):
    examples = opened.locator(".st-key-classify-examples button")
    names = [examples.nth(place).get_by_role("img").get_attribute("alt") for place in range(examples.count())]
    assert len(names) == 6 and all(name.startswith("Test picture of ") for name in names)
    assert opened.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"]

    examples.nth(3).press("Enter")
    answer = opened.locator(".st-key-classify-answer h2")
    answer.wait_for()
    opened.get_by_text(re.compile(f"true class: {names[3].removeprefix('Test picture of ')}")).wait_for()

    assert answer.evaluate(IN_SIGHT)["inside"]
    assert opened.evaluate(SCROLLED) == [0, 0]


@pytest.mark.parametrize("opened", [(DESK, "light")], indirect=True, ids=["desk"])
def test_photos_are_taken_one_after_the_other_and_each_is_answered(opened: Any):
    picture = {"name": "new.png", "mimeType": "image/png", "buffer": drawn("discs", 7)}
    opened.locator('input[type="file"]').first.set_input_files([picture])
    answer = opened.locator(".st-key-classify-answer h2")
    answer.wait_for()
    opened.get_by_text("Camera", exact=True).click()
    answer.wait_for(state="detached")  # that was no photo's
    photo = opened.locator(".st-key-classify-answer img")
    shown: list[str] = []
    taken_s = 0.0
    for _ in range(2):
        taken_s = take_photo(opened, taken_s + 1)
        opened.wait_for_function(
            "before => { const image = document.querySelector('.st-key-classify-answer img');"
            " return image && image.src !== before }",
            arg=shown[-1] if shown else "",
        )
        answer.wait_for()
        shown.append(photo.get_attribute("src"))

    assert len(set(shown)) == 2
