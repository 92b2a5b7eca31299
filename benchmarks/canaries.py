"""Does anything of one visitor reach another? `python benchmarks/canaries.py [--short] [--json]`.

64 words that stand nowhere else are planted in one workspace of a shared server: as names of classes, files, data sets,
experiments, and in notes; its pictures are noise. Then every page, deep link, picture, download and route is opened as
the owner, as another visitor and as nobody, in a real Chromium, and every byte that arrives is searched: HTML, JSON and
the messages of the pages' WebSocket. The owner has to see them (or the search is blind), the others none; nor may the
server's logs have any, nor the disk when the owner has deleted everything. `--short` plants half as many, trains
nothing and opens less.
"""

import argparse
import io
import json
import os
import random
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, BrowserContext

sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[:2]]

from shown import PAGES, browsing, served, settle

from core.comparison.experiments import experiment_key
from core.data.ingest import Ingested, ingest_files
from core.home import within
from core.machine.facts import this_machine
from core.runs.race import submit
from core.runs.store import Label
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.workspaces.workspace import Workspace, new_workspace

COUNTS: Final = {"classes": 16, "files": 24, "data sets": 8, "experiments": 8, "notes": 8}
FEWER: Final = {name: count // 2 for name, count in COUNTS.items()}
"""As many data sets and experiments as pages are opened for them."""
PER_CLASS: Final = 10
ROUTES: Final = (
    "_stcore/health",
    "_stcore/host-config",
    "_stcore/metrics",
    "_stcore/script-health-check",
    "_stcore/upload_file/",
    "_stcore/agent/openapi.json",
    "media/",
    "media/..%2f..%2fworkspaces.db",
    "component/",
    "static/",
    "app/static/",
    "workspaces.db",
    "workspaces/",
)
TRAINED: Final = 2
PATIENCE_MS: Final = 120_000
MISSED: Final = 2
"""Words that the owner need not have seen: which pictures a page shows is a draw."""


@dataclass(kw_only=True)
class Seen:
    """Everything that arrived for somebody."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    """By address; of a WebSocket all its messages."""

    def add(self, address: str, body: bytes | str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.bodies[address] = self.bodies.get(address, b"") + data

    def holds(self, words: Iterable[str]) -> dict[str, str]:
        """Which words are in it, and where first."""
        places = {word: [at for at, body in self.bodies.items() if word.encode() in body] for word in words}
        return {word: found[0] for word, found in places.items() if found}

    @property
    def media(self) -> dict[str, bytes]:
        """Pictures and downloads."""
        owned = (address for address in self.bodies if urlsplit(address).path.startswith("/media/"))  # not its fonts
        return {address: self.bodies[address] for address in owned if self.bodies[address]}


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What was planted, and where a page of it is."""

    words: tuple[str, ...]
    datasets: tuple[str, ...]
    runs: tuple[str, ...]
    race: str

    def main_links(self) -> list[str]:
        """Addresses whose pages show every word: each data set, each experiment."""
        return [f"data?data={one}" for one in self.datasets] + [f"train?run={run}" for run in self.runs]

    def links(self) -> list[str]:
        """Addresses that lead to it."""
        runs, first = ",".join(self.runs), self.datasets[0]
        found = [*self.main_links(), f"?race={self.race}", f"?data={first}", f"compare?runs={runs}"]
        for run in self.runs[:TRAINED]:
            found += [f"classify?run={run}", *(f"inside?of={run}&view={view}" for view in ("changes", "sees"))]
        found += [f"{page}?data={first}" for page in ("augment", "much", "learn", "train", "inside")]
        return [*found, f"compare?a={self.runs[0]}&b={self.runs[-1]}"]


def plant(owner: Workspace, *, trained: bool) -> Planted:
    """Put canaries into a workspace; `trained`: two of its runs are, the others stopped; else fewer."""
    dice, counts = random.Random(5), COUNTS if trained else FEWER
    words = {kind: [f"canary{dice.randrange(36**9):x}" for _ in range(count)] for kind, count in counts.items()}
    files, datasets = iter(words["files"]), []
    with within(owner.id):
        for number, title in enumerate(words["data sets"]):
            classes = words["classes"][2 * number : 2 * number + 2]
            named = [next(files) for _ in range(counts["files"] // counts["data sets"])]  # each of several pictures
            brought = {
                name: [(f"{named[place % len(named)]}-{place}.png", noise(dice)) for place in range(PER_CLASS)]
                for name in classes
            }
            datasets.append(ingest_files(brought, title).dataset)
        plan = RunSettings(model=ModelSettings(scenario="finetuned"))  # for a solved head, epochs set nothing apart
        plans = [replace(plan, optim=OptimSettings(epochs=1 + n, batch_size=8)) for n in range(counts["experiments"])]
        runs = submit(owner.runs, plans, Ingested(dataset=datasets[0], decode_s=0.0), as_race=True)
        for run, name, note in zip(map(owner.runs.get, runs), words["experiments"], words["notes"], strict=True):
            owner.runs.label(experiment_key(run.settings), Label(name=name, note=note))
        for run_id in runs[TRAINED if trained else 0 :]:
            owner.runs.cancel(run_id)
    while owner.runs.is_busy():  # the server's worker trains
        time.sleep(0.2)
    everything = tuple(word for kind in words.values() for word in kind)
    ids = tuple(dataset.id for dataset in datasets)
    return Planted(words=everything, datasets=ids, runs=tuple(runs), race=str(owner.runs.get(runs[0]).race))


def noise(dice: random.Random) -> bytes:
    """A picture that is no near copy of any other, as PNG."""
    small = Image.frombytes("RGB", (6, 6), dice.randbytes(6 * 6 * 3))
    file = io.BytesIO()
    small.resize((60, 60)).save(file, "PNG")
    return file.getvalue()


def walk(
    context: BrowserContext, url: str, addresses: Iterable[str], on_page: Callable[[Seen], object] = lambda seen: None
) -> Seen:
    """Open these addresses as whoever the context belongs to, and keep all that arrives, of which `on_page` is told."""
    seen = Seen()

    def keep(answer: Any) -> None:
        try:
            seen.add(answer.url, answer.body())
        except Exception:  # a redirect or an upload has no body
            seen.add(answer.url, b"")

    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on("requestfinished", lambda request: keep(request.response()))
    page.on("websocket", lambda socket: socket.on("framereceived", lambda message: seen.add(socket.url, message)))
    for address in addresses:
        page.goto(f"{url}/{address}")
        settle(page)
        seen.add(f"{url}/{address}#page", page.content())
        on_page(seen)
    return seen  # the page stays open: what it shows goes with its session


def fetch(url: str, cookies: Mapping[str, str]) -> bytes:
    """What the server answers to a plain request; empty where it refuses."""
    said = "; ".join(f"{name}={value}" for name, value in cookies.items())
    request = urllib.request.Request(url, headers={"Cookie": said} if said else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
    except (urllib.error.HTTPError, urllib.error.URLError):
        return b""


def cookies_of(context: BrowserContext) -> dict[str, str]:
    return {str(cookie.get("name")): str(cookie.get("value")) for cookie in context.cookies()}


def taken_along(context: BrowserContext, url: str) -> str:
    """The address of a download of everything, as its owner gets it."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/workspace")
    page.get_by_role("button", name="Export everything").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download,").click()
    address = download.value.url
    return next((one for one in asked if "/media/" in one and one.endswith(".zip")), address)


def try_all(browser: Browser, url: str, home: Path, *, short: bool) -> dict[str, Any]:
    """Plant, look as the owner, as another and as nobody; what was found where."""
    owner, key = new_workspace()
    planted = plant(owner, trained=not short)
    pages = ["" if page == "home" else page for page in PAGES] + ["much", "learn", "workspace"]
    mine, other = browser.new_context(), browser.new_context()
    mine.new_page().goto(f"{url}/?w={key}")
    other.new_page().goto(f"{url}/glossary")
    got = {name: Seen() for name in ("owner", "other", "nobody")}

    def ask(addresses: Iterable[str]) -> None:
        """While the owner's page shows them: later nobody gets them."""
        for address in {*addresses} - {*got["owner"].bodies}:
            for name, cookies in (("owner", cookies_of(mine)), ("other", cookies_of(other)), ("nobody", {})):
                got[name].add(address, fetch(address, cookies))

    walked = planted.main_links() if short else [*pages, *planted.links()]
    own = walk(mine, url, walked, lambda seen: ask(seen.media))
    export = taken_along(mine, url)
    ask([export])
    links = planted.links()[:: 6 if short else 1]
    others = walk(other, url, [*(["", "data", "workspace"] if short else pages), *links, "data?w=" + "A" * 22])
    for route in ROUTES:
        got["nobody"].add(f"{url}/{route}", fetch(f"{url}/{route}", {}))
        others.add(f"{url}/{route}", fetch(f"{url}/{route}", cookies_of(other)))
    pictures = {body for body in own.media.values() if len(body) > 500}
    copies = sum(body in pictures for body in others.media.values())
    logs = b"".join(path.read_bytes() for path in [home / "server.log", home / "logs" / "worker.log"] if path.is_file())
    found = {
        "owner": len(seen := own.holds(planted.words)),
        "not seen by the owner": [word for word in planted.words if word not in seen],
        "media of the owner": len(got["owner"].media),
        "owner gets the download": export in got["owner"].media,
        "other": others.holds(planted.words) | got["other"].holds(planted.words),
        "pictures shown to the other": copies,
        "media served to": {name: len(got[name].media) for name in ("other", "nobody")},
        "nobody": got["nobody"].holds(planted.words),
        "logs": [word for word in planted.words if word.encode() in logs],
        "addresses opened": len(own.bodies) + len(others.bodies) + sum(len(one.bodies) for one in got.values()),
    }
    owner.delete()
    left = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    return found | {"on the disk after deletion": [word for word in planted.words if word.encode() in left]}


def leaks(found: Mapping[str, Any]) -> list[str]:
    """What is wrong, in words; empty where nothing is."""
    names = ("other", "nobody", "logs", "on the disk after deletion")
    wrong = [f"{name}: {found[name]}" for name in names if found[name]]
    if found["pictures shown to the other"] or any(found["media served to"].values()):
        wrong.append(f"media: {found['pictures shown to the other']} shown, served to {found['media served to']}")
    if not found["owner gets the download"] or found["media of the owner"] < 3:
        wrong.append("the owner does not get the pictures and downloads: the search is blind")
    return wrong


@contextmanager
def shared_server() -> Iterator[tuple[str, Path]]:
    """A server that strangers share, and its home."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        home.mkdir()
        os.environ |= {"THAW_HOME": str(home), "THAW_HOSTED": "1"}
        with served(home, home / "server.log") as url:
            yield url, home


def main(show: Callable[[str], object] = print) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments, start = parser.parse_args(), time.monotonic()
    with shared_server() as (url, home), browsing() as browser:
        found = try_all(browser, url, home, short=arguments.short)
    wrong, planted = leaks(found), sum((FEWER if arguments.short else COUNTS).values())
    if found["owner"] < planted - MISSED:
        wrong.append(f"the owner sees {found['owner']} of {planted}: the search is blind")
    values = {"planted": planted, **found, "wrong": wrong, "seconds": round(time.monotonic() - start)}
    values |= {"machine": str(this_machine()), "date": datetime.now(UTC).date().isoformat()}
    if arguments.json:
        show(json.dumps(values, indent=1))
    else:
        show(
            f"{planted} canaries; the owner saw {found['owner']}, another visitor {len(found['other'])}, nobody "
            f"{len(found['nobody'])}, logs {len(found['logs'])}, the disk after deletion "
            f"{len(found['on the disk after deletion'])}; {found['media of the owner']} pictures and downloads of the "
            f"owner, served to others: {found['media served to']}; {found['addresses opened']} addresses, "
            f"{values['seconds']} s, {values['machine']}, {values['date']}"
        )
        show("\n".join(wrong) or "Nothing was found.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
