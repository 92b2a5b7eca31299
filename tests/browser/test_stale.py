"""What the Data page says about one data set is never seen under the name of another."""

import re
from typing import Any

import pytest
from helpers import KINDS, drawn, home_at, noise, write_files

from core.data.ingest import ingest

pytestmark = pytest.mark.browser

WATCH = """([title, finding]) => {
    window.frames_of_both = 0;
    const look = () => {
        const said = document.querySelector('[data-testid="stMain"]').innerText;
        const names = [...document.querySelectorAll('h2, h3')].map(heading => heading.innerText);
        window.frames_of_both += names.includes(title) && said.includes(finding) ? 1 : 0;
        requestAnimationFrame(look);
    };
    look();
}"""
"""Counts the frames that show the heading of one data set and a finding about another."""


def test_no_finding_of_the_data_set_before_is_on_the_screen(common: Any, chromium: Any, tmp_path: Any) -> None:
    same = drawn("discs", 77)
    torn = {f"{kind}/{n}.png": drawn(kind, n) for kind in KINDS for n in range(12)}
    torn |= {"discs/same.png": same, "squares/same.png": same}
    many = {f"{kind}/{n}.png": noise(place, n) for place, kind in enumerate(KINDS) for n in range(400)}
    with home_at(common.home):  # many pictures: looking through them takes a while
        first = ingest(write_files(tmp_path / "torn", torn)).dataset
        ingest(write_files(tmp_path / "many", many))
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(180_000)

    page.goto(f"{common.url}/data?data={first.id}")
    page.get_by_text("2 pictures stand in two classes at once").first.wait_for()
    page.evaluate(WATCH, ["many", "stand in two classes at once"])
    page.get_by_role("combobox", name="Data set").click()
    page.get_by_role("option", name=re.compile("^many")).click()
    page.get_by_role("heading", name="many", exact=True).wait_for()
    page.get_by_text(re.compile("No problems found|smaller than 48|can be told by")).first.wait_for()

    assert page.evaluate("window.frames_of_both") == 0
    page.close()
