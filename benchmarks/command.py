"""How long a person waits at the command line: `python benchmarks/command.py ZIP [--repeats N] [--against FOLDER]`.

Whole processes, from start to end, imports included: a frozen run in a home that knows nothing but the speed of the
machine, another one with another penalty, an epoch of fine-tuning, a frozen network that torch computes, the
classification of one picture, and the commands that only look at what is there. With `--against`, every command takes
turns with that of another checkout. Prints Markdown, medians and ranges.
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

from paired import ratios, spoken

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import prepare_process


def timed(project: Path, home: Path, *words: str) -> tuple[float, str]:
    """Seconds of a command, and what it printed."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "core", *words, "--json"]
    env = {**os.environ, "THAW_HOME": str(home)}
    done = subprocess.run(command, cwd=project, env=env, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def waits(projects: list[Path], data: str, picture: str, speeds: bytes) -> list[dict[str, float]]:
    """Seconds of each command of each project, in a new home each."""
    steps = {
        "frozen, nothing cached": ["train", "--data", data],
        "frozen again, another penalty": ["train", "--data", data, "--l2", "0.01"],
        "fine-tuned, 1 epoch": ["train", "--data", data, "--scenario", "finetuned", "--epochs", "1"],
        "frozen, ResNet-18, random": ["train", "--data", data, "--backbone", "resnet18", "--weights", "none"],
        "classify one picture": ["classify", "RUN", picture],
        "data": ["data", "DATA"],
        "compare": ["compare", "RUN", "OTHER"],
        "runs": ["runs"],
        "machine": ["machine"],
    }
    rows: list[dict[str, float]] = [{} for _ in projects]
    known: list[dict[str, str]] = [{} for _ in projects]  # names of what was made in each home
    with tempfile.TemporaryDirectory() as place:
        for what, words in steps.items():
            for number, project in enumerate(projects):
                home = Path(place, str(number))
                home.mkdir(exist_ok=True)
                if not known[number]:
                    (home / "speeds.json").write_bytes(speeds)
                asked = [known[number].get(word, word) for word in words]
                rows[number][what], told = timed(project, home, *asked)
                if words[0] == "train":
                    run = json.loads(told)
                    known[number].setdefault("OTHER" if known[number] else "RUN", run["run"])
                    known[number]["DATA"] = run["dataset"]["id"]
    return rows


def spread(seconds: list[float]) -> str:
    """Median, and from the lowest to the highest."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another checkout")
    arguments = parser.parse_args()
    prepare_process()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["THAW_HOME"] = folder
        from core.settings.schema import ModelSettings
        from core.training.probe import known_peaks, known_speeds

        known_peaks()
        known_speeds(ModelSettings().backbone)
        speeds = Path(folder, "speeds.json").read_bytes()
        with zipfile.ZipFile(arguments.data) as archive:
            name = next(name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png")))
            picture = archive.extract(name, folder)
        projects = [PROJECT, *([arguments.against.resolve()] if arguments.against else [])]
        where = str(arguments.data.resolve())
        rows = [waits(projects, where, picture, speeds) for _ in range(arguments.repeats)]
    print(f"{date.today()}, {this_machine()}, torch {this_machine().torch}, {arguments.repeats} times.\n")
    print(f"| command | seconds |{' the other, s | it takes as long as here |' * (len(projects) - 1)}")
    print("|---|---|" + "---|---|" * (len(projects) - 1))
    for what in rows[0][0]:
        here, *there = ([row[side][what] for row in rows] for side in range(len(projects)))
        compared = f" {spread(there[0])} | {spoken(ratios(there[0], here))} |" if there else ""
        print(f"| {what} | {spread(here)} |{compared}")


if __name__ == "__main__":
    main()
