"""How soon something moves after a click: `python benchmarks/at_once.py [--starts 3]`.

The app is started as a person starts it, in an empty home, and clicked in a real Chromium: the race of Home, its Stop,
another picture on Augment, a training on Train. Milliseconds from the click to the first frame that shows what was
asked for, as the browser itself counts them, for each start. Prints Markdown. Worth something on an idle machine only.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

from playwright.sync_api import Page
from shown import PROJECT, browsing, served, tab, visit

sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine

MOST_MS: Final = 1000
"""What the design asks for."""
_WATCH: Final = """([words, pictures]) => {
    window.moved = null;
    const before = [...document.images].map(image => image.src).join();
    const there = () => pictures ? [...document.images].map(image => image.src).join() !== before
        && [...document.images].every(image => image.complete) : new RegExp(words).test(document.body.innerText);
    document.addEventListener('click', () => {
        const clicked = performance.now();
        const look = () => there() ? window.moved = performance.now() - clicked : requestAnimationFrame(look);
        look();
    }, {once: true, capture: true});
}"""


@contextmanager
def timed(page: Page, found: dict[str, float], what: str, words: str = "") -> Iterator[None]:
    """Milliseconds from the click inside to these words on the page, a pattern; without words, to other pictures."""
    page.evaluate(_WATCH, [words, not words])
    yield
    page.wait_for_function("window.moved !== null")
    found[what] = page.evaluate("window.moved")


def once(home: Path) -> dict[str, float]:
    """One start of the app in an empty home: milliseconds by what was clicked and what moved."""
    found: dict[str, float] = {}
    with served(home) as url, browsing() as browser, tab(browser) as page:
        visit(page, url, "home")
        with timed(page, found, "Home, Run the race: its progress and a dozen pictures", "no answers yet"):
            page.get_by_role("button", name="Run the race").click()
        page.wait_for_timeout(2000)  # the worker is at work
        with timed(page, found, "Header, Stop: says that it stops", "stopping|was stopped"):
            page.get_by_role("button", name="Stop").click()
        page.get_by_text(re.compile("was stopped")).first.wait_for()
        visit(page, url, "augment")
        with timed(page, found, "Augment, Another picture: other pictures"):
            page.get_by_role("button", name="Another picture").click()
        visit(page, url, "train")
        with timed(page, found, "Train, Start training: says when it starts", "starts now|starts in|waits its turn"):
            page.get_by_role("button", name="Start training").click()
    return found


def main() -> None:
    """Start the app a few times and print how long each click took to show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{date.today()}, {this_machine()}.\n")
    starts = []
    for _ in range(arguments.starts):
        with tempfile.TemporaryDirectory() as home:
            starts.append(once(Path(home)))
    print("| click: what moves | ms, each start |  |\n|---|---|---|")
    for what in starts[0]:
        each = [start[what] for start in starts]
        late = "" if max(each) <= MOST_MS else f"more than {MOST_MS}"
        print(f"| {what} | {', '.join(f'{one:.0f}' for one in each)} | {late} |")


if __name__ == "__main__":
    main()
