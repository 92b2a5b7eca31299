"""How long a race takes and what it reaches, with empty caches: `python benchmarks/race.py DATA [SCENARIO,...]`.

DATA is `builtin`, a zip or a folder. Each repetition gets a home folder of its own, so decoding, features and training
are all paid for. Prints a Markdown table with the machine; `--json FILE` keeps the numbers.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


def race(data: str, scenarios: str, seed: int) -> dict[str, Any]:
    """One race in a fresh process and a fresh home; its JSON with the wall time of the whole command."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "core", "race", "--json", "--data", data]
        command += ["--scenarios", scenarios, "--seeds", str(seed)]
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=PROJECT, env={**os.environ, "THAW_HOME": home}, capture_output=True, check=True
        )
        return {**json.loads(done.stdout), "wall_s": time.perf_counter() - start}


def report(races: list[dict[str, Any]], data: str) -> str:
    """A Markdown table: one row per scenario, medians over the repetitions."""
    first = races[0]["runs"][0]
    machine = first["machine"]
    lines = [
        f"`python benchmarks/race.py {Path(data).name}`, {date.today()}, {machine['processor']}, "
        f"{first['threads']} threads, torch {machine['torch']}; {len(races)} seeds, cold, medians (lowest to highest).",
        "",
        "| scenario | test accuracy | seconds | features | training | val | test | parameters trained |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place, run in enumerate(races[0]["runs"]):
        same = [race["runs"][place] for race in races]
        accuracy = [run["test_accuracy"] for run in same]
        lines.append(
            f"| {run['scenario']} | {statistics.median(accuracy):.3f} ({min(accuracy):.3f} to {max(accuracy):.3f}) "
            f"| {_median(same, 'duration_s'):.1f} | "
            + " | ".join(f"{_median(same, name):.1f}" for name in ("features", "train", "val", "test"))
            + f" | {run['parameters']['trained']:,} |"
        )
    wall = statistics.median(race["wall_s"] for race in races)
    audits = [
        run["freeze_audit"]["bit_identical"] for race in races for run in race["runs"] if run["scenario"] == "frozen"
    ]
    lines += ["", f"The whole command: {wall:.1f} s. Frozen backbones bit-identical: {sum(audits)} of {len(audits)}."]
    return "\n".join(lines)


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return float(statistics.median(run["timings"].get(name, run.get(name)) for run in runs))


def main() -> None:
    """Run the repetitions and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--scenarios", default="frozen,finetuned")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    data = arguments.data if arguments.data == "builtin" else str(Path(arguments.data).resolve())
    races = [race(data, arguments.scenarios, seed) for seed in range(arguments.seeds)]
    print(report(races, arguments.data))
    if arguments.json:
        arguments.json.write_text(json.dumps(races, indent=1))


if __name__ == "__main__":
    main()
