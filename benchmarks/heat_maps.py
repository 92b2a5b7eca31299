"""Whether heat maps show what decides: `python benchmarks/heat_maps.py ZIP [--pictures N] [--seeds N]`.

Trains Frozen and Fine-tuned, and for each test picture hides the fifth that speaks most for the predicted class under
grey, or a fifth elsewhere: the same shape moved, mirrored and wrapped around, several times. If maps mean something,
the first lowers the probability more. Also prints what calibration does to the test part. Mean drops in percentage
points with 95 % bootstrap intervals over pictures, as Markdown.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.comparison.calibration import brier, calibration_error, reliability
from core.comparison.metrics import log_loss
from core.comparison.temperature import at_temperature
from core.data.dataset import load_stored
from core.data.ingest import ingest
from core.inference.explain import heat_map
from core.inference.predictor import Predictor
from core.runs.engine import run_next
from core.runs.race import plan_race, submit
from core.runs.record import load_predictions, load_record
from core.runs.store import RunStore
from core.settings.schema import RunSettings

SCENARIOS = ("frozen", "finetuned")
SHARE = 0.2  # of a picture that is hidden
MOVES = 8  # random places for each picture


def trained(path: str, seeds: list[int]) -> list[str]:
    """Finished runs of both scenarios with these seeds."""
    store = RunStore()
    ids = submit(store, plan_race(RunSettings(), SCENARIOS, seeds), ingest(path), as_race=True)
    while any(store.get(run).is_active for run in ids):
        run_next(store, lambda: False, ids)
    return ids


def drops(run: str, limit: int, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """For each test picture: how far the predicted class falls, its hottest fifth hidden and another fifth hidden."""
    predictor, record = Predictor.load(run), load_record(run)
    dataset = load_stored(record.dataset.id)
    for index in rng.permutation(record.test_pictures)[:limit]:
        seen = predictor.input_of(dataset.pixels[index]).permute(1, 2, 0).numpy()  # prepared once: nothing is cut off
        before = predictor.predict([seen])[0]
        predicted = int(before.argmax())
        heat = heat_map(predictor, seen, predicted)
        hottest = heat >= np.quantile(heat, 1 - SHARE)
        masks = [hottest, *(moved(hottest, rng) for _ in range(MOVES))]
        after = predictor.predict([np.where(mask[..., None], np.uint8(128), seen) for mask in masks])[:, predicted]
        yield float(before[predicted] - after[0]), float(before[predicted] - after[1:].mean())


def moved(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same shape elsewhere, wrapped around, perhaps mirrored: as large, as ragged."""
    mask = mask[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    return np.roll(mask, rng.integers(0, mask.shape[0], 2), (0, 1))


def spoken(values: np.ndarray, rng: np.random.Generator) -> str:
    """Mean and interval in percentage points."""
    means = rng.choice(values, (5000, len(values))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{100 * values.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"


def calibration_row(run: str) -> str:
    """Log loss, calibration error and Brier score on test, raw and calibrated."""
    record, said = load_record(run), load_predictions(run)
    cells = []
    for rows in (said.probabilities, at_temperature(said.probabilities, record.temperature)):
        error = calibration_error(reliability(said.targets, rows))
        cells.append(f"{log_loss(said.targets, rows):.3f} / {error:.1%} / {brier(said.targets, rows):.3f}")
    head = f"| {record.settings.model.scenario}, seed {record.settings.seed} | {record.temperature or float('nan'):.2f}"
    return f"{head} | {record.test_accuracy:.1%} | {cells[0]} | {cells[1]} |"


def main() -> None:
    """Train, hide, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zip")
    parser.add_argument("--pictures", type=int, default=1000, help="test pictures at most")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("THAW_HOME", folder)
        runs = trained(arguments.zip, list(range(arguments.seeds)))
        print("On test: log loss / calibration error / Brier score\n")
        print("| run | temperature | accuracy | raw | calibrated |\n|---|---|---|---|---|")
        print("\n".join(map(calibration_row, runs)))
        print("\n| run, seed 0 | pictures | hottest fifth hidden | another fifth hidden | difference |")
        print("|---|---|---|---|---|")
        for run in runs:
            record = load_record(run)
            if record.settings.seed == 0:
                rng = np.random.default_rng(0)
                pairs = np.array(list(drops(run, arguments.pictures, rng)))
                cells = (spoken(values, rng) for values in (pairs[:, 0], pairs[:, 1], pairs[:, 0] - pairs[:, 1]))
                print(f"| {record.settings.model.scenario} | {len(pairs)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
