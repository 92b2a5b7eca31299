"""What the process settings in `core.machine` bring: `python benchmarks/process.py [--rounds N]`.

Times forward passes and training steps of EfficientNet-Lite0 with and without them, interleaved, in fresh processes:
on a machine that does nothing else, and beside a busy loop on one core. Prints pictures per second, medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine import PROCESS_ENVIRONMENT, this_machine, usable_cores  # noqa: E402

ARMS = {"as torch comes": {}, "as Thaw starts it": PROCESS_ENVIRONMENT}


def time_here() -> dict[str, float]:
    """Pictures per second in this process."""
    import torch

    from core.models.build import build_model

    torch.set_num_threads(usable_cores())
    model = build_model("efficientnet_lite0", 2, start="none", seed=0).eval()
    images = torch.rand(32, 3, 224, 224).contiguous(memory_format=torch.channels_last)

    def median(work, rounds: int) -> float:
        seconds = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[1:])  # the first is warm-up

    with torch.no_grad():
        forward = 32 / median(lambda: model(images), 5)
    train = 16 / median(lambda: model(images[:16]).sum().backward(), 4)
    return {"forward": forward, "train": train}


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
    print("| beside | process | forward, pictures/s | training, pictures/s |\n|---|---|---|---|")
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
            forward, train = (statistics.median(row[kind] for row in rows) for kind in ("forward", "train"))
            print(f"| {beside} | {name} | {forward:.0f} | {train:.1f} |")


if __name__ == "__main__":
    main()
