"""What ignoring groups does to an accuracy: `python benchmarks/groups.py [--repeats N]`.

Each data set is photos of drawn insects, several of every insect on its ground (`pools.photo`). It is divided twice:
as if every photo stood for itself, and with all photos of one insect in one part. Reported is what the test part says;
true is what the same heads get on all insects that are not in the data set. Frozen backbone, heads solved for, three
seeds. Prints Markdown.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from pools import Pool, Recipe, grouped_pool, listing, others, right, train

INDIVIDUALS, EACH = 600, 8
PHOTOS = 240  # of every data set
SEEDS = (0, 1, 2)


def rows_of(rng: np.random.Generator, pool: Pool, each: int) -> list[int]:
    """Photos of a data set: as many individuals of each class as make 240 photos, `each` of every one."""
    per_class = PHOTOS // each // 2
    chosen = [
        individual
        for target in (0, 1)
        for individual in rng.choice(np.arange(target, INDIVIDUALS, 2), per_class, replace=False)
    ]
    return [int(one) * EACH + int(number) for one in chosen for number in rng.permutation(EACH)[:each]]


def accuracies(pool: Pool, rows: list[int], number: int, grouped: bool) -> tuple[float, float]:
    """(reported on the test part, true), means over the seeds."""
    dataset, fresh = listing(pool, rows, number, grouped), others(pool, rows)
    found = []
    for seed in SEEDS:
        split = dataset.split(seed)
        head = train(Recipe(name="Frozen"), pool, rows, split, seed)
        tested = torch.tensor([rows[index] for index in split.test])
        found.append((right(head, pool, tested).mean(), right(head, pool, fresh).mean()))
    reported, true = np.mean(found, axis=0)
    return float(reported), float(true)


def main() -> None:
    """Draw data sets, divide each of them both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    pool = grouped_pool(INDIVIDUALS, EACH)
    rng = np.random.default_rng(20261126)
    print(f"{repeats} data sets of {PHOTOS} photos in each row, three seeds; {INDIVIDUALS} insects in all.\n")
    print("| photos of every insect | groups | reported | true | too high by | smallest and largest |")
    print("|---|---|---|---|---|---|")
    for each in (2, 4, 8):
        sets = [rows_of(rng, pool, each) for _ in range(repeats)]
        for grouped in (False, True):
            rows = np.array([accuracies(pool, one, number, grouped) for number, one in enumerate(sets)])
            gaps = 100 * (rows[:, 0] - rows[:, 1])
            reported, true = (f"{100 * share:.1f} %" for share in rows.mean(axis=0))
            name = "respected" if grouped else "ignored"
            ends = f"{gaps.min():+.1f} to {gaps.max():+.1f}"
            print(f"| {each} | {name} | {reported} | {true} | {gaps.mean():+.1f} points | {ends} |", flush=True)


if __name__ == "__main__":
    main()
