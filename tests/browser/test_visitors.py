"""Two strangers on one server: neither sees, stops, deletes, downloads or opens anything of the other.

Run with `python -m pytest tests/browser`. All that arrives is searched by `benchmarks/canaries.py`, here in short.
"""

import re
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import drawn_classes, write_zip

from benchmarks.canaries import FEWER, MISSED, fetch, leaks, try_all
from benchmarks.shown import settle

from .conftest import Prepare, Server, framed, serving

pytestmark = [pytest.mark.browser, pytest.mark.takes(30)]
CLICK_MS = 180_000  # a first visit has pictures drawn, beside whatever else a machine does
KEY = re.compile(r"[?&]w=([A-Za-z0-9_-]{22})")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, prepare: Prepare) -> Iterator[Server]:
    """One server for all these strangers, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THAW_HOSTED", "1")
        with serving(prepare(tmp_path_factory.mktemp("shared") / "home")) as running:
            yield running


def opened(context: Any, address: str) -> Any:
    page = context.new_page()
    page.set_default_timeout(CLICK_MS)
    page.goto(address)
    settle(page)
    return page


def cookies(context: Any) -> dict[str, str]:
    return {one["name"]: one["value"] for one in context.cookies()}


def test_two_strangers_have_nothing_of_each_other(chromium: Any, shared: Any, tmp_path: Path):
    a, b = chromium.new_context(), chromium.new_context()
    files = {name.replace("discs", "axolotls"): content for name, content in drawn_classes(10).items()}
    zipped = write_zip(tmp_path / "secret.zip", files).read_bytes()

    mine = opened(a, f"{shared.url}/data")
    media: list[str] = []
    mine.on("request", lambda asked: media.append(asked.url) if f"{shared.url}/media/" in asked.url else None)
    brought = {"name": "secret.zip", "mimeType": "application/zip", "buffer": zipped}
    mine.locator('input[type="file"]').first.set_input_files([brought])
    mine.get_by_role("heading", name="secret", exact=True).wait_for()
    settle(mine)
    data = re.search(r"data=(\w{16})", mine.url)
    assert data and KEY.search(mine.url) is None, "the browser keeps the key"
    mine.goto(f"{shared.url}/train?data={data[1]}&epochs=200&scenario=finetuned")
    settle(mine)
    mine.get_by_role("button", name="Start training").click()
    mine.locator(".st-key-work").wait_for()
    mine.wait_for_url(re.compile("experiment="))
    work = mine.url

    theirs = opened(b, f"{shared.url}/data")
    for address in (f"{shared.url}/data?data={data[1]}", work, f"{shared.url}/workspace", shared.url):
        theirs.goto(address)
        settle(theirs)
        assert "axolotls" not in theirs.content() and "secret" not in theirs.content()
        assert theirs.locator(".st-key-work").count() == 0, "nothing of others is to be seen or stopped"
    theirs.goto(f"{shared.url}/data?data={data[1]}")
    theirs.get_by_text("is not here any more, or never was").wait_for()
    assert media
    for address in media:
        assert fetch(address, cookies(a)) and not fetch(address, cookies(b)) and not fetch(address, {})

    mine.get_by_role("button", name="Stop").first.wait_for()
    mine.goto(f"{shared.url}/workspace")
    link = mine.get_by_text(KEY).first.inner_text()
    elsewhere = opened(chromium.new_context(), f"{link.replace('/?', '/data?')}&data={data[1]}")
    elsewhere.get_by_text("axolotls").first.wait_for()
    elsewhere.goto(f"{shared.url}/workspace")
    elsewhere.get_by_role("button", name="Delete everything").click()
    elsewhere.get_by_role("button", name="Delete", exact=True).click()
    end = time.monotonic() + CLICK_MS / 1000
    while any("axolotls" in path.read_text(errors="ignore") for path in shared.home.rglob("manifest.json")):
        assert time.monotonic() < end
        time.sleep(0.2)
    theirs.goto(link)
    settle(theirs)
    theirs.get_by_text("The link opens no workspace any more").wait_for()
    for context in (a, b, elsewhere.context):
        context.close()


def test_where_a_browser_keeps_no_cookie_the_address_leads_back(chromium: Any, shared: Any):
    def without_cookies(route: Any) -> None:  # not through the browser, which would keep what is taken away here
        try:
            answer = urllib.request.urlopen(urllib.request.Request(route.request.url, headers=route.request.headers))
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() != "set-cookie"}
            route.fulfill(status=answer.status, headers=headers, body=answer.read())

    context = chromium.new_context()
    context.route(re.compile(r"localhost:\d+/(?!_stcore/stream)"), without_cookies)
    page = opened(context, shared.url)
    first = KEY.search(page.url)
    assert first and context.cookies() == []
    images = page.locator("[data-testid=stMain] img")
    images.first.wait_for()
    assert all(images.evaluate_all("all => all.map(one => one.naturalWidth)")), "pictures are shown without a cookie"
    page.get_by_role("link", name="Train").click()
    page.wait_for_url(re.compile("/train"))
    settle(page)
    again = KEY.search(page.url)
    assert again and again[1] == first[1]
    page.reload()
    settle(page)
    assert f"w={first[1]}" in page.url
    context.unroute_all(behavior="ignoreErrors")
    context.close()


def test_a_class_has_the_same_pictures_and_one_board(chromium: Any, shared: Any):
    teacher, student = chromium.new_context(), chromium.new_context()
    desk = opened(teacher, f"{shared.url}/workspace")
    desk.get_by_label("Name of the class").fill("Biology 7b")
    desk.get_by_role("button", name="Begin a class").click()
    link = desk.get_by_text(re.compile(r"class=\w{5}-\w{5}")).first.inner_text()

    seat = opened(student, link)
    seat.get_by_label("Your name on the board").fill("Ada <b>L</b>")
    seat.get_by_role("button", name="Join", exact=True).click()
    seat.wait_for_url(re.compile("data="))
    settle(seat)
    assert seat.get_by_text("Join Biology 7b").count() == 0
    seat.goto(f"{link.partition('/?')[0]}/workspace")  # where it joined: another host has cookies of its own
    settle(seat)
    seat.get_by_text("1 student").wait_for()
    desk.reload()
    settle(desk)
    desk.get_by_text("1 student").wait_for()
    desk.get_by_role("button", name="End the class").click()
    seat.get_by_text("The class is over").wait_for()
    settle(seat)
    assert seat.get_by_text("Biology 7b").count() == 0, "though nobody touched this page"
    teacher.close()
    student.close()


def test_no_canary_is_found(chromium: Any, shared: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_HOME", str(shared.home))

    found = try_all(chromium, shared.url, shared.home, short=True)

    assert leaks(found) == [] and found["owner"] >= sum(FEWER.values()) - MISSED, found["not seen by the owner"]


def test_in_a_frame_of_another_site_a_visitor_can_download(chromium: Any, shared: Any):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(CLICK_MS)
    inside = framed(page, f"{shared.url}/workspace")
    inside.get_by_role("button", name="Export everything").click()
    ready = inside.get_by_role("button", name=re.compile("^Download"))
    ready.wait_for()

    with page.expect_download() as download:
        ready.click()

    assert zipfile.is_zipfile(download.value.path())
    context.close()
