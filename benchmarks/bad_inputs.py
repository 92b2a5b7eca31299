"""How bad input fares: `python benchmarks/bad_inputs.py [CORPUS] [--flips N] [--random N]`.

CORPUS is a folder of odd pictures and zips, if there is one. Every file goes through the reading process with its
limits, beside N pictures with one wrong bit and N files of random bytes. Then a zip of 20,000 small pictures is taken
in. Prints what became of them: read, or named with a reason; crashes; what was contained; the peak memory of both
processes. `python benchmarks/bad_inputs.py --help` names the rest.
"""

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.data.ingest import ingest, ingest_files
from core.errors import DatasetError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF")


WATCHED = """
import json, resource, sys
sys.path.insert(0, sys.argv[2])
from core.data.ingest import ingest
from core.machine.process import forget_peak_memory, peak_memory
forget_peak_memory()
steps = []
done = ingest(sys.argv[1], lambda progress: steps.append(progress.stage))
child = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([len(done.dataset.pictures), len(steps), peak_memory(), child]))
"""


class Peak:
    """The largest resident memory of this process and of its children, watched while the block runs."""

    def __enter__(self) -> "Peak":
        self.here, self.children, self._stop = 0, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.02):
            self.here = max(self.here, me.memory_info().rss)
            for child in me.children():
                try:
                    self.children = max(self.children, child.memory_info().rss)
                except psutil.Error:
                    continue


def picture(number: int, side: int = 64) -> Image.Image:
    dice = np.random.default_rng(number)
    return Image.fromarray(dice.integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)).resize((side, side))


def encoded(image: Image.Image, format: str) -> bytes:
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def flipped(count: int) -> dict[str, bytes]:
    dice, originals = random.Random(0), {format: encoded(picture(7), format) for format in FORMATS}
    files = {}
    for number in range(count):
        format = FORMATS[number % len(FORMATS)]
        data = bytearray(originals[format])
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        files[f"{number}.{format.lower()}"] = bytes(data)
    return files


def noise(count: int) -> dict[str, bytes]:
    dice = random.Random(1)
    return {f"{number}.jpg": dice.randbytes(dice.randrange(0, 4000)) for number in range(count)}


def row(name: str, tried: int, read: int, named: int, contained: int, lost: int, peak: Peak, seconds: float) -> str:
    numbers = f"{tried:,} | {read:,} | {named:,} | {contained} | {lost}"
    return f"| {name} | {numbers} | {peak.children / 1e6:.0f} | {seconds:.1f} |"


def try_pictures(name: str, files: dict[str, bytes]) -> str:
    """A row of the table: all of them in one upload, with enough good pictures for two classes."""
    good = [(f"good {n}.png", encoded(picture(n), "PNG")) for n in range(8)]
    with Peak() as peak:
        start = time.perf_counter()
        done = ingest_files({"tried": [*good[:4], *files.items()], "others": good[4:]}, name)
        seconds = time.perf_counter() - start
    contained = sum(row.code == "IMG_CONTAINED" for row in done.dataset.skipped)
    read, named = len(done.dataset.pictures) - 8, sum(bool(row.reason) for row in done.dataset.skipped)
    named -= contained
    lost = len(files) - read - named - contained
    return row(name, len(files), read, named, contained, lost, peak, seconds)


def try_zips(folder: Path) -> str:
    """A row of the table: each zip on its own; read or refused with a sentence."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix == ".zip" or path.parent.name == "zips")
    read = refused = lost = 0
    with Peak() as peak:
        start = time.perf_counter()
        for path in paths:
            try:
                ingest(path)
                read += 1
            except DatasetError as error:
                refused += bool(str(error))
            except Exception:  # what this counts
                lost += 1
        seconds = time.perf_counter() - start
    return row("zips", len(paths), read, refused, 0, lost, peak, seconds)


def many(count: int, place: Path) -> str:
    """A zip of so many small pictures: seconds, and the memory of the server's side and the reading side."""
    path = place / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(f"class {number % 10}/{number}.jpg", encoded(picture(number, 96), "JPEG"))
    start = time.perf_counter()
    command = [sys.executable, "-c", WATCHED, str(path), str(PROJECT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    pictures, steps, here, child = json.loads(done.stdout)
    return (
        f"{pictures:,} small pictures in one zip: {seconds:.0f} s, {steps:,} reports of progress, at most "
        f"{here / 1e6:.0f} MB in the process that asked and {child / 1e6:.0f} MB in the one that reads."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--random", type=int, default=1000)
    parser.add_argument("--many", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["THAW_HOME"] = f"{place}/home"
        print("| what | tried | read | named with a reason | contained | lost | peak MB | s |\n|" + "---|" * 8)
        if given.corpus:
            for folder in sorted(path for path in given.corpus.iterdir() if path.is_dir() and path.name != "zips"):
                files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".json"}
                if len(files) > 2:
                    print(try_pictures(folder.name, files), flush=True)
            print(try_zips(given.corpus), flush=True)
        print(try_pictures("one wrong bit", flipped(given.flips)), flush=True)
        print(try_pictures("random bytes", noise(given.random)), flush=True)
        print(f"\n{many(given.many, Path(place))}")
        left = list((Path(place) / "home" / "staging").iterdir())
        print(f"Left behind: {len(left)}")


if __name__ == "__main__":
    main()
