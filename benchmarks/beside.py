"""How much slower everything gets beside other programs: `python benchmarks/beside.py ZIP [--rounds N]`.

Whole commands, alone and beside two processes that are busy all the time, in turns, each pair in new homes: taking
pictures in, a frozen run, another head on cached features, and an epoch of fine-tuning. Prints seconds and ratios.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from paired import ratios, spoken

from core.machine.facts import this_machine

BUSY = 2
COMMANDS = {
    "taking pictures in": ("data",),
    "frozen": ("train", "--data"),
    "another head on cached features": ("train", "--l2", "0.01", "--data"),
    "an epoch of fine-tuning": ("train", "--scenario", "finetuned", "--epochs", "1", "--data"),
}


@contextmanager
def beside(busy: int) -> Iterator[None]:
    """So many processes that never rest, for as long as the block takes."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def all_seconds(data: str) -> dict[str, float]:
    """Seconds of every command, one after the other in a new home."""
    seconds = {}
    with tempfile.TemporaryDirectory() as home:
        for what, words in COMMANDS.items():
            start = time.perf_counter()
            command = [sys.executable, "-m", "core", *words, data, "--json"]
            environment = {**os.environ, "THAW_HOME": home}
            subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True)
            seconds[what] = time.perf_counter() - start
    return seconds


def main() -> None:
    """Alone and beside others, in turns, and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    data = str(arguments.data.resolve())
    alone, crowded = [], []
    for _ in range(arguments.rounds):
        alone.append(all_seconds(data))
        with beside(BUSY):
            crowded.append(all_seconds(data))
    print(f"{this_machine()}, torch {this_machine().torch}, {date.today()}, {arguments.rounds} rounds\n")
    print("| command | alone | beside two busy loops | times as long |\n|---|---|---|---|")
    for what in COMMANDS:
        a, b = ([row[what] for row in rows] for rows in (alone, crowded))
        print(f"| {what} | {statistics.median(a):.1f} s | {statistics.median(b):.1f} s | {spoken(ratios(b, a))} |")


if __name__ == "__main__":
    main()
