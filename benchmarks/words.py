"""How many words a page shows before anything is opened: `python benchmarks/words.py HOME [--against FILE] [--json]`.

Starts the app on a home folder (one with a finished race, say; a copy of it is used), opens each page in a Chromium of
1280 x 900, and counts what can be seen: header, labels, tables that are text, charts; no icons, nothing inside closed
expanders, no help texts, no cells of tables that are painted. A word is whatever stands between spaces and has a letter
or a digit in it. Prints Markdown, or JSON that a later count can be held against.

`words-before.json` was counted so in a home after `python -m core race --data builtin --scenarios frozen,finetuned`.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from shown import PAGES, PROJECT, browsing, served, tab, visit

AT_MOST = 0.60
"""Of an earlier count: what the design asks of the pages that a result passes through."""
SHORTER = ("home", "data", "augment", "train", "compare")
_ICONS = '[data-testid="stIconMaterial"] { display: none !important }'  # their names are text in the page


def words_of(text: str) -> list[str]:
    """What counts as words in a page's text."""
    return [word for word in text.split() if re.search(r"\w", word)]


def count(home: Path) -> dict[str, int]:
    """Words by page, by default."""
    counts = {}
    with served(home) as url, browsing() as browser, tab(browser) as page:
        for name in PAGES:
            visit(page, url, name)
            page.add_style_tag(content=_ICONS)
            counts[name] = len(words_of(page.evaluate("document.body.innerText")))
    return counts


def table(now: dict[str, int], before: dict[str, Any] | None) -> str:
    """Markdown: a row for each page, with the ratio to an earlier count."""
    if before is None:
        rows = [f"| {name} | {words} |" for name, words in now.items()]
        return "\n".join(["| page | words |\n|---|---|", *rows])
    then = f"{before['date']}, {before['commit']}"
    rows = []
    for name, words in now.items():
        earlier = before["words"].get(name)
        if earlier is None:  # a page that has come since
            rows.append(f"| {name} | {words} | | |")
            continue
        long = " (too many)" * (name in SHORTER and words > AT_MOST * earlier)
        rows.append(f"| {name} | {words} | {earlier} | {words / earlier:.0%}{long} |")
    return "\n".join([f"| page | words | {then} | of these |\n|---|---|---|---|", *rows])


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--against", type=Path, help="what --json printed earlier")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(shutil.copytree(arguments.home, Path(folder) / "home"))
        words = count(home)
    if arguments.json:
        commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, text=True).strip()
        print(json.dumps({"date": str(date.today()), "commit": commit, "words": words}, indent=1))
    else:
        print(table(words, json.loads(arguments.against.read_text()) if arguments.against else None))


if __name__ == "__main__":
    main()
