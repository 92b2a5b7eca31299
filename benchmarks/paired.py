"""What the benchmarks share: two things that take turns, and what can be said about their ratio."""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np


def take_turns(
    a: Callable[[], object], b: Callable[[], object], rounds: int, warm_up: int = 3
) -> tuple[list[float], list[float]]:
    """Seconds of A and B, alternating, so that what disturbs the machine disturbs both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + warm_up):
        for work, kept in zip((a, b), seconds, strict=True):
            start = time.perf_counter()
            work()
            if number >= warm_up:
                kept.append(time.perf_counter() - start)
    return seconds


def ratios(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """How many times as long A took as B, pair by pair."""
    return [first / second for first, second in zip(a, b, strict=True)]


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, and its 95 % bootstrap interval."""
    draws = np.random.default_rng(0).choice(values, (5000, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return statistics.median(values), float(low), float(high)


def spoken(values: Sequence[float]) -> str:
    """A ratio as it stands in a table."""
    middle, low, high = interval(values)
    digits = 0 if low >= 20 else 1 if low >= 3 else 2
    return f"{middle:.{digits}f}x ({low:.{digits}f} to {high:.{digits}f})"
