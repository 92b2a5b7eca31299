"""Thaw against the tutorial's recipe and the machine's limit: `python benchmarks/against_tutorial.py ZIP`.

ZIP is the tutorial's set, ants and bees. A pair is one run of either side in a fresh process, one after the other, on
the same files, weights and machine; counted is everything from the first line after the imports to the last file
written. The recipe has equal epochs: it runs for `--epochs` of them and its time for 25 is computed (`--epochs 25`
shows that this is right, and its accuracy). With Thaw's process settings it is timed once more, for one epoch. Thaw's
home is empty but for what was measured once on the machine (`speeds.json`), and once wholly, as in the first run ever.

Ratios are medians over pairs with a 95 % bootstrap interval. The limit is what the machine's measured peaks would need
for the same decoding and arithmetic. Prints Markdown; `--json FILE` keeps every number.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from paired import ratios, spoken

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import PROCESS_ENVIRONMENT, keep_freed_memory, prepare_process

EPOCHS = 25
BACKBONE, OTHER = "efficientnet_lite0", "resnet18"
PENALTIES = (0.001, 0.003, 0.02, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
FIRST_EVER, FEWER = "frozen, nothing measured", ", 3 epochs"
SCENARIOS = {
    "frozen": "frozen",
    FIRST_EVER: "frozen",
    "finetuned": "finetuned",
    "probe-then-finetune": "finetuned",
    f"finetuned{FEWER}": "finetuned",
    f"probe-then-finetune{FEWER}": "finetuned",
}
"""Ours -> the recipe's."""


def against(mode: str, wanted: list[str]) -> list[str]:
    """Our scenarios that are held against one of the recipe's two."""
    return [scenario for scenario, other in SCENARIOS.items() if other == mode and scenario in wanted]


def tutorial(folder: Path, mode: str, seed: int, epochs: int, settings: dict[str, str]) -> dict[str, Any]:
    """One run of the recipe in a fresh process; `s` is its time for all 25 epochs."""
    env = {name: value for name, value in os.environ.items() if name not in PROCESS_ENVIRONMENT} | settings
    command = [sys.executable, "-W", "ignore", str(PROJECT / "benchmarks" / "tutorial.py"), str(folder)]
    command += ["--mode", mode, "--seed", str(seed), "--epochs", str(epochs)]
    values: dict[str, Any] = json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    rest = values["total_s"] - sum(values["epoch_s"])
    return {**values, "s": rest + EPOCHS * statistics.mean(values["epoch_s"])}


def thaw(photos: Path, scenario: str, seed: int, speeds: Path, backbone: str = BACKBONE) -> dict[str, Any]:
    """One command of Thaw in a fresh process and an empty home."""
    with tempfile.TemporaryDirectory() as home:
        if scenario != FIRST_EVER:
            shutil.copy(speeds, home)
        command = [
            sys.executable,
            __file__,
            str(photos),
            "--arm",
            scenario,
            backbone,
            "--seeds",
            str(seed),
        ]
        env = {**os.environ, "THAW_HOME": home}
        values: dict[str, Any] = json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    return values


def arm(photos: Path, run_name: str, backbone: str, seed: int) -> dict[str, Any]:
    """What `thaw` runs: the command, and for frozen with other penalties, when everything is cached.

    Once more as it was, and nine times as a page does it, where the pictures are known by their name in the store.
    """
    prepare_process()
    keep_freed_memory()
    import timm  # noqa: F401  # imports are counted on neither side
    import torch  # noqa: F401
    import torchvision  # noqa: F401

    import core.runs.execute  # noqa: F401
    from core.commands.train import train
    from core.settings.schema import ModelSettings, OptimSettings, RunSettings

    # a random start is as fast, and needs no weights
    scenario = run_name.partition(",")[0]
    optim = OptimSettings(epochs=3) if run_name.endswith(FEWER) else OptimSettings()
    model = ModelSettings(backbone=backbone, scenario=scenario, weights=None if backbone == BACKBONE else "none")

    def run(where: str, l2: float | None) -> dict[str, Any]:
        settings = RunSettings(model=model, optim=replace(optim, l2=l2), seed=seed)
        start = time.perf_counter()
        values, _ = train(where, settings, lambda text: None)
        seconds = time.perf_counter() - start
        kept = ("test_accuracy", "timings", "work", "precision", "threads", "split", "dataset")
        return {"s": seconds, **{name: values[name] for name in kept}}

    first = run(str(photos), None)
    if scenario != "frozen":
        return first
    more = [run(first["dataset"]["id"], l2) for l2 in PENALTIES]
    return {**first, "warm": run(str(photos), 0.01), "nine_more_s": sum(other["s"] for other in more)}


def limits(photos: Path, runs: list[dict[str, Any]], peaks: Any, gflop: float) -> list[tuple[str, float, float]]:
    """(phase, wall, floor) in seconds of a cold frozen run."""
    with zipfile.ZipFile(photos) as archive:
        pictures = sum(name.lower().endswith((".jpg", ".jpeg")) for name in archive.namelist())
    decode = pictures / peaks.decode
    split, precise = runs[0]["split"], runs[0]["precision"]["features"]
    evaluated = split["val"] + split["test"]
    trained = runs[0]["work"]["pictures_forward"] - evaluated
    fast = peaks.conv_bf16 if precise == "bf16" else peaks.conv_fp32
    features = trained * gflop / fast + evaluated * gflop / peaks.conv_fp32

    def wall(phase: str) -> float:
        return float(statistics.median(run["timings"][phase] for run in runs))

    whole = statistics.median(run["s"] for run in runs)
    return [
        ("decode", wall("decode"), decode),
        ("features", wall("features"), features),
        ("the whole run", whole, decode + features),
    ]


def spread(accuracies: list[float]) -> str:
    """Mean, and from the lowest to the highest."""
    return f"{statistics.mean(accuracies):.3f} ({min(accuracies):.3f} to {max(accuracies):.3f})"


def report(rows: list[dict[str, Any]], bounds: list[tuple[str, float, float]], arguments: argparse.Namespace) -> str:
    """Markdown."""
    machine, first = this_machine(), rows[0]["thaw"]
    lines = [
        f"{date.today()}, {machine}, {first['threads']} threads, torch {machine.torch}, {arguments.seeds} pairs.",
        "",
        "| run | Thaw, s | its accuracy | recipe, 25 epochs, s | ratio | recipe with Thaw's process settings |",
        "|---|---|---|---|---|---|",
    ]
    told: dict[str, str] = {}
    for scenario, mode in SCENARIOS.items():
        here = [row for row in rows if row["scenario"] == scenario]
        if not here:
            continue
        ours = [row["thaw"]["s"] for row in here]
        plain, settled = ([row[name]["s"] for row in here] for name in ("tutorial", "settled"))
        lines.append(
            f"| {scenario} against {mode} | {statistics.median(ours):.1f} "
            f"| {spread([row['thaw']['test_accuracy'] for row in here])} | {statistics.median(plain):.0f} "
            f"| {spoken(ratios(plain, ours))} | {spoken(ratios(settled, ours))} |"
        )
        if arguments.epochs == EPOCHS:
            accuracies = [row["tutorial"]["accuracies"] for row in here]
            best, last = spread([max(row) for row in accuracies]), spread([row[-1] for row in accuracies])
            told[mode] = f"The recipe, {mode}: {best} in the epoch best on these test photos, {last} in its last."
    frozen = [row["thaw"] for row in rows if row["scenario"] == "frozen"]
    warm = [run["warm"] for run in frozen]
    forwards = sum(run["work"].get("pictures_forward", 0) for run in warm)
    again = statistics.median(run["s"] for run in warm)
    ten = ratios([run["s"] + run["nine_more_s"] for run in frozen], [run["s"] for run in frozen])
    lines += ["", *told.values(), ""]
    lines += [f"Frozen again with another penalty: {again:.2f} s, {forwards} forward passes.", ""]
    lines += [f"Ten frozen runs with ten penalties: {spoken(ten)} as long as one.", ""]
    lines += ["| phase of a cold frozen run | wall, s | floor, s | distance |", "|---|---|---|---|"]
    lines += [f"| {phase} | {wall:.2f} | {floor:.2f} | {wall / floor:.1f} |" for phase, wall, floor in bounds]
    return "\n".join(lines)


def main() -> None:
    """Run the pairs and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="pairs; with --arm the seed")
    parser.add_argument("--epochs", type=int, default=1, help="of the recipe that are really run")
    parser.add_argument("--runs", nargs="*", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--arm", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    photos = arguments.photos.resolve()
    if arguments.arm:
        name, backbone = arguments.arm
        print(json.dumps(arm(photos, name, backbone, arguments.seeds)))
        return
    with tempfile.TemporaryDirectory() as place:
        os.environ["THAW_HOME"] = place
        prepare_process()
        from core.models.catalogue import get_backbone
        from core.training.probe import known_peaks, known_speeds

        peaks = known_peaks()
        for backbone in (BACKBONE, OTHER):
            known_speeds(backbone)
        with zipfile.ZipFile(photos) as archive:
            archive.extractall(place)
        folder = next(path.parent for path in sorted(Path(place).glob("**/train")))
        rows: list[dict[str, Any]] = []
        for seed in range(arguments.seeds):
            for mode in ("frozen", "finetuned"):
                if not against(mode, arguments.runs):
                    continue
                recipe = tutorial(folder, mode, seed, arguments.epochs, {})
                ours = {
                    name: thaw(photos, name, seed, Path(place) / "speeds.json")
                    for name in against(mode, arguments.runs)
                }
                settled = tutorial(folder, mode, seed, 1, PROCESS_ENVIRONMENT)
                for name, run in ours.items():
                    rows.append({"scenario": name, "seed": seed, "thaw": run, "tutorial": recipe, "settled": settled})
                    print(f"{name}, seed {seed}: {run['s']:.1f} s, {recipe['s']:.0f} s", file=sys.stderr, flush=True)
        frozen = [row["thaw"] for row in rows if row["scenario"] == "frozen"]
        bounds = limits(photos, frozen, peaks, get_backbone(BACKBONE).forward_gflop)
        other = [thaw(photos, "frozen", seed, Path(place) / "speeds.json", OTHER) for seed in range(arguments.seeds)]
        _, (_, wall, floor), _ = limits(photos, other, peaks, get_backbone(OTHER).forward_gflop)
        bounds.append((f"features of {get_backbone(OTHER).label}", wall, floor))
    print(report(rows, bounds, arguments))
    if arguments.json:
        arguments.json.write_text(json.dumps({"pairs": rows, "limits": bounds}, indent=1))


if __name__ == "__main__":
    main()
