"""Thaw in a frame of another site, as Hugging Face shows its Spaces. The outer page is made here.

Run with `python -m pytest tests/browser`.
"""

import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from helpers import drawn_classes, write_zip

from .conftest import framed

CLICK_MS = 180_000


def without_cookies(route: Any) -> None:
    """An answer as a browser takes it that keeps no cookies in frames."""
    answer = route.fetch()
    headers = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
    route.fulfill(response=answer, headers=headers)


def is_refused(url: str, **headers: str) -> bool:
    """Whether an upload with these headers is."""
    forged = urllib.request.Request(url, b"", headers, method="PUT")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(forged, timeout=CLICK_MS / 1000)
    refused.value.close()
    return refused.value.code == 403


@pytest.mark.slow
def test_files_can_be_brought_in_a_frame_of_another_site_or_it_is_said_that_they_cannot(
    chromium: Any, common: Any, tmp_path: Path
):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(CLICK_MS)
    answers: list[tuple[str, int]] = []
    page.on("response", lambda answer: answers.append((answer.request.method, answer.status)))
    zipped = write_zip(tmp_path / "mine.zip", drawn_classes(10)).read_bytes()

    inside = framed(page, f"{common.url}/data")
    brought = {"name": "mine.zip", "mimeType": "application/zip", "buffer": zipped}
    inside.locator('input[type="file"]').first.set_input_files([brought])
    inside.get_by_role("heading", name="mine", exact=True).wait_for()
    assert ("PUT", 204) in answers
    assert inside.get_by_text("Files cannot be brought here").count() == 0
    context.close()

    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(CLICK_MS)
    page.route(re.compile("/_stcore/(health|host-config)"), without_cookies)
    inside = framed(page, f"{common.url}/data")
    inside.get_by_text("Files cannot be brought here").wait_for()
    link = inside.get_by_role("link", name="Open Thaw by itself")
    assert link.get_attribute("href").startswith(common.url) and link.get_attribute("target") == "_blank"
    context.close()

    upload = f"{common.url}/_stcore/upload_file/a/b"  # what a page elsewhere could make a browser send
    assert is_refused(upload)
    assert is_refused(upload, Cookie="_streamlit_xsrf=2|00000000|aa|1")
    assert is_refused(upload, **{"Cookie": "_streamlit_xsrf=2|00000000|aa|1", "X-Xsrftoken": "2|00000000|bb|1"})
