"""What strangers send: the archives of `tests/bad_archives.py`, each on its own, and what `bad_inputs.py` tries.

Also scripts that stand beside this and prove other things, where they are there: what they print is told.
"""

import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from core.data.dataset import delete_stored, stored_ids
from core.data.ingest import ingest
from core.errors import DatasetError
from proving import small
from proving.workers import Tally

PROJECT: Final = Path(__file__).resolve().parents[2]


def try_archives(tally: Tally, place: Path, share: float, seed: int) -> None:
    """Each refused whole, or used but for what is named; nothing else happens."""
    sys.path.insert(0, str(PROJECT / "tests"))
    known = import_module("bad_archives")

    small.furnish(place / "archives")
    kept = set(stored_ids())
    rows = [(name, build, words) for name, (build, words) in [*known.REFUSED.items(), *known.SKIPPED.items()]]
    rows += [(name, build, "") for name, (build, *_) in known.USED.items()]
    for name, build, words in random.Random(seed).sample(rows, max(1, round(share * len(rows)))):
        _try(tally, place / "pictures.zip", name, build, words, refused=name in known.REFUSED)
        for dataset in set(stored_ids()) - kept:
            delete_stored(dataset)
        if left := list((small.here() / "staging").glob("*")):
            tally.faults.append(f"archive {name}: {len(left)} were left behind")


def _try(tally: Tally, path: Path, name: str, build: Callable[[], bytes], words: str, refused: bool) -> None:
    path.write_bytes(build())
    tally.add("archives and bombs")
    try:
        found = ingest(path).dataset
        said = [row.reason for row in (*found.skipped, *found.ignored)]
        right = not refused and (not words or any(re.search(words, reason) for reason in said))
    except DatasetError as error:
        right = refused and re.search(words, str(error)) is not None
    except Exception as error:  # what this counts
        tally.faults.append(f"archive {name}: {type(error).__name__}")
        right = False
    if not right:
        tally.add("otherwise than promised")
        tally.faults.append(f"archive {name} was not answered as promised")


def try_files(tally: Tally, *options: str) -> str:
    """What `bad_inputs.py` tries; its table."""
    command = [sys.executable, str(PROJECT / "benchmarks" / "bad_inputs.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    if done.returncode:
        tally.faults.append(f"bad_inputs.py ended with {done.returncode}")
    for line in done.stdout.splitlines():
        cells = [cell.strip().replace(",", "") for cell in line.strip("|").split("|")]
        if len(cells) == 8 and cells[1].isdigit():
            tally.add("files", int(cells[1]))
            tally.add("neither read nor named", int(cells[5]))
    return done.stdout.strip()


def beside(name: str, *options: str) -> tuple[str, list[str], float]:
    """What a script beside this prints, what was wrong with it, and its seconds."""
    start = time.monotonic()
    command = [sys.executable, str(PROJECT / "benchmarks" / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    faults = [f"{name} ended with {done.returncode}"] if done.returncode else []
    return done.stdout.strip(), faults, time.monotonic() - start
