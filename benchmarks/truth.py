"""Intervals and verdicts held against the truth: `python benchmarks/truth.py sets|folds|groups|photos|report`.

The drawn set can be drawn without end, so how good a recipe is can be known. `sets` draws data sets of 60 to 470
pictures, trains each recipe on each with ten seeds, and keeps what each seed says about the test part and how good it
is on thousands of fresh pictures; `folds` and `groups` do the same with folds, and with photos in groups. `photos D`
trains the recipe Frozen on the photos in D with many seeds, for races against itself. Each command goes on where the
last one stopped, for `--count` data sets or seeds; `report` prints Markdown over all there are.

What an interval should hold: the mean accuracy on fresh pictures of what a recipe makes of *this* data set over new
seeds. How often it holds the recipe's mean over new data sets of the size is printed beside it: that is more than one
data set can know.

Legend: S seeds, N test pictures.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from scipy.stats import t as student

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from batched import TODAY, widened
from pools import (
    Pool,
    Recipe,
    edition,
    grouped_pool,
    listing,
    others,
    plain_pool,
    right,
    train,
)

from core.comparison.crossed import crossed_difference, crossed_share
from core.comparison.statistics import wilson
from core.comparison.verdict import ALPHA, BAND, SMALLEST_DISCORDANT, discordant_units
from core.comparison.weighing import of_groups
from core.data.dataset import Dataset
from core.home import home_folder
from core.settings.schema import DataSettings

SIZES: Final = (60, 100, 160, 240, 350, 470)
RECIPES: Final = (
    Recipe(name="Frozen"),
    Recipe(name="no augmentation", views=1),
    Recipe(name="penalty of 10", l2=10.0),
    Recipe(name="half the features, other ones by seed", share=0.5),
)
SEEDS: Final = 10
"""All of them tell the true accuracy; the first few are what an interval is made of."""
POOL = 5_000
INDIVIDUALS, EACH = 600, 8
FOLDS, FOLD_SEEDS = 5, 3
GROUP_COUNTS: Final = ((1, 4), (5, 9), (10, INDIVIDUALS))
"""Of test pictures, the fewest and the most in a row of the report."""
Row = dict[str, Any]


def results(name: str) -> Path:
    drawn_as = "" if name == "photos" else f"-{edition()}"
    return home_folder("benchmarks") / f"truth-{name}{drawn_as}.jsonl"


def known(name: str) -> list[Row]:
    path = results(name)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def go_on(name: str, count: int, one: Callable[[int], Row]) -> None:
    """`count` more results, each written down as soon as it is there."""
    done = len(known(name))
    with results(name).open("a") as file:
        for number in range(done, done + count):
            file.write(json.dumps(one(number)) + "\n")
            file.flush()


def packed(table: Iterable[np.ndarray]) -> list[str]:
    """Rows (S, N) of right and wrong as text."""
    return ["".join("01"[int(value)] for value in row) for row in table]


def unpacked(rows: Sequence[str]) -> np.ndarray:
    """(S, N) bool."""
    return np.array([[sign == "1" for sign in row] for row in rows])


def one_set(pool: Pool) -> Callable[[int], Row]:
    """What all recipes make of a data set of the plain pool."""

    def measure(number: int) -> Row:
        rng, size = np.random.default_rng((26, number)), SIZES[number % len(SIZES)]
        rows = [int(2 * row + target) for target in (0, 1) for row in rng.choice(len(pool) // 2, size // 2, False)]
        return {"size": size, "recipes": {one.name: _over_seeds(one, pool, rows, number) for one in RECIPES}}

    return measure


def one_grouped_set(pool: Pool) -> Callable[[int], Row]:
    """The same of photos in groups; a data set has 8 to 58 individuals, with 2 to 8 photos of each."""

    def measure(number: int) -> Row:
        rng, size = np.random.default_rng((27, number)), SIZES[number % len(SIZES)]
        rows: list[int] = []
        for target in (0, 1):
            for individual in rng.permutation(np.arange(target, INDIVIDUALS, 2)):
                if sum(row // EACH % 2 == target for row in rows) < size // 2:
                    photos = rng.permutation(EACH)[: rng.integers(2, EACH + 1)]
                    rows += [int(individual) * EACH + int(photo) for photo in photos]
        return {
            "size": size,
            "recipes": {one.name: _over_seeds(one, pool, rows, number, grouped=True) for one in RECIPES[::3]},
        }

    return measure


def _over_seeds(recipe: Recipe, pool: Pool, rows: list[int], number: int, *, grouped: bool = False) -> Row:
    dataset, fresh = listing(pool, rows, number, grouped), others(pool, rows)
    tables, true = [], []
    for seed in range(SEEDS):
        split = dataset.split(seed)
        head = train(recipe, pool, rows, split, seed)
        tested = [rows[index] for index in split.test]
        tables.append(right(head, pool, torch.tensor(tested)))
        true.append(float(right(head, pool, fresh).mean()))
    row = {"right": packed(tables), "true": true}
    return {**row, "groups": [str(int(pool.groups[one])) for one in tested]} if grouped else row


def one_set_in_folds(pool: Pool) -> Callable[[int], Row]:
    """What recipes make of a data set of the plain pool in folds, every picture tested once by each seed."""

    def measure(number: int) -> Row:
        rng, size = np.random.default_rng((29, number)), SIZES[number % len(SIZES)]
        rows = [int(2 * row + target) for target in (0, 1) for row in rng.choice(len(pool) // 2, size // 2, False)]
        return {
            "size": size,
            "recipes": {one.name: _over_folds(one, pool, rows, number) for one in RECIPES[::3]},
        }

    return measure


def _over_folds(recipe: Recipe, pool: Pool, rows: list[int], number: int) -> Row:
    dataset, fresh = listing(pool, rows, number), others(pool, rows)
    table, true = np.zeros((FOLD_SEEDS, len(rows)), bool), []
    for seed in range(FOLD_SEEDS):
        of_seed = []
        for fold in range(1, FOLDS + 1):
            split = dataset.split(seed, DataSettings(folds=FOLDS, fold=fold))
            head = train(recipe, pool, rows, split, seed)
            table[seed, list(split.test)] = right(head, pool, torch.tensor([rows[index] for index in split.test]))
            of_seed.append(float(right(head, pool, fresh).mean()))
        true.append(float(np.mean(of_seed)))
    return {"right": packed(table), "true": true}


def one_photo_seed(where: str) -> Callable[[int], Row]:
    """What the recipe Frozen says about the photos' test part with a seed, from features of their own."""
    pool, dataset = photo_pool(where)
    rows = list(range(len(pool)))

    def measure(seed: int) -> Row:
        split = dataset.split(seed)
        head = train(RECIPES[0], pool, rows, split, seed)
        return {"right": packed([right(head, pool, torch.tensor(split.test))])[0]}

    return measure


def photo_pool(where: str) -> tuple[Pool, Dataset]:
    """A data set's own pictures as a pool, in its order."""
    from pools import backbone_features

    from core.data.ingest import ingest

    dataset = ingest(where).dataset
    images = [torch.from_numpy(np.array(dataset.pixels[i])).permute(2, 0, 1) for i in range(len(dataset.pictures))]
    features = backbone_features(images, [picture.group for picture in dataset.pictures])
    targets = torch.tensor([picture.target for picture in dataset.pictures])
    sides = [picture.side for picture in dataset.pictures]
    groups = torch.tensor([sides.index(side) for side in sides])
    return Pool(features=features, targets=targets, groups=groups), dataset


def shares(rows: Sequence[Row], seeds: int) -> Iterator[str]:
    """Table rows: how often one recipe's interval holds the truth, by size."""
    overall: dict[str, list[bool]] = defaultdict(list)
    for size in SIZES:
        of_size = [row["recipes"] for row in rows if row["size"] == size]
        cells = []
        for name in of_size[0] if of_size else ():
            new_sets = float(np.mean([row[name]["true"] for row in of_size]))
            held, wide, wilsons = [], [], []
            for row in of_size:
                table, true = unpacked(row[name]["right"])[:seeds], row[name]["true"]
                ends = crossed_share(table, row[name].get("groups", ()))
                held.append(ends.low <= np.mean(true) <= ends.high)
                wide.append(ends.low <= new_sets <= ends.high)
                one = wilson(int(table[0].sum()), table.shape[1])
                wilsons.append(one.low <= true[0] <= one.high)
            overall[name] += held
            cells.append(f"| {size} | {name} | {np.mean(held):.1%} | {np.mean(wide):.1%} | {np.mean(wilsons):.1%} |")
        yield from cells
    for name, held in overall.items():
        yield f"| all {len(held)} | {name} | {np.mean(held):.1%} ({ends_of(held)}) | | |"


def shares_by_groups(rows: Sequence[Row], seeds: int) -> Iterator[str]:
    """Table rows: the same, how wide the interval is and how far off the mean, by number of groups of test pictures."""
    for name in rows[0]["recipes"]:
        of_recipe = [row["recipes"][name] for row in rows]
        for fewest, most in GROUP_COUNTS:
            found = [row for row in of_recipe if fewest <= len(set(row["groups"])) <= most]
            ends = [crossed_share(unpacked(row["right"])[:seeds], row["groups"]) for row in found]
            held = [one.low <= np.mean(row["true"]) <= one.high for one, row in zip(ends, found, strict=True)]
            if held:
                width = 100 * np.mean([one.high - one.low for one in ends])
                off = [unpacked(row["right"])[:seeds].mean() - np.mean(row["true"]) for row in found]
                rms = 100 * np.sqrt(np.mean(np.square(off)))
                cells = f"{np.mean(held):.1%} ({ends_of(held)}) | {width:.0f} points | {rms:.1f} points"
                largest = max(len(set(row["groups"])) for row in found)
                yield f"| {fewest} to {largest} | {len(held)} | {name} | {cells} |"


def ends_of(held: Sequence[bool]) -> str:
    """What chance leaves of a share of so many data sets: its Wilson interval."""
    ends = wilson(sum(held), len(held))
    return f"{ends.low:.1%} to {ends.high:.1%}"


def pairs(rows: Sequence[Row], seeds: int) -> Iterator[str]:
    """Table rows: how often a pair's interval holds the true gap, and what is said."""
    names = list(rows[0]["recipes"])
    wanted = [(a, b, slice(0, seeds), slice(0, seeds)) for a, b in combinations(names, 2)]
    if len(rows[0]["recipes"][names[0]]["true"]) >= 2 * seeds:
        wanted.append((names[0], names[0], slice(0, seeds), slice(seeds, 2 * seeds)))
    for a, b, of_a, of_b in wanted:
        held, gaps, said = [], [], {"right": 0, "wrong": 0, "same": 0, "too bold": 0}
        for row in rows:
            first, second = (row["recipes"][name] for name in (a, b))
            tables = unpacked(first["right"][of_a]), unpacked(second["right"][of_b])
            found = crossed_difference(*tables, first.get("groups", ())).estimate
            gap = 0.0 if a == b else float(np.mean(first["true"]) - np.mean(second["true"]))
            gaps.append(gap)
            held.append(found.interval.low <= gap <= found.interval.high)
            if found.p_value < ALPHA:
                said["right" if found.value * gap > 0 else "wrong"] += 1
            elif found.interval.low >= -BAND and found.interval.high <= BAND:
                said["same" if abs(gap) <= BAND else "too bold"] += 1
        counts = " | ".join(f"{number / len(rows):.1%}" for number in said.values())
        other = f"{b}, other seeds" if a == b else b
        middle = f"{100 * np.mean(gaps):+.1f} points"
        yield f"| {a} | {other} | {middle} | {np.mean(held):.1%} ({ends_of(held)}) | {counts} |"


def other_widths(rows: Sequence[Row], seeds: int) -> Iterator[str]:
    """Table rows: how often a pair's interval would hold the true gap with other least widths, and how wide it is.

    Over all pairs of recipes; and how often today's least width decides.
    """
    held: dict[str, list[bool]] = defaultdict(list)
    widths: dict[str, list[float]] = defaultdict(list)
    decides, few = [], []
    for row, (first, second) in product(rows, combinations(rows[0]["recipes"], 2)):
        a, b = (row["recipes"][name] for name in (first, second))
        gap = float(np.mean(a["true"]) - np.mean(b["true"]))
        right_a, right_b = (unpacked(one["right"][:seeds]) for one in (a, b))
        scores = of_groups(right_a.astype(np.float64) - right_b, a.get("groups", ()))
        if scores.shape[1] < 2:
            continue
        few.append(discordant_units((right_a != right_b).any(0), a.get("groups", ())) < SMALLEST_DISCORDANT)
        for name, (error, df) in widened(scores[None]).items():
            half = float(student.ppf(0.975, df[0]) * error[0])
            held[name].append(abs(scores.mean() - gap) <= half)
            widths[name].append(2 * half)
        decides.append(widths[TODAY][-1] > widths["none"][-1] + 1e-9)
    for name, found in held.items():
        yield f"| {name} | {np.mean(found):.1%} | {100 * np.mean(widths[name]):.1f} points |"
    yield f"\nToday's decides in {np.mean(decides):.0%}; in {np.mean(few):.0%} fewer than six tell two recipes apart."


def against_itself(rows: Sequence[str], seeds: int, races: int) -> tuple[int, int]:
    """How many of so many races of Frozen against itself say that one is better, and how many hold a gap of 0."""
    rng, table = np.random.default_rng(28), unpacked(rows)
    better = held = 0
    for _ in range(races):
        drawn = rng.choice(len(table), 2 * seeds, replace=False)
        found = crossed_difference(table[drawn[:seeds]], table[drawn[seeds:]]).estimate
        better += found.p_value < ALPHA
        held += found.interval.low <= 0 <= found.interval.high
    return better, held


def report() -> None:
    """Everything that is known, as Markdown."""
    for name, seeds in (("sets", 3), ("sets", 5), ("groups", 3), ("folds", FOLD_SEEDS)):
        rows = known(name)
        if not rows:
            continue
        print(f"\n{name}: {len(rows)} data sets, {seeds} seeds\n")
        print("| pictures | recipe | its interval holds the truth | and that of new data sets | Wilson, one model |")
        print("|---|---|---|---|---|")
        print("\n".join(shares(rows, seeds)))
        if name == "groups":
            print("\n| groups of test pictures | data sets | recipe | interval holds it | its width | off by (rms) |")
            print("|---|---|---|---|---|---|")
            print("\n".join(shares_by_groups(rows, seeds)))
        print("\n| a | b | true gap | interval holds it | better, rightly | wrongly | same, rightly | wrongly |")
        print("|---|---|---|---|---|---|---|---|")
        print("\n".join(pairs(rows, seeds)))
        print("\n| least width of a difference | interval holds it | its width |\n|---|---|---|")
        print("\n".join(other_widths(rows, seeds)))
    photos = [row["right"] for row in known("photos")]
    for seeds in (3, 5, 10):
        if len(photos) >= 2 * seeds:
            better, held = against_itself(photos, seeds, 1_000)
            print(
                f"\nPhotos, {len(photos):,} seeds: of 1,000 races of Frozen against itself over {seeds} seeds {better} "
                f"say that one is better; the interval holds 0 in {held / 10:.1f} %."
            )


def main() -> None:
    """Measure something, or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("sets", "folds", "groups", "photos", "report"))
    parser.add_argument("data", nargs="?")
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    match arguments.what:
        case "report":
            report()
        case "photos":
            go_on("photos", arguments.count, one_photo_seed(arguments.data))
        case "groups":
            go_on("groups", arguments.count, one_grouped_set(grouped_pool(INDIVIDUALS, EACH)))
        case what:
            go_on(what, arguments.count, (one_set if what == "sets" else one_set_in_folds)(plain_pool(POOL)))


if __name__ == "__main__":
    main()
