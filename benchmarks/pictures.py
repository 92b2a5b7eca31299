"""Pictures of all pages as people see them: `python benchmarks/pictures.py FOLDER [--home HOME] [--pages NAMES]`.

Every page in light and dark, 1280 and 390 wide, as long as it is, with drawn pictures brought to Classify. With
`--readme` those that README shows instead, short and with few colours: `make pictures` puts them into docs/.

The app runs on a copy of HOME. Without one a race of three strategies over three seeds on the built-in pictures is run
first, which takes minutes.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, ViewportSize

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from shown import PAGES, PHONE, WIDE, browsing, served, settle, tab, visit

from core.data.drawn.drawings import CLASS_NAMES, draw

RACE = ("race", "--data", "builtin", "--scenarios", "frozen,finetuned,scratch", "--seeds", "0,1,2")
NEW = 10_000
"""A seed of pictures that are in no data set."""
LONGEST = 6000
COLOURS = 256
Width = Literal["1280", "390"]
SIZES: dict[Width, ViewportSize] = {"1280": WIDE, "390": PHONE}
_HEIGHT = """() => {
    const main = document.querySelector('[data-testid="stMain"]');
    return Math.ceil(main.scrollHeight + main.getBoundingClientRect().top);
}"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """A page, how it is looked at, and what is done on it first."""

    name: str
    """Of the file, without its ending."""
    page: str
    width: Width = "1280"
    colours: Literal["light", "dark"] = "light"
    longest: int = LONGEST
    """Pixels of the page that are kept, from its top."""
    opened: tuple[str, ...] = ()
    """What is clicked, by its text."""
    part: str | None = None
    """Text of the expander that alone is kept."""


README = (
    Shot(name="home", page="home", longest=1500),
    Shot(name="data", page="data", longest=1300),
    Shot(name="augment", page="augment", longest=1300),
    Shot(name="train", page="train", longest=1500),
    Shot(name="compare", page="compare", longest=1500),
    Shot(name="classify", page="classify", longest=1300),
    Shot(name="why", page="classify", longest=1500, opened=("See why", "Heat map")),
    Shot(name="takehome", page="classify", opened=("Export model",), part="Export model"),
    Shot(name="inside", page="inside", longest=1300),
    Shot(name="learn", page="learn", longest=1300),
    Shot(name="home-phone", page="home", width="390", colours="dark", longest=1900),
)


def every_way(pages: Sequence[str]) -> list[Shot]:
    """These pages in light and dark, on a desk and in a hand."""
    return [
        Shot(name=f"{page}-{width}-{colours}", page=page, width=width, colours=colours)
        for width in SIZES
        for colours in ("light", "dark")
        for page in pages
    ]


def new_pictures() -> list[FilePayload]:
    """Files of pictures that no network has seen, one of each class."""
    files = []
    for name in CLASS_NAMES:
        draw(name, NEW).save(buffer := io.BytesIO(), "JPEG", quality=90)
        files.append(FilePayload(name=f"new-{name}.jpg", mimeType="image/jpeg", buffer=buffer.getvalue()))
    return files


def take(browser: Browser, url: str, shot: Shot) -> Image.Image:
    """The page as it is seen."""
    with tab(browser, SIZES[shot.width], shot.colours) as page:
        visit(page, url, shot.page)
        if shot.page == "classify" and not shot.part:
            page.locator('input[type="file"]').first.set_input_files(new_pictures())
            page.get_by_text("new-").first.wait_for()
            settle(page)
        for text in shot.opened:
            page.get_by_text(text, exact=True).first.click()
            settle(page)
        return _photographed(page, shot)


def _photographed(page: Page, shot: Shot) -> Image.Image:
    height = min(page.evaluate(_HEIGHT), LONGEST)
    page.set_viewport_size(ViewportSize(width=int(shot.width), height=height))
    settle(page)
    if shot.part:
        part = page.get_by_test_id("stExpander").filter(has_text=shot.part).first
        return Image.open(io.BytesIO(part.screenshot()))
    whole = Image.open(io.BytesIO(page.screenshot()))
    return whole.crop((0, 0, whole.width, min(whole.height, shot.longest)))


def with_few_colours(picture: Image.Image) -> Image.Image:
    """A third of the bytes; gradients of photographs keep their look by dithering."""
    return picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT)


def main() -> None:
    """Start the app and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--home", type=Path, help="one with finished runs")
    parser.add_argument("--pages", type=lambda text: text.split(","), default=list(PAGES))
    parser.add_argument("--readme", action="store_true", help="those that README shows, of --pages")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    shots = (
        [shot for shot in README if shot.page in arguments.pages] if arguments.readme else every_way(arguments.pages)
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if arguments.home:
            shutil.copytree(arguments.home, home)
        else:
            environment = {**os.environ, "THAW_HOME": str(home)}
            subprocess.run([sys.executable, "-m", "core", *RACE], cwd=PROJECT, env=environment, check=True)
        with served(home) as url, browsing() as browser:
            for shot in shots:
                picture = take(browser, url, shot)
                picture = with_few_colours(picture) if arguments.readme else picture
                picture.save(arguments.folder / f"{shot.name}.png", optimize=True)
                print(f"{shot.name}: {picture.width} x {picture.height}", flush=True)


if __name__ == "__main__":
    main()
