"""How often the verdict is right, by simulation: `python benchmarks/simulation.py [--repeats N] [--only PART]`.

Races are drawn picture by picture (`drawn_races.py`). Since the truth is known, every interval and every verdict of
`core.comparison` can be held against it.

Parts: `ways` (from three seeds on), `power` (by number of seeds), `accuracy` (one way of training alone), `models` (two
trained models, and single ones), `exponents` (why the degrees of freedom are as they are), `grades` (how often a
conclusion calls one of several equals better), `graded` (by number of seeds, the grade that is shown), `uneven` (equals
of which only one varies from seed to seed), `least` (other least widths of a difference), `same` (from how many test
pictures equals are called practically the same), `groups` (pictures in groups). Prints Markdown.
"""

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from batched import TODAY, Said, graded, said_of, widened
from drawn_races import ACCURACY, KINDS, race_in_groups, races, tables

from core.comparison.conclusion import PROBABLE, chances_over_models
from core.comparison.crossed import (
    LEAST_SEEDS,
    crossed_difference,
    crossed_share,
    error_and_df,
    estimate_of,
    grouped_share,
    mean_squares,
)
from core.comparison.race import decide_over_models, decide_over_seeds
from core.comparison.statistics import mcnemar_exact, paired_difference, wilson
from core.comparison.verdict import ALPHA, BAND, SMALLEST_DISCORDANT, Verdict, decide, discordant_units

SEEDS, PICTURES, SPREADS, GAPS = (3, 5, 10), (40, 150, 1000), (0.015, 0.04), (0.0, 0.05, 0.15)
SAID: dict[Verdict, str] = {"a-better": "A is better", "b-better": "B is better", "same": "the same"}
GROUPS, SIZES, ALIKE = (5, 8, 10, 15, 30), ((2, 2), (4, 4), (8, 8), (2, 8), (1, 24)), (0.0, 0.2, 0.5, 0.9)
"""How many groups; the fewest and the most pictures of one, many small and few large; how much right and wrong of its
pictures correlate."""
TOLD_NOTHING = 0.05
"""Where more races than that have every picture right, intervals hold the truth too often by necessity."""
CHECKED = 5  # races of each batch that are held against core, where a batch is judged at once


def over_seeds(a: np.ndarray, b: np.ndarray, truth: float) -> tuple[Verdict, bool]:
    """The verdict from three seeds on, and whether its interval holds the truth."""
    found = crossed_difference(a, b).estimate
    discordant = int((a != b).any(axis=0).sum())
    said = decide_over_seeds(found.value, found.interval, found.p_value, discordant, BAND)
    return said, found.interval.low <= truth <= found.interval.high


def of_models(a: np.ndarray, b: np.ndarray) -> Verdict:
    """The verdict with one or two seeds, from one model of each way of training per seed."""
    outcomes, ps, differences = [], [], []
    for one, other in zip(a, b, strict=True):
        both, only_a, only_b = (int(cell.sum()) for cell in (one & other, one & ~other, ~one & other))
        difference, ends = paired_difference(both, only_a, only_b, one.size - both - only_a - only_b)
        ps.append(mcnemar_exact(only_a, only_b))
        outcomes.append(decide(difference, ends, ps[-1], BAND))
        differences.append(difference)
    return decide_over_models(outcomes, differences, min(1.0, len(ps) * min(ps)))


def verdict(a: np.ndarray, b: np.ndarray) -> Verdict:
    """By whichever rule there is for so many seeds."""
    return over_seeds(a, b, 0.0)[0] if len(a) >= LEAST_SEEDS else of_models(a, b)


def print_ways(rng: np.random.Generator, repeats: int) -> None:
    """The same recipe in both arms, gaps of 5 and 15 points: "better" said, and intervals that hold the truth."""
    better, held = [], []
    print("| seeds | pictures | spread | same recipe: better | held 0 | held 5 | held 15 | found 5 | found 15 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for seeds in SEEDS:
        for pictures in PICTURES:
            for spread in SPREADS:
                said, inside = [], []
                for gap in GAPS:
                    rows = [over_seeds(a, b, gap) for a, b in races(rng, repeats, seeds, pictures, spread, gap)]
                    count = Counter(row[0] for row in rows)
                    said.append((count["a-better"] + (count["b-better"] if not gap else 0)) / repeats)
                    inside.append(sum(row[1] for row in rows) / repeats)
                better.append(said[0])
                held += inside
                cells = " | ".join(f"{100 * value:.1f}" for value in (said[0], *inside, *said[1:]))
                print(f"| {seeds} | {pictures} | {100 * spread:.1f} | {cells} |", flush=True)
    print(f"\nSame recipe called better: {min(better):.1%} to {max(better):.1%}, mean {np.mean(better):.1%}.")
    print(f"Intervals that hold the truth: {min(held):.1%} to {max(held):.1%}, mean {np.mean(held):.1%}.\n")


def print_power(rng: np.random.Generator, repeats: int) -> None:
    """What one more seed brings, with 150 pictures."""
    print("| true gap | spread | said with seeds: | 1 | 2 | 3 | 4 | 5 | 8 | 10 |")
    print("|---|---|---|" + "---|" * 7)
    for gap in (0.0, 0.05, 0.10, 0.15):
        for spread in SPREADS:
            counts = [
                Counter(verdict(a, b) for a, b in races(rng, repeats, seeds, 150, spread, gap))
                for seeds in (1, 2, 3, 4, 5, 8, 10)
            ]
            for name, words in SAID.items():
                cells = " | ".join(f"{100 * count[name] / repeats:.1f}" for count in counts)
                print(f"| {100 * gap:.0f} points | {100 * spread:.1f} | {words} | {cells} |", flush=True)
    print()


def print_accuracy(rng: np.random.Generator, repeats: int) -> None:
    """One way of training alone: its interval over seeds and pictures, and the range of its seeds for comparison."""
    print("| accuracy | seeds | pictures | spread | interval held it | width | range of the seeds held it |")
    print("|---|---|---|---|---|---|---|")
    for gap in (0.0, 0.15):
        for seeds in SEEDS:
            for pictures in (15, *PICTURES):
                for spread in SPREADS:
                    truth, held, width, spanned = ACCURACY - gap, 0, 0.0, 0
                    for _, right in races(rng, repeats, seeds, pictures, spread, gap):
                        ends, seen = crossed_share(right), right.mean(axis=1)
                        held += ends.low <= truth <= ends.high
                        width += (ends.high - ends.low) / repeats
                        spanned += seen.min() <= truth <= seen.max()
                    cells = f"{100 * held / repeats:.1f} | {100 * width:.1f} | {100 * spanned / repeats:.1f}"
                    print(f"| {truth:.0%} | {seeds} | {pictures} | {100 * spread:.1f} | {cells} |", flush=True)
    print()


def print_models(rng: np.random.Generator, repeats: int) -> None:
    """Single models on their pictures: Wilson's interval, Newcombe's, and the verdict by exact McNemar."""
    print("| pictures | gap | Wilson held it | Newcombe held it | a better | b better | same | cannot tell |")
    print("|---|---|---|---|---|---|---|---|")
    for pictures in (20, 50, 150, 1000):
        for gap in GAPS:
            said: Counter[str] = Counter()
            alone = paired = 0
            for a, b in races(rng, repeats, 1, pictures, 0.0, gap):
                ends = wilson(int(a.sum()), pictures)
                alone += ends.low <= ACCURACY <= ends.high
                cells = int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum())
                between = paired_difference(*cells)[1]
                paired += between.low <= gap <= between.high
                said[of_models(a, b)] += 1
            names = ("a-better", "b-better", "same", "cannot-tell")
            shares = (alone / repeats, paired / repeats, *(said[name] / repeats for name in names))
            print(
                f"| {pictures} | {100 * gap:.0f} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |", flush=True
            )
    print()


def chance(a: np.ndarray, b: np.ndarray) -> tuple[float, float, bool]:
    """p, the larger chance to be ahead by more than the band, and whether enough pictures tell two arms apart."""
    if len(a) >= LEAST_SEEDS:
        found = crossed_difference(a, b).estimate
        chances, p = found.chances(BAND), found.p_value
    else:
        cells = [(int((one & ~other).sum()), int((~one & other).sum())) for one, other in zip(a, b, strict=True)]
        found_ends = [
            paired_difference(int((x & y).sum()), *cell, int((~x & ~y).sum()))[1]
            for x, y, cell in zip(a, b, cells, strict=True)
        ]
        errors = [(ends.high - ends.low) / (2 * norm.ppf(0.975)) for ends in found_ends]
        chances = chances_over_models(float(a.mean() - b.mean()), errors, BAND)
        p = 0.0 if of_models(a, b) in ("a-better", "b-better") else 1.0
    enough = int((a != b).any(axis=0).sum()) >= SMALLEST_DISCORDANT
    return p, max(chances.above, chances.below), enough


def checked(a: np.ndarray, b: np.ndarray) -> Said:
    """What is said of many races (R, S, N), after the first few were held against what core says."""
    said = said_of(a, b)
    for race in range(min(CHECKED, len(a))):
        p, larger, enough = chance(a[race], b[race])
        same = np.allclose((said.p[race], said.chance[race]), (p, larger), atol=1e-6) and said.enough[race] == enough
        assert same, f"core says {p}, {larger}, {enough}; batched {said.p[race]}, {said.chance[race]}"
    return said


def print_grades(rng: np.random.Generator, repeats: int) -> None:
    """Ways of training that are all alike: how often the conclusion calls the best one clearly or probably better."""
    print("| arms | seeds | pictures | spread | clearly | clearly or probably | the same with 0.8, pairs not counted |")
    print("|---|---|---|---|---|---|---|")
    for arms, seeds in ((2, 1), (2, 2), (2, 3), (2, 5), (3, 3), (6, 3)):
        for pictures in PICTURES:
            for spread in SPREADS:
                counts = np.zeros(3)
                for drawn in tables(rng, repeats, seeds, pictures, [(ACCURACY, spread)] * arms):
                    counts += _grades(drawn)
                cells = " | ".join(f"{100 * count / repeats:.1f}" for count in counts)
                print(f"| {arms} | {seeds} | {pictures} | {100 * spread:.1f} | {cells} |", flush=True)
    print()


def _grades(drawn: Sequence[np.ndarray]) -> np.ndarray:
    """In how many races the best one is called clearly better than some other, or probably, and so by looser rules."""
    best = np.argmax([right.mean((1, 2)) for right in drawn], axis=0)
    pairs, seeds = list(combinations(range(len(drawn)), 2)), drawn[0].shape[1]
    said = [checked(drawn[a], drawn[b]) for a, b in pairs]
    of_best = np.stack([(best == a) | (best == b) for a, b in pairs], axis=1)  # (R, P)
    clearly, probably = graded(said, seeds, PROBABLE)
    _, loosely = graded(said, seeds, 0.8, counted=False)
    return np.array([(of_best & called).any(1).sum() for called in (clearly, probably, loosely)], dtype=float)


def print_graded(rng: np.random.Generator, repeats: int) -> None:
    """What one more seed brings to the grade that is shown, with 150 pictures: clearly or probably better."""
    print("| true gap | spread | 1 seed | 2 | 3 | 4 | 5 | 8 | 10 |\n|---|---|---|---|---|---|---|---|---|")
    for gap in (0.0, 0.05, 0.10, 0.15):
        for spread in SPREADS:
            cells = []
            for seeds in (1, 2, 3, 4, 5, 8, 10):
                counts = np.zeros(2)
                for a, b in tables(rng, repeats, seeds, 150, ((ACCURACY, spread), (ACCURACY - gap, spread))):
                    said = checked(a, b)
                    called = graded([said], seeds, PROBABLE)[1][:, 0]
                    counts += (called & (said.gap > 0)).sum(), (called & (said.gap < 0)).sum()
                rightly, wrongly = 100 * counts / repeats
                cells.append(f"{rightly:.1f} ({wrongly:.1f})")
            print(f"| {100 * gap:.0f} points | {100 * spread:.1f} | {' | '.join(cells)} |", flush=True)
    print()


def print_uneven(rng: np.random.Generator, repeats: int) -> None:
    """Equals of which one never varies from seed to seed and the other does: how often one is called better."""
    print("| seeds | pictures | spread of one, of the other | better |\n|---|---|---|---|")
    for seeds in SEEDS:
        for pictures in PICTURES:
            for spread in SPREADS:
                better = 0
                for a, b in tables(rng, repeats, seeds, pictures, ((ACCURACY, 0.0), (ACCURACY, spread))):
                    said = checked(a, b)
                    better += int(((said.p < ALPHA) & said.enough).sum())
                print(f"| {seeds} | {pictures} | 0, {100 * spread:.1f} | {100 * better / repeats:.1f} |", flush=True)
    print()


def outcomes(a: np.ndarray, b: np.ndarray, truth: float) -> dict[str, np.ndarray]:
    """Of many races (R, S, N): what is counted with each way to keep an interval from being a point, (4, R).

    Whether the interval holds the truth, its width, and whether one is called better, or both practically the same.
    """
    scores, found = a.astype(np.float64) - b, {}
    value, enough = scores.mean((1, 2)), (a != b).any(1).sum(1) >= SMALLEST_DISCORDANT
    for name, (error, df) in widened(scores).items():
        half = student.ppf(0.975, df) * error
        better = (np.abs(value) > half) & enough
        same = ~better & (np.abs(value) + half <= BAND)
        found[name] = np.stack([np.abs(value - truth) <= half, 2 * half, better, same])
    return found


def print_least(rng: np.random.Generator, repeats: int) -> None:
    """Few pictures on which arms hardly differ, where the least width of an interval decides: today's and others."""
    print("| pictures | least width | held | in the worst cell | width | equals: better | same, rightly | wrongly |")
    print("|---|---|---|---|---|---|---|---|")
    gaps = (0.0, 0.01, 0.025, 0.05)
    for pictures in (12, 20, 40, 94, 150):
        cells: dict[str, list[np.ndarray]] = defaultdict(list)
        for kind, spread, gap in product(KINDS.values(), (0.0, SPREADS[0]), gaps):
            counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(4))
            for a, b in tables(rng, repeats, 3, pictures, ((ACCURACY, spread), (ACCURACY - gap, spread)), kind):
                for name, found in outcomes(a, b, gap).items():
                    counts[name] += found.sum(1) / repeats
            for name, count in counts.items():
                cells[name].append(count)
        for name, its_cells in cells.items():
            by_gap = np.reshape(its_cells, (-1, len(gaps), 4))
            held, width, equals = by_gap[..., 0], by_gap[..., 1].mean(), by_gap[:, 0, 2].max()
            said = held.mean(), held.min(), width, equals, by_gap[:, :2, 3].mean(), by_gap[:, 2:, 3].max()
            print(f"| {pictures} | {name} | {' | '.join(f'{100 * share:.1f}' for share in said)} |", flush=True)
    print()


def print_same(rng: np.random.Generator, repeats: int) -> None:
    """Equals: how often they are called practically the same, within the usual band."""
    counts = (94, 150, 300, 600, 1000, 2000)
    print(f"| two runs disagree on | spread | seeds | pictures: {' | '.join(map(str, counts))} |")
    print("|---|---|---|" + "---|" * len(counts))
    for (kind, shares), spread, seeds in product(KINDS.items(), (0.0, 0.005, SPREADS[0]), SEEDS):
        cells = []
        for pictures in counts:
            drawn = tables(rng, repeats, seeds, pictures, [(ACCURACY, spread)] * 2, shares)
            same = sum(outcomes(a, b, 0.0)[TODAY][3].sum() for a, b in drawn)
            cells.append(f"{100 * same / repeats:.1f}")
        print(f"| {kind} | {100 * spread:.1f} | {seeds} | {' | '.join(cells)} |", flush=True)
    print()


def over_groups(rng: np.random.Generator, members: np.ndarray, accuracy: float, correlation: float) -> list[float]:
    """Of one race what a row of `print_groups` averages."""
    a, b, of_first = race_in_groups(rng, members, accuracy, correlation, SEEDS[0], SPREADS[0])
    groups = [str(member) for member in members]
    ends, of_model = crossed_share(a, groups), grouped_share(a[0], groups)
    pair = crossed_difference(a, b, groups).estimate
    tell_apart = discordant_units((a != b).any(axis=0), groups)
    said = decide_over_seeds(pair.value, pair.interval, pair.p_value, tell_apart, BAND)
    return [
        float(a.all()),
        ends.low <= accuracy <= ends.high,
        ends.high - ends.low,
        of_model.low <= of_first <= of_model.high,
        pair.interval.low <= 0 <= pair.interval.high,
        pair.interval.high - pair.interval.low,
        said in ("a-better", "b-better"),
    ]


def print_groups(rng: np.random.Generator, repeats: int) -> None:
    """Pictures in groups: how often intervals over three seeds hold the truth, and equals are called different."""
    print("| accuracy | groups | of each | alike | all right | held | width | one model | pair held | width | better |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    for accuracy, count, (fewest, most), correlation in product((0.8, 0.95), GROUPS, SIZES, ALIKE):
        races = []
        for _ in range(repeats):
            sizes = np.round(fewest * (most / fewest) ** rng.random(count)).astype(int)
            members = np.repeat(np.arange(count), sizes)
            races.append(over_groups(rng, members, accuracy, correlation))
        rows.append(np.mean(races, axis=0))
        each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        cells = " | ".join(f"{100 * share:.1f}" for share in rows[-1])
        print(f"| {accuracy:.0%} | {count} | {each} | {correlation} | {cells} |", flush=True)
    found = np.array(rows)
    told = found[found[:, 0] <= TOLD_NOTHING]
    for name, column in (
        ("Accuracies' intervals", told[:, 1]),
        ("One model's", told[:, 3]),
        ("A pair's", found[:, 4]),
        ("Called better", found[:, 6]),
    ):
        print(f"\n{name}: {column.min():.1%} to {column.max():.1%}, mean {column.mean():.1%}.")
    print()


def print_exponents(rng: np.random.Generator, repeats: int) -> None:
    """Equals called different by three seeds on 1,000 pictures, with Hillis's degrees of freedom and with ours."""
    print("| accuracy | spread | exponent 2 | exponent 1.5 |")
    print("|---|---|---|---|")
    for accuracy in (ACCURACY, 0.85, 0.75):
        for spread in SPREADS:
            better = dict.fromkeys((2.0, 1.5), 0)
            for a, b in races(rng, repeats, 3, 1000, spread, 0.0, accuracy):
                scores = a.astype(np.float64) - b
                squares, value = mean_squares(scores), float(scores.mean())
                for exponent in better:  # so many pictures tell two arms apart, and no floor is reached
                    error, df = error_and_df(squares, 3, 1000, exponent)
                    better[exponent] += estimate_of(value, error, df).p_value < ALPHA
            cells = " | ".join(f"{100 * count / repeats:.1f}" for count in better.values())
            print(f"| {accuracy:.0%} | {100 * spread:.1f} | {cells} |", flush=True)
    print()


PARTS = {
    "ways": print_ways,
    "power": print_power,
    "accuracy": print_accuracy,
    "models": print_models,
    "exponents": print_exponents,
    "grades": print_grades,
    "graded": print_graded,
    "uneven": print_uneven,
    "least": print_least,
    "same": print_same,
    "groups": print_groups,
}


def main() -> None:
    """Simulate everything, each part with the same start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--only", choices=list(PARTS))
    arguments = parser.parse_args()
    for name, part in PARTS.items():
        if arguments.only in (None, name):
            start = time.perf_counter()
            print(f"### {name}: {arguments.repeats:,} repeats each, per cent\n")
            part(np.random.default_rng(20261126), arguments.repeats)
            print(f"{time.perf_counter() - start:.0f} s\n")


if __name__ == "__main__":
    main()
