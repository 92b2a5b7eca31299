"""Whether a run knows what it does not know: `python benchmarks/strangers.py ZIP [--seeds N] [--each N]`.

Trains Frozen and Fine-tuned with several seeds. Coverage: of the test pictures, how many have their true class among
those named, by the coverage asked for, with the range that nine in ten such counts fall into (beta-binomial: val is
finite, too). Strangers: how many pictures of each drawn kind lie beyond the limit that turns away 2 % of val, how many
test pictures do, and for comparison how many strangers get less than 90 % for every class. Prints Markdown.
"""

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import betabinom

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks")]

from heat_maps import SCENARIOS, trained

from core.data.dataset import load_stored
from core.data.drawn.strangers import STRANGERS, draw_stranger
from core.inference.evidence import ood_score, reference_features
from core.inference.out_of_distribution import NEIGHBOURS, TURNED_AWAY, fit_limit
from core.inference.prediction_sets import fit_sets
from core.inference.predictor import Predictor
from core.runs.record import Predictions, load_predictions, load_record

COVERAGES = (0.8, 0.9, 0.95)
SURE = 0.9


def coverage_cells(said: Predictions, coverage: float) -> str:
    """Share covered, the range to expect, and classes named on average."""
    assert said.val_targets is not None and said.val_probabilities is not None  # these runs were trained here
    rule = fit_sets(said.val_targets, said.val_probabilities, coverage)
    sets = [rule.names(row) for row in said.probabilities]
    covered = np.mean([target in names for target, names in zip(said.targets, sets, strict=True)])
    val, test = len(said.val_targets), len(said.targets)
    rank = math.ceil((val + 1) * coverage - 1e-9)
    low, high = betabinom(test, rank, val + 1 - rank).ppf([0.05, 0.95]) / test
    return f"{covered:.1%} ({low:.1%} to {high:.1%}), {np.mean(list(map(len, sets))):.2f}"


def turned_away(run: str, each: int) -> tuple[dict[str, float], dict[str, float]]:
    """Shares beyond the limit by kind, test pictures included, and shares with no class above `SURE`."""
    predictor, record = Predictor.load(run), load_record(run)
    dataset = load_stored(record.dataset.id)
    train, val = (reference_features(predictor, dataset, part) for part in ("train", "val"))
    limit = fit_limit(train, val, TURNED_AWAY)
    pictures = {"test pictures": [dataset.pixels[index] for index in record.test_pictures]}
    pictures |= {kind: [np.asarray(draw_stranger(kind, n)) for n in range(each)] for kind in STRANGERS}
    far, unsure = {}, {}
    for kind, shown in pictures.items():
        probabilities, features = predictor.look(shown)
        far[kind] = float((ood_score(train, features, NEIGHBOURS) > limit.farthest).mean())
        unsure[kind] = float((probabilities.max(1) < SURE).mean())
    return far, unsure


def main() -> None:
    """Train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zip")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--each", type=int, default=40, help="strangers of each kind")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("THAW_HOME", folder)
        runs = trained(arguments.zip, list(range(arguments.seeds)))
        print("Covered on test (range to expect), classes named\n")
        print("| run | " + " | ".join(f"asked {coverage:.0%}" for coverage in COVERAGES) + " |\n|---|---|---|---|")
        for run in runs:
            settings, said = load_record(run).settings, load_predictions(run)
            cells = " | ".join(coverage_cells(said, coverage) for coverage in COVERAGES)
            print(f"| {settings.model.scenario}, seed {settings.seed} | {cells} |", flush=True)
        found: dict[str, tuple[list[dict[str, float]], ...]] = {scenario: ([], []) for scenario in SCENARIOS}
        for run in runs:
            for kept, new in zip(
                found[load_record(run).settings.model.scenario], turned_away(run, arguments.each), strict=True
            ):
                kept.append(new)
        print(f"\nMean over {arguments.seeds} seeds, {arguments.each} strangers of each kind\n")
        print("| pictures | " + " | ".join(f"{name}: beyond the limit | below {SURE:.0%}" for name in found) + " |")
        print("|---|" + "---|" * 2 * len(found))
        for kind in ("test pictures", *STRANGERS):
            shares = (np.mean([row[kind] for row in rows]) for pair in found.values() for rows in pair)
            print(f"| {kind} | " + " | ".join(f"{share:.0%}" for share in shares) + " |")


if __name__ == "__main__":
    main()
