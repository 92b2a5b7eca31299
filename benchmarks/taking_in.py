"""How fast photos are taken in, beside bare decoding: `python benchmarks/taking_in.py FOLDER_OR_ZIP [--rounds N]`.

Bare is what nobody can do without: the same bytes, in memory, decoded at the same scale and made as small, by as many
threads as there are cores, in a process that has started. The reader starts a process with limits, looks at what there
is, hashes every file, decodes, hashes and shrinks what it decoded, and writes; taking in compares pictures and writes a
manifest on top. They take turns. Prints Markdown: photos per second, medians, and the reader's share of bare decoding
with a 95 % bootstrap interval.
"""

import argparse
import io
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from paired import ratios, spoken
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.data.ingest import ingest
from core.data.reading.child import take_in_contained
from core.data.reading.decode import SHORT_SIDE
from core.data.reading.intake import Request
from core.data.sources import open_source
from core.machine.facts import this_machine, usable_cores


def files_of(where: str) -> list[bytes]:
    """The JPEGs in there."""
    with closing(open_source(where)) as source:
        return [source.read(name) for name in source.names if name.lower().endswith((".jpg", ".jpeg"))]


def decoded(data: bytes, small: bool) -> None:
    """One photo, decoded at the scale that leaves twice what is kept, and made as small as it is kept."""
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        scale = min(1.0, SHORT_SIDE / min(image.size))
        width, height = (round(side * scale) for side in image.size)
        image.draft(None, (2 * width, 2 * height))
        image.load()
        if small:
            image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def bare(files: list[bytes], small: bool) -> float:
    """Seconds."""
    start = time.perf_counter()
    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(lambda data: decoded(data, small), files):
            pass
    return time.perf_counter() - start


def reader(where: str) -> tuple[float, float]:
    """Seconds of the reader's process from its start on, and those from the first photo that it decodes."""
    begun: list[float] = []

    def emit(message: dict[str, Any]) -> None:
        if message.get("stage") == "decoding":
            begun.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        take_in_contained(Request(where=where, folder=folder, threads=usable_cores(), stored=()), emit)
        end = time.perf_counter()
    return end - start, end - begun[0]


def whole(where: str) -> float:
    """Seconds of taking in, in an empty home."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["THAW_HOME"] = home
        start = time.perf_counter()
        ingest(where)
        return time.perf_counter() - start


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    where, files = str(Path(given.photos).resolve()), files_of(given.photos)
    seconds: dict[str, list[float]] = {}
    for number in range(given.rounds + 1):
        process, decoding = reader(where)
        row = {
            "decoded, no more": bare(files, small=False),
            "bare: decoded and made small": bare(files, small=True),
            "the reader, while it decodes": decoding,
            "the reader, from its start": process,
            "taken in": whole(where),
        }
        for what, value in row.items() if number else ():  # the first is warm-up
            seconds.setdefault(what, []).append(value)
    yard = seconds["bare: decoded and made small"]
    print(f"{date.today()}, {this_machine()}, {len(files)} photos, {usable_cores()} threads, {given.rounds} rounds.\n")
    print("| what | photos/s | share of bare decoding |\n|---|---|---|")
    for what, values in seconds.items():
        print(f"| {what} | {len(files) / median(values):.0f} | {spoken(ratios(yard, values))} |")


if __name__ == "__main__":
    main()
