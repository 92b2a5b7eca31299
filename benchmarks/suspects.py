"""How many planted wrong labels are found, and how many right ones are doubted.

    python benchmarks/suspects.py DATA... [--share 0.05] [--seeds 5]

Of every data set, a share of the labels is made wrong by each seed; then precision (share of the suspected that were
planted) and recall (share of the planted that are suspected) of three ways to pick as many pictures as are suspected:
confident disagreement (what Thaw does), the lowest probability of the given class, and at random.
"""

import argparse
import random
from dataclasses import replace

import numpy as np

from core.data.dataset import Dataset
from core.data.ingest import ingest
from core.data.labels import check_settings
from core.machine.facts import this_machine
from core.settings.schema import ModelSettings
from core.training.suspects import find_suspects, held_out, plain_features


def planted(dataset: Dataset, indices: list[int], share: float, seed: int) -> tuple[Dataset, set[int]]:
    """The data set with so many labels made wrong, and at which indices."""
    dice = random.Random(seed)
    wrong = set(dice.sample(indices, round(share * len(indices))))
    pictures = list(dataset.pictures)
    for index in sorted(wrong):
        others = [target for target in range(len(dataset.class_names)) if target != pictures[index].target]
        pictures[index] = replace(pictures[index], target=dice.choice(others))
    return replace(dataset, pictures=tuple(pictures)), wrong


def measure(where: str, share: float, seeds: int) -> None:
    dataset = ingest(where).dataset
    indices, features, _ = plain_features(check_settings(dataset, ModelSettings().backbone), dataset)
    clean = held_out(dataset, indices, features)
    doubted = len(find_suspects(clean.targets, clean.probabilities))
    accuracy = (clean.probabilities.argmax(1) == clean.targets).mean()
    print(f"{dataset.title}: {len(indices)} pictures, held-out accuracy {accuracy:.1%}, {doubted} suspected as it is")
    rows = []
    for seed in range(seeds):
        changed, wrong = planted(dataset, indices, share, seed)
        judged = held_out(changed, indices, features)
        picked = [judged.indices[row] for row, _ in find_suspects(judged.targets, judged.probabilities)]
        sure = judged.probabilities[np.arange(len(judged.targets)), judged.targets]
        unsure = [judged.indices[row] for row in np.argsort(sure, kind="stable")[: len(picked)]]
        guessed = random.Random(f"pick {seed}").sample(indices, len(picked))
        scores = [score for picks in (picked, unsure, guessed) for score in _scores(picks, wrong)]
        rows.append(scores)
        print(f"  seed {seed}: {len(wrong)} planted, {len(picked)} suspected; " + _line(scores))
    print("  mean:  " + _line([float(score) for score in np.mean(rows, axis=0)]))


def _scores(picks: list[int], wrong: set[int]) -> tuple[float, float]:
    """Precision and recall."""
    hits = len(wrong & set(picks))
    return hits / max(1, len(picks)), hits / len(wrong)


def _line(scores: list[float]) -> str:
    names = ("confident disagreement", "lowest confidence", "random")
    pairs = zip(names, scores[::2], scores[1::2], strict=True)
    return "; ".join(f"{name} precision {precision:.0%}, recall {recall:.0%}" for name, precision, recall in pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    print(this_machine())
    for where in arguments.data:
        measure(where, arguments.share, arguments.seeds)
