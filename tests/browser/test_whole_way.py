"""The whole way in a real Chromium: clicks, uploads, reloads, and a server that is killed in the middle of a run.

Run with `python -m pytest tests/browser/test_whole_way.py -m browser`. The pictures are drawn here; nothing is faked.
"""

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.shown import settle
from core.data.drawn.drawings import draw

pytestmark = [pytest.mark.browser, pytest.mark.takes(50)]
WORK_MS = 300_000  # for training; generous, as other work may share the machine
CLICK_MS = 180_000
ANSWER = re.compile("better than|practically the same|Not decided yet")
# Streamlit's page asks for its server below the address it was opened at first; on a deep link the first try is a 404
DEEP_LINK = re.compile(r"/(data|augment|train|compare|classify)/_stcore/(health|host-config)$")


class Person:
    """A tab with what went wrong in it."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url, self.errors = page, url, []
        page.set_default_timeout(CLICK_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: Any) -> None:
        where = message.location.get("url", "")
        if message.type == "error" and not DEEP_LINK.search(where):
            self.errors.append(f"{message.text} {where}")

    def open(self, path: str = "/") -> None:
        self.page.goto(self.url + path)
        self.settle()

    def go(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()
        self.page.get_by_role("heading", name="Thaw" if name == "Home" else name, exact=True, level=1).wait_for()
        self.settle()

    def settle(self) -> None:
        """Until the page has been drawn with its pictures; a page that shows an exception fails here.

        Pictures of a page that is left are dropped by the server: who leaves before they have arrived gets 404s.
        """
        settle(self.page)
        failure = self.page.get_by_test_id("stException")
        assert failure.count() == 0, failure.inner_text()

    def sees(self, text: str | re.Pattern[str], timeout: int = CLICK_MS) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=timeout)

    def clicks(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()

    def uploads(self, *files: tuple[str, bytes]) -> None:
        chosen = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]
        self.page.locator('input[type="file"]').first.set_input_files(chosen)
        self.settle()


@pytest.fixture
def person(chromium: Any, server: Any, tmp_path: Any) -> Iterator[Person]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    someone = Person(context.new_page(), server.url)
    yield someone
    someone.page.screenshot(path=tmp_path / "last-seen.png")  # what a failed test ended on
    context.close()


def jpeg(class_name: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw(class_name, seed).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def small_zip() -> bytes:
    """Two classes with awkward names, 14 pictures each, one of them broken, in a wrapper folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for class_name, folder in (("ants", "ants & <i>co"), ("bees", "bees *1*")):
            for seed in range(14):
                archive.writestr(f"mine/{folder}/{seed}.JPG", jpeg(class_name, 1000 + seed))
        archive.writestr("mine/ants & <i>co/broken.jpg", jpeg("ants", 1)[:2000])
        archive.writestr("mine/.DS_Store", b"\0")
    return buffer.getvalue()


def predicted_at_home(package: Path, folder: Path) -> str:
    """What the script in the zip, run by itself, says about the picture that the page was asked about."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder / "home")
    (folder / "new.jpg").write_bytes(jpeg("bees", 7))
    command = [sys.executable, "-I", str(folder / "home" / "predict.py"), str(folder / "new.jpg"), "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return str(told["pictures"][0]["predicted"])


def unfinished(server: Any) -> int:
    """How many runs wait or are at work."""
    with closing(sqlite3.connect(server.home / "thaw.db", timeout=CLICK_MS / 1000)) as database:
        return int(database.execute("SELECT count(*) FROM runs WHERE state IN ('queued', 'running')").fetchone()[0])


def test_from_an_upload_to_a_network_that_is_taken_home(person: Person, server: Any, tmp_path: Path) -> None:
    """With a race in between, and a server that is killed in the middle of it."""
    person.open("/data?epochs=1&train_size=96")  # few and small: it is about the way, not about where it leads
    person.uploads(("mine.zip", small_zip()))
    person.page.get_by_role("heading", name="mine", exact=True).wait_for()
    person.sees(re.compile(r"[12] files? skipped"))
    assert "mine" in person.page.get_by_role("combobox", name="Data set").input_value()
    person.page.reload()
    person.settle()
    person.page.get_by_role("heading", name="mine", exact=True).wait_for()

    person.go("Augment")
    person.page.get_by_text("Strong", exact=True).first.click()
    person.settle()

    person.go("Home")
    person.clicks("Run the race")
    person.sees(re.compile("^Run 1 of 6"))
    person.go("Compare")  # pages answer while training runs
    assert person.errors == []
    assert unfinished(server) > 0, "it is killed in the middle"
    children = server.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, "the worker outlived its server"
    server.start()
    person.open()
    person.errors.clear()  # while the server was down, the tab rightly complained that it could not reach it
    person.sees(ANSWER, 2 * WORK_MS)
    person.page.get_by_role("heading", name="Test pictures").wait_for()

    person.go("Compare")
    graded = "not decided yet|is (clearly|probably) better than|is practically as accurate as"
    person.sees(re.compile(graded, re.IGNORECASE))
    person.page.locator("summary", has_text="Two trained models, picture by picture").press("Enter")
    person.sees(re.compile("Cannot tell|A is better|B is better|Practically the same"))
    person.page.get_by_role("button", name=re.compile("both right")).click()
    person.settle()

    person.go("Classify")
    person.uploads(("new.jpg", jpeg("bees", 7)), ("not a picture.jpg", b"hello, this is only text, not a picture"))
    person.sees("new.jpg")
    person.sees(re.compile("is not a picture"))
    with person.page.expect_download() as download:
        person.page.get_by_test_id("stDownloadButton").get_by_role("button").first.click()
    (row,) = [
        row for row in csv.DictReader(download.value.path().read_text().splitlines()) if row["picture"] == "new.jpg"
    ]

    person.page.get_by_text("See why", exact=True).click()
    person.sees(re.compile("^Why"))
    person.settle()
    # by the keyboard: while pictures above arrive everything moves, and a click may land on something else
    person.page.get_by_role("button", name="Export model").press("Enter")
    person.page.get_by_role("button", name="Prepare export").press("Enter")
    person.page.get_by_role("button", name="Download, ").wait_for(timeout=WORK_MS)
    with person.page.expect_download() as download:
        person.page.get_by_role("button", name="Download, ").press("Enter")
    assert predicted_at_home(download.value.path(), tmp_path) == row["predicted"]
    assert person.errors == []


def test_a_run_can_be_started_stopped_and_is_still_shown_after_a_reload(person: Person) -> None:
    person.open("/train?epochs=50")  # from scratch: it is stopped long before
    person.page.get_by_text("From scratch", exact=True).first.click()
    person.settle()
    person.clicks("Start training")
    person.sees("From scratch, seed 0")
    person.page.reload()
    person.settle()
    person.clicks("Stop")
    person.sees(re.compile("was stopped. Nothing of it was kept"))

    person.page.get_by_text("Frozen", exact=True).first.click()
    person.settle()
    person.clicks("Start training")
    person.sees("Test pictures, predicted and true", WORK_MS)
    person.page.reload()
    person.settle()
    person.sees("Test pictures, predicted and true")
    person.page.get_by_text("The data loaders").click()
    person.sees(re.compile("Built just now|From the cache"))

    person.clicks("Delete this experiment")
    dialog = person.page.get_by_role("dialog")
    dialog.get_by_text(re.compile("Frozen on .* will be deleted: its run, with networks")).wait_for()
    dialog.get_by_role("button", name="Keep it").click()
    dialog.wait_for(state="detached")
    person.sees("Test pictures, predicted and true")
    person.clicks("Delete this experiment")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    dialog.wait_for(state="detached")
    person.sees(re.compile("was stopped. Nothing of it was kept"))  # the run before it, and no question about that one
    assert person.errors == []
