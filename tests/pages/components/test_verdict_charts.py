"""Figures of a race: whoever is ahead stands first, and every number is the verdict's."""

from dataclasses import replace

import pytest

from core.comparison.planning import smallest_gap
from core.comparison.race import PairVerdict
from core.comparison.race_verdict import race_verdict
from core.runs.example import example_runs
from core.runs.results import load_outcome
from pages.components.verdict_charts import LEAST_NAMED, chances, detectable_differences, forest


@pytest.fixture(scope="module")
def pairs() -> tuple[PairVerdict, ...]:
    return race_verdict([load_outcome(run.id) for run in example_runs()]).pairs


def swapped(pair: PairVerdict) -> PairVerdict:
    """The same pair seen from the other side."""
    ways = {"a": pair.b, "b": pair.a, "label_a": pair.label_b, "label_b": pair.label_a}
    assert pair.gap is not None and pair.interval is not None and pair.chances is not None
    interval = replace(pair.interval, low=-pair.interval.high, high=-pair.interval.low)
    turned = replace(pair.chances, above=pair.chances.below, below=pair.chances.above)
    differences = tuple(-one for one in pair.differences)
    return replace(pair, **ways, gap=-pair.gap, differences=differences, interval=interval, chances=turned)


def marks(figure, name: str) -> list[list[float]]:
    return [list(trace.x) for trace in figure.data if trace.name == name]


def test_every_pair_has_its_mean_its_seeds_and_its_interval(pairs):
    figure = forest(pairs, 0.02)

    means, seeds = marks(figure, "mean difference, 95 % interval"), marks(figure, "each seed")
    assert [mean[0] for mean in means] == pytest.approx([100 * abs(pair.gap) for pair in pairs])
    assert [len(dots) for dots in seeds] == [len(pair.seeds) for pair in pairs]
    whiskers = [list(trace.x) for trace in figure.data if trace.mode == "lines+markers"]
    assert [ends[1] - ends[0] for ends in whiskers] == pytest.approx(
        [100 * (pair.interval.high - pair.interval.low) for pair in pairs]
    )


def test_which_of_the_two_is_called_a_changes_no_figure(pairs):
    for draw in (forest, chances):
        assert draw([swapped(pair) for pair in pairs], 0.02) == draw(pairs, 0.02)


def test_the_parts_of_a_bar_add_up_and_small_ones_carry_no_text(pairs):
    figure = chances(pairs, 0.02)

    assert [sum(parts) for parts in zip(*(bar.x for bar in figure.data), strict=True)] == pytest.approx(
        [100] * len(pairs)
    )
    for bar in figure.data:
        assert all(bool(text) == (share >= LEAST_NAMED) for text, share in zip(bar.text, bar.x, strict=True))


def test_the_smallest_gaps_are_those_that_are_promised_in_words():
    here, twice, _ = detectable_differences(150, 3).data

    assert here.name == "150 test pictures" and here.x[0] == 3
    assert here.y[0] == pytest.approx(100 * smallest_gap(3, 150))
    assert twice.y[0] == pytest.approx(100 * smallest_gap(3, 300))
    assert twice.y[0] < here.y[0]
