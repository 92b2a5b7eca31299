"""How often the verdict is right, by simulation: `python benchmarks/simulation.py [--repeats N]`.

Coverage: how often a 95 % interval holds the true value, for one run (Wilson) and for the difference of two runs on the
same pictures (Newcombe). Errors: how often "is better" is said when both arms are the same recipe with different seeds,
by two models on one test set (exact McNemar) and by races over seeds (sign flips). Power: how often it is said when
there is a true gap. Pictures are drawn by how often both, one or none of the two is right; in races each seed's
accuracies also vary as trained models do. Prints Markdown.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.comparison.statistics import mcnemar_exact, paired_difference, sign_flip, wilson  # noqa: E402
from core.comparison.verdict import ALPHA, BAND, decide  # noqa: E402

SIZES = (20, 50, 100, 150, 300, 1000)
ACCURACIES = (0.6, 0.8, 0.9, 0.95)
SEED_SPREAD = 0.015  # standard deviation of accuracy from seed to seed, as in our own runs on the photos


def tables(rng: np.random.Generator, size: int, a: float, b: float, disagreement: float, count: int) -> np.ndarray:
    """McNemar tables (count, 4): both right, only A, only B, neither, of `size` pictures."""
    only_a = (disagreement + a - b) / 2
    only_b = (disagreement - a + b) / 2
    both = a - only_a
    shares = np.clip([both, only_a, only_b, 1 - both - only_a - only_b], 0, 1)
    return rng.multinomial(size, shares / shares.sum(), count)


def wilson_coverage(rng: np.random.Generator, repeats: int) -> Iterator[tuple[str, int, float]]:
    """(accuracy, pictures, coverage)."""
    for size in SIZES:
        for accuracy in ACCURACIES:
            ends = [wilson(correct, size) for correct in range(size + 1)]
            drawn = rng.binomial(size, accuracy, repeats)
            yield f"{accuracy:.0%}", size, float(np.mean([ends[n].low <= accuracy <= ends[n].high for n in drawn]))


def newcombe_coverage(rng: np.random.Generator, repeats: int) -> Iterator[tuple[str, int, float]]:
    """(accuracies, pictures, coverage)."""
    for size in SIZES:
        for a, b, disagreement in ((0.94, 0.94, 0.06), (0.95, 0.9, 0.09), (0.9, 0.75, 0.21), (0.8, 0.8, 0.2)):
            held = 0
            for row in tables(rng, size, a, b, disagreement, repeats):
                _, ends = paired_difference(*row.tolist())
                held += ends.low <= a - b <= ends.high
            yield f"{a:.0%} and {b:.0%}, {disagreement:.0%} disagree", size, held / repeats


def models(rng: np.random.Generator, size: int, gap: float, disagreement: float, repeats: int) -> Counter[str]:
    """Verdicts over two models on one test set, A better by `gap`."""
    found: Counter[str] = Counter()
    for row in tables(rng, size, 0.94, 0.94 - gap, disagreement, repeats):
        both, only_a, only_b, neither = row.tolist()
        difference, ends = paired_difference(both, only_a, only_b, neither)
        found[decide(difference, ends, mcnemar_exact(only_a, only_b), BAND)] += 1
    return found


def races(rng: np.random.Generator, size: int, gap: float, seeds: int, repeats: int) -> float:
    """Share of races over seeds in which one way of training is called better."""
    said = 0
    for _ in range(repeats):
        differences = []
        for shift in rng.normal(0, SEED_SPREAD, (seeds, 2)):
            a, b = np.clip([0.94 + shift[0], 0.94 - gap + shift[1]], 0.01, 0.99)
            disagreement = max(0.06, abs(a - b) + 0.02)
            _, only_a, only_b, _ = tables(rng, size, a, b, disagreement, 1)[0]
            differences.append((only_a - only_b) / size)
        said += sign_flip(differences) < ALPHA
    return said / repeats


def main() -> None:
    """Simulate everything with one seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    repeats = parser.parse_args().repeats
    rng = np.random.default_rng(20261122)
    print(f"{repeats:,} repeats each.\n\n| interval | true | pictures | held it |\n|---|---|---|---|")
    for name, rows in (("Wilson", wilson_coverage(rng, repeats)), ("Newcombe", newcombe_coverage(rng, repeats))):
        for true, size, share in rows:
            print(f"| {name} | {true} | {size} | {share:.1%} |")
    print("\n| two models, pictures | true gap | a better | b better | same | cannot tell |\n|---|---|---|---|---|---|")
    for size, gap, disagreement in (
        (50, 0, 0.06),
        (150, 0, 0.06),
        (1000, 0, 0.06),
        (150, 0.05, 0.09),
        (150, 0.15, 0.2),
    ):
        found = models(rng, size, gap, disagreement, repeats)
        shares = " | ".join(f"{found[name] / repeats:.1%}" for name in ("a-better", "b-better", "same", "cannot-tell"))
        print(f"| {size} | {gap:.0%} | {shares} |")
    print("\n| race, seeds | pictures | true gap | one is called better |\n|---|---|---|---|")
    for seeds in (3, 5, 6, 8, 10):
        for gap in (0.0, 0.05, 0.15):
            print(f"| {seeds} | 150 | {gap:.0%} | {races(rng, 150, gap, seeds, repeats):.1%} |")


if __name__ == "__main__":
    main()
