"""Two experiments made on Train are compared with no click, and the pictures they disagree on with one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import home_at

from core.runs.example import example_runs
from core.runs.record import load_predictions, load_record, save_run, summary_of
from core.runs.store import RunStore

from .conftest import Prepare, serving

pytestmark = pytest.mark.browser
PATIENCE_MS = 180_000
SIZES = ({"width": 1280, "height": 800}, {"width": 390, "height": 844})


def keep_two_experiments() -> None:
    store = RunStore()
    for number, run in enumerate(run for run in example_runs() if run.settings.seed < 3):
        if run.settings.model.scenario == "looks-frozen":
            continue
        record = replace(load_record(run.id), run=f"trained{number}")
        save_run(record, load_predictions(run.id), lambda path: Path(path).write_bytes(b"no weights"))
        store.adopt(record.run, record.settings, record.dataset.title, summary_of(record), record.test_part)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, prepare: Prepare) -> Iterator[str]:
    """An app with three seeds of two strategies, each started alone, as if they had been trained here."""
    with home_at(prepare(tmp_path_factory.mktemp("compared") / "home")) as home:
        keep_two_experiments()
    with serving(home) as server:
        yield server.url


@pytest.mark.parametrize("size", SIZES, ids=["wide", "phone"])
def test_two_experiments_are_compared_with_no_click(compared, chromium, size):
    page = chromium.new_page(viewport=size)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{compared}/compare")

    headline = page.get_by_role("heading", level=2).first
    headline.wait_for()
    assert "Fine-tuned" in headline.inner_text() and "Frozen" in headline.inner_text()
    see = page.get_by_role("button", name="See the pictures they disagree on")
    bottom = see.bounding_box()
    assert bottom and bottom["y"] + bottom["height"] <= size["height"], "all of the conclusion without scrolling"

    see.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Only Fine-tuned is right").wait_for()
    dialog.get_by_role("img").first.wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")

    page.locator("summary", has_text="How large is the difference?").click()
    page.locator(".js-plotly-plot .xtick text").first.wait_for()
    sizes = page.eval_on_selector_all(
        ".js-plotly-plot .xtick text, .js-plotly-plot .ytick text, .js-plotly-plot .legendtext",
        "found => found.map(text => parseFloat(getComputedStyle(text).fontSize))",
    )
    assert min(sizes) >= 14, "to be read from the back of a room"
    page.close()


def test_a_name_that_is_saved_closes_its_popover(compared, chromium):
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{compared}/train?run=trained0")

    page.get_by_role("button", name="Name and note").click()
    form = page.get_by_test_id("stPopoverBody")
    form.get_by_label("Name").fill("as in the lecture")
    form.get_by_role("button", name="Save").click()
    page.get_by_text("Name and note are saved").wait_for()
    form.wait_for(state="detached")

    page.get_by_role("button", name="Name and note").click()
    assert form.get_by_label("Name").input_value() == "as in the lecture", "it opens again"
    page.close()
