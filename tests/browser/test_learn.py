"""Learn, as a person goes through it: a prediction, the experiment, a reload in the middle, and what came out.

Run with `python -m pytest tests/browser/test_learn.py -m browser`.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import know_speeds

from benchmarks.shown import settle, tab, visit

from .conftest import serving

pytestmark = pytest.mark.browser
WORK_MS = 600_000


@pytest.fixture(scope="module")
def served(all_drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an app with the built-in pictures, all of them."""
    home = tmp_path_factory.mktemp("learn") / "home"
    shutil.copytree(all_drawn, home / "datasets" / all_drawn.name)
    know_speeds(home)
    with serving(home) as server:
        yield server.url


@pytest.fixture
def learn(chromium: Any, served: str) -> Iterator[tuple[Any, str]]:
    """A tab, and that address."""
    with tab(chromium) as page:
        yield page, served


def lock(page: Any, question: str, option: str) -> Any:
    """Predict and lock; the question's box."""
    box = page.locator(f".st-key-learn-{question}")
    assert box.get_by_role("button", name="Lock it and run").is_disabled(), "nothing is predicted yet"
    box.get_by_text(option, exact=True).click()
    box.locator("button:enabled", has_text="Lock it and run").click()
    return box


def test_lines_answer_at_once_and_a_reload_keeps_the_answer(learn: tuple[Any, str]):
    page, url = learn
    visit(page, url, "learn", "?lesson=freezing")

    box = lock(page, "out-features", "2")
    box.get_by_text("not as you predicted").wait_for()
    page.reload()
    settle(page)

    box.get_by_text("The network gives 1,000 outputs.").wait_for()
    assert page.get_by_text("1 of 9 questions answered, 0 as you predicted.").is_visible()
    box.get_by_text("The PyTorch that did it").click()
    box.get_by_text("out_features = 2").last.wait_for()


def test_a_race_goes_on_over_a_reload_and_its_outcome_stands_beside_the_prediction(learn: tuple[Any, str]):
    page, url = learn
    visit(page, url, "learn", "?lesson=predator")

    box = lock(page, "augment-frozen", "Within 2 points of each other")
    box.get_by_text("You predicted:").wait_for()
    box.get_by_text(re.compile("^Run [1-6] of 6")).wait_for(timeout=WORK_MS)
    page.reload()
    box.get_by_text(re.compile("^Run [1-6] of 6|Came out")).first.wait_for()

    box.get_by_text("Came out").wait_for(timeout=WORK_MS)
    settle(page)
    box.get_by_text(re.compile("^Test accuracy: .* Difference: ")).wait_for()
    assert box.get_by_text(re.compile("as you predicted$")).is_visible()
    assert box.get_by_role("radio").count() == 0, "what is locked cannot be changed"
    assert page.get_by_test_id("stException").count() == 0
    box.get_by_role("link", name="Compare in detail").click()
    page.get_by_role("heading", name="Compare", level=1).wait_for()
