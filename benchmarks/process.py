"""What the process settings in `core.machine.facts` bring: `python benchmarks/process.py [--rounds N]`.

Times forward passes and training steps of EfficientNet-Lite0 with and without them, interleaved, in fresh processes:
on a machine that does nothing else, and beside a busy loop on one core. The environment is for every process, kept
memory for those that train. By batch, the last column shows why pictures go through in pieces. Prints pictures per
second, medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine, usable_cores
from core.machine.process import PROCESS_ENVIRONMENT, keep_freed_memory, prepare_process

ARMS = {"as torch comes": {}, "huge pages, short spinning": PROCESS_ENVIRONMENT, "and freed memory kept": {"KEEP": "1"}}
BATCHES = (4, 8, 16, 32)


def time_here() -> dict[str, float]:
    """Pictures per second in this process."""
    if "KEEP" in os.environ:
        prepare_process()
        keep_freed_memory()
    import torch

    from core.models.build import build_model

    torch.set_num_threads(usable_cores())
    model = build_model("efficientnet_lite0", 2, start="none", seed=0).eval()
    images = torch.rand(32, 3, 224, 224).contiguous(memory_format=torch.channels_last)

    def median(work: Callable[[], object], rounds: int) -> float:
        seconds = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:])  # the first is warm-up

    with torch.no_grad():
        rates = {f"forward {n}": n / median(partial(model, images[:n]), 8) for n in BATCHES}
    return rates | {"train 8": 8 / median(lambda: model(images[:8]).sum().backward(), 4)}


def main() -> None:
    """Interleave the arms and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(time_here()))
        return
    print(f"{this_machine()}, torch {this_machine().torch}, {arguments.rounds} rounds\n")
    columns = [*(f"forward {n}" for n in BATCHES), "train 8"]
    print(f"| beside | process | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
    for beside in ("nothing", "a busy loop"):
        hog = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if beside == "a busy loop" else None
        results: dict[str, list[dict[str, float]]] = {name: [] for name in ARMS}
        for _ in range(arguments.rounds):
            for name, extra in ARMS.items():
                clean = {key: value for key, value in os.environ.items() if key not in PROCESS_ENVIRONMENT}
                command = [sys.executable, __file__, "--here"]
                done = subprocess.run(command, env={**clean, **extra}, capture_output=True, check=True)
                results[name].append(json.loads(done.stdout))
        if hog:
            hog.kill()
        for name, rows in results.items():
            rates = (f"{statistics.median(row[kind] for row in rows):.0f}" for kind in columns)
            print(f"| {beside} | {name} | {' | '.join(rates)} |")


if __name__ == "__main__":
    main()
