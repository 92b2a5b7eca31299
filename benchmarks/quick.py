"""What Home's quick and usual recipes take and teach: `python benchmarks/quick.py [--data D] [--recipes R ...]`.

Each recipe races its strategies, Frozen and Fine-tuned, over the seeds with one command in an empty home folder: the
start of the process, importing torch, drawing or decoding, features, training and tests are all in its seconds. Prints
Markdown with accuracies, the verdict, the machine and the day. For a processor without AVX512 say
`ONEDNN_MAX_CPU_ISA=AVX2`, which caps torch; ONNX Runtime uses what there is.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.settings.recipes import RECIPES
from core.settings.scenarios import SCENARIOS

OFFERED = ("quick", "usual")


def race(data: str, recipe: str, strategies: str, seeds: str) -> dict[str, Any]:
    """What the command says about a race from an empty home, and its seconds."""
    with tempfile.TemporaryDirectory() as home:
        words = ["race", "--json", "--data", data, "--recipe", recipe, "--scenarios", strategies, "--seeds", seeds]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "core", *words],
            cwd=PROJECT,
            env={**os.environ, "THAW_HOME": home},
            stdout=subprocess.PIPE,
            check=True,
        )
        return {**json.loads(done.stdout), "wall_s": time.perf_counter() - start}


def rows(recipe: str, raced: dict[str, Any]) -> list[str]:
    """A table row for each strategy."""
    found = []
    for name in dict.fromkeys(run["scenario"] for run in raced["runs"]):
        runs = [run for run in raced["runs"] if run["scenario"] == name]
        accuracies = [run["test_accuracy"] for run in runs]
        each = ", ".join(f"{100 * value:.1f}" for value in accuracies)
        seconds = ", ".join(f"{run['duration_s']:.1f}" for run in runs)
        mean = sum(accuracies) / len(accuracies)
        found.append(f"| {RECIPES[recipe].label} | {SCENARIOS[name].label} | {mean:.1%} | {each} | {seconds} |")
    return found


def main() -> None:
    """Race each recipe and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="builtin")
    parser.add_argument("--recipes", nargs="*", choices=OFFERED, default=OFFERED)
    parser.add_argument("--strategies", default="frozen,finetuned")
    parser.add_argument("--seeds", default="0,1,2")
    arguments = parser.parse_args()
    data = arguments.data if arguments.data == "builtin" else str(Path(arguments.data).resolve())
    lines, said = [], []
    for recipe in arguments.recipes:
        raced = race(data, recipe, arguments.strategies, arguments.seeds)
        lines += rows(recipe, raced)
        said.append(
            f"{RECIPES[recipe].label}: {raced['wall_s']:.1f} s from an empty home. {raced['verdict']['sentence']}"
        )
    machine, allowed = this_machine(), os.environ.get("ONEDNN_MAX_CPU_ISA", "all it has")
    print(f"{Path(data).name}, {date.today()}, {machine}, torch {machine.torch} (oneDNN: {allowed})\n")
    print("| recipe | strategy | test accuracy, mean | by seed, % | seconds of each run |\n|---|---|---|---|---|")
    print("\n".join(lines), *said, sep="\n\n")


if __name__ == "__main__":
    main()
