"""The best accuracy for the seconds: `python benchmarks/recipes.py DATA [--seeds 5] [--recipes NAME ...]`.

Trains the same data with every recipe and seed, in turns. Prints, for each recipe, the mean test accuracy over seeds,
how far it is from the first recipe's, seed by seed, and the median of the seconds. Prints Markdown.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import keep_freed_memory, prepare_process

prepare_process()
keep_freed_memory()

from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training.scenarios import train_run

FINETUNED, USUAL = ModelSettings(scenario="finetuned"), OptimSettings()
PROBED = ModelSettings(scenario="probe-then-finetune")
RECIPES: dict[str, tuple[ModelSettings, OptimSettings]] = {
    "finetuned": (FINETUNED, USUAL),
    "finetuned, 192 px": (FINETUNED, OptimSettings(train_size=192)),
    "finetuned, 176 px": (FINETUNED, OptimSettings(train_size=176)),
    "finetuned, 4 epochs": (FINETUNED, OptimSettings(epochs=4)),
    "frozen": (ModelSettings(scenario="frozen"), USUAL),
    "probe-then-finetune": (PROBED, USUAL),
    "probe-then-finetune, 3 epochs": (PROBED, OptimSettings(epochs=3)),
    "probe-then-finetune, 2 epochs": (PROBED, OptimSettings(epochs=2)),
    "last stage": (ModelSettings(scenario="last-stages", last_stages=1), USUAL),
    "last 2 stages": (ModelSettings(scenario="last-stages", last_stages=2), USUAL),
}


def one(name: str, seed: int, dataset: Dataset) -> tuple[float, float]:
    """Test accuracy and seconds."""
    model, optim = RECIPES[name]
    settings = RunSettings(model=model, optim=optim, seed=seed)
    start = time.perf_counter()
    trained = train_run(settings, dataset)
    shutil.rmtree(Path(os.environ["THAW_HOME"], "cache", "features"), ignore_errors=True)  # each pays for its own
    return trained.test.accuracy, time.perf_counter() - start


def main() -> None:
    """Train them all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES))
    arguments = parser.parse_args()
    home = tempfile.TemporaryDirectory()  # in which no measured speed chooses how things are computed
    os.environ["THAW_HOME"] = home.name
    dataset = ingest(arguments.data).dataset
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in arguments.recipes}
    for seed in range(arguments.seeds):
        for name, rows in results.items():
            rows.append(one(name, seed, dataset))
            print(f"{name}, seed {seed}: {rows[-1][0]:.4f} in {rows[-1][1]:.1f} s", file=sys.stderr, flush=True)
    first = [accuracy for accuracy, _ in results[arguments.recipes[0]]]
    print(f"{this_machine()}, torch {this_machine().torch}, {date.today()}, {arguments.seeds} seeds\n")
    print("| recipe | test accuracy | against the first | seconds |\n|---|---|---|---|")
    for name, rows in results.items():
        mean = statistics.mean(accuracy for accuracy, _ in rows)
        gaps = [100 * (accuracy - other) for (accuracy, _), other in zip(rows, first, strict=True)]
        seconds = statistics.median(seconds for _, seconds in rows)
        against = f"{statistics.mean(gaps):+.1f} points ({min(gaps):+.1f} to {max(gaps):+.1f})"
        print(f"| {name} | {mean:.4f} | {against} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
