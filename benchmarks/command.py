"""How long a person waits at the command line: `python benchmarks/command.py ZIP [--repeats N]`.

Whole processes, from start to end, imports included: a frozen run in a home that knows nothing but the speed of the
machine, another one with another penalty, and the classification of one picture. Prints Markdown, medians and ranges.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine import prepare_process, this_machine  # noqa: E402


def timed(home: str, *words: str) -> tuple[float, str]:
    """Seconds of a command, and what it printed."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "core", *words, "--json"]
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, "THAW_HOME": home}, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, done.stdout


def waits(data: str, picture: str, speeds: bytes) -> dict[str, float]:
    """Seconds of each command, in a new home."""
    with tempfile.TemporaryDirectory() as home:
        Path(home, "speeds.json").write_bytes(speeds)
        first, told = timed(home, "train", "--data", data)
        again, _ = timed(home, "train", "--data", data, "--l2", "0.01")
        asked, _ = timed(home, "classify", json.loads(told)["run"], picture)
    return {"frozen, nothing cached": first, "frozen again, another penalty": again, "classify one picture": asked}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    prepare_process()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["THAW_HOME"] = folder
        from core.settings import ModelSettings
        from core.training.probe import known_speeds

        known_speeds(ModelSettings().backbone)
        speeds = Path(folder, "speeds.json").read_bytes()
        with zipfile.ZipFile(arguments.data) as archive:
            name = next(name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png")))
            picture = archive.extract(name, folder)
        rows = [waits(str(arguments.data.resolve()), picture, speeds) for _ in range(arguments.repeats)]
    print(f"{date.today()}, {this_machine()}, torch {this_machine().torch}, {arguments.repeats} times.\n")
    print("| command | seconds |\n|---|---|")
    for what in rows[0]:
        seconds = [row[what] for row in rows]
        print(f"| {what} | {statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f}) |")


if __name__ == "__main__":
    main()
