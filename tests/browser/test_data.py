"""Data in a real browser: a class's pictures from the camera, one click each."""

import pytest
from helpers import take_photo

pytestmark = pytest.mark.browser


def test_after_each_photo_the_camera_is_ready_for_the_next(common, chromium):
    page = chromium.new_page()
    page.set_default_timeout(180_000)
    page.goto(f"{common.url}/data")
    page.get_by_text("Add pictures").click()
    page.get_by_text("Class by class").click()
    page.get_by_text("With the camera").first.click()

    for number in range(1, 4):
        take_photo(page, after_s=0.2 * number)
        page.get_by_text(f"{number} from the camera").wait_for()
        page.get_by_role("img", name=f"Photo {number}").wait_for()
    page.get_by_role("button", name="Remove the last").click()
    page.get_by_text("2 from the camera").wait_for()
    page.close()
