"""How long the head's solver takes, by rows and classes: `python benchmarks/head.py`.

On features drawn as a backbone's are: positive, few directions that matter and many that hardly do, classes that
overlap. The penalty is chosen too, as in a frozen run. Fastest of three, alone and beside two processes that are busy
all the time. Prints Markdown.
"""

import argparse
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import prepare_process

prepare_process()

import torch

from core.models.accel import one_thread
from core.training.head import ONE_THREAD, solve_head

FEATURES, VIEWS, ROUNDS = 1280, 2, 3
ROWS, CLASSES = (100, 390, 780, 1110, 2000, 5000, 10_000), (2, 10, 100)


def features_like_a_backbones(rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features (M, F), targets and pictures (M,): two views of each picture."""
    generator = torch.Generator().manual_seed(rows)
    pictures = torch.arange(rows) // VIEWS
    targets = pictures % classes
    directions = torch.randn(FEATURES, FEATURES, generator=generator) * torch.arange(1, FEATURES + 1)[:, None] ** -0.8
    centres = torch.randn(classes, FEATURES, generator=generator)
    own = torch.randn(rows // VIEWS + 1, FEATURES, generator=generator)
    latent = centres[targets] + 2.0 * own[pictures] + 0.5 * torch.randn(rows, FEATURES, generator=generator)
    return (latent @ directions).relu_(), targets, pictures


def fastest(rows: int, classes: int) -> float:
    """Seconds to choose the penalty and solve for the head."""
    problem = features_like_a_backbones(rows, classes)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        with one_thread(when=rows * FEATURES * classes <= ONE_THREAD):
            solve_head(*problem, classes)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Time every size alone and beside others, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--classes", type=int, nargs="*", default=CLASSES)
    arguments = parser.parse_args()
    print(f"{this_machine()}, torch {this_machine().torch}, {date.today()}\n")
    print("| rows | classes | alone | a row | beside two busy loops |\n|---|---|---|---|---|")
    for classes in arguments.classes:
        for rows in (rows for rows in arguments.rows if rows >= VIEWS * 5 * classes):
            alone = fastest(rows, classes)
            busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
            try:
                beside = fastest(rows, classes)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            print(
                f"| {rows:,} | {classes} | {alone:.2f} s | {1000 * alone / rows:.2f} ms | {beside:.2f} s |", flush=True
            )


if __name__ == "__main__":
    main()
