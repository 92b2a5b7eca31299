"""Plotly figures of verdicts: differences with intervals, chances, what is detectable."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from core.comparison.crossed import LEAST_SEEDS
from core.comparison.planning import smallest_gap
from core.comparison.race import PairVerdict

from .charts import LINE_PX, TEXT_PX, in_per_cent, laid_out, wrapped

BLUE: Final = "#3b7dd8"
GREY: Final = "#9aa4b2"
LEAST_NAMED: Final = 12  # per cent of a bar that its own number has room in


def forest(pairs: Sequence[PairVerdict], band: float) -> go.Figure:
    """Every pair's difference with its interval over the band of practical equality, and its seeds as dots.

    Whoever is ahead stands first, so that nothing is negative by accident of order.
    """
    figure = go.Figure()
    figure.add_vrect(x0=-100 * band, x1=100 * band, fillcolor=GREY, opacity=0.2, line_width=0)
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    for place, pair in enumerate(pairs):
        sign = 100 * (-1 if (pair.gap or 0.0) < 0 else 1)
        if pair.interval is not None:
            _whiskers(figure, place, sorted((sign * pair.interval.low, sign * pair.interval.high)))
        figure.add_scatter(
            x=[sign * difference for difference in pair.differences],
            y=[place + 0.24] * len(pair.differences),
            mode="markers",
            name="each seed",
            marker={"size": 9, "color": "#c9651b", "symbol": "circle-open", "line": {"width": 2}},
            customdata=pair.seeds,
            hovertemplate="seed %{customdata}: %{x:+.1f} points<extra></extra>",
            showlegend=place == 0,
        )
        figure.add_scatter(
            x=[sign * (pair.gap or 0.0)],
            y=[place],
            mode="markers",
            name="mean difference, 95 % interval",
            marker={"size": 13, "color": BLUE, "symbol": "diamond" if pair.better else "diamond-open"},
            hovertemplate="%{x:+.1f} points on average<extra></extra>",
            showlegend=place == 0,
        )
    row = _pair_axis(figure, pairs)
    figure.update_xaxes(title="lead in test accuracy, points", zeroline=False)
    return laid_out(figure, 140 + row * len(pairs))


def _whiskers(figure: go.Figure, place: int, ends: Sequence[float]) -> None:
    figure.add_scatter(
        x=ends,
        y=[place, place],
        mode="lines+markers",
        line={"color": BLUE, "width": LINE_PX},
        marker={"symbol": "line-ns", "size": 12, "line": {"color": BLUE, "width": LINE_PX}},
        hovertemplate="95 % interval ends at %{x:+.1f} points<extra></extra>",
        showlegend=False,
    )


def _pair_axis(figure: go.Figure, pairs: Sequence[PairVerdict]) -> int:
    """A row per pair, the one that is ahead first, in few letters for phones. Returns what a row needs, in pixels."""
    names = []
    for pair in pairs:
        labels = (pair.label_b, pair.label_a) if (pair.gap or 0.0) < 0 else (pair.label_a, pair.label_b)
        names.append(" \u2212<br>".join(wrapped(label, 22, 2) for label in labels))
    rows = list(range(len(pairs)))
    figure.update_yaxes(tickvals=rows, ticktext=names, range=[len(pairs) - 0.4, -0.6], showgrid=False, zeroline=False)
    return max(64, 20 * max(name.count("<br>") + 2 for name in names))


def chances(pairs: Sequence[PairVerdict], band: float) -> go.Figure:
    """How probable it is that a pair's true difference lies above, inside and below the band, as one bar per pair."""
    figure = go.Figure()
    size = f"{100 * band:g} points"
    parts = (
        (f"first better by more than {size}", BLUE, ""),
        (f"practically the same, within {size}", GREY, ""),
        (f"second better by more than {size}", "#c9651b", "/"),
    )
    rows = [_ahead_first(pair) for pair in pairs]
    for part, (name, colour, pattern) in enumerate(parts):
        shares = in_per_cent(row[part] for row in rows)
        figure.add_bar(
            x=shares,
            y=list(range(len(pairs))),
            orientation="h",
            name=name,
            marker={"color": colour, "pattern": {"shape": pattern, "fillmode": "overlay", "solidity": 0.15}},
            text=[f"{share:.1f} %" if share >= LEAST_NAMED else "" for share in shares],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "#ffffff" if colour != GREY else "#101820", "size": TEXT_PX},
            hovertemplate="%{x:.1f} %: " + name + "<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.45, legend={"traceorder": "normal"})
    row = _pair_axis(figure, pairs)
    figure.update_xaxes(title="chance (%)", range=[0, 103], dtick=25, showgrid=False)
    return laid_out(figure, 150 + row * len(pairs))


def _ahead_first(pair: PairVerdict) -> tuple[float, float, float]:
    """Chances that the one ahead is better, that there is no difference, that the other is better."""
    assert pair.chances is not None, "the caller chooses pairs that have them"
    above, below = pair.chances.above, pair.chances.below
    return (below, pair.chances.inside, above) if (pair.gap or 0.0) < 0 else (above, pair.chances.inside, below)


def detectable_differences(pictures: int, seeds: int, unit: str = "test pictures") -> go.Figure:
    """The smallest detectable difference by number of seeds, for the test pictures there are and for more of them.

    Args:
        pictures: in the test part; or the number of their groups.
        seeds: the number chosen, which is marked where it is about training strategies.
        unit: what `pictures` counts.
    """
    figure = go.Figure()
    styles = ((1, "solid", "circle"), (2, "dash", "square"), (4, "dot", "diamond"))
    counts = list(range(LEAST_SEEDS, 11))
    for times, dash, symbol in styles:
        gaps = [smallest_gap(count, times * pictures) for count in counts]
        figure.add_scatter(
            x=counts,
            y=[None if gap is None else 100 * gap for gap in gaps],
            mode="lines+markers",
            name=f"{times * pictures:,} {unit}",
            line={"color": BLUE, "dash": dash, "width": LINE_PX},
            marker={"color": BLUE, "symbol": symbol, "size": 8},
            hovertemplate="%{x} seeds: about %{y:.1f} points<extra></extra>",
        )
    if seeds in counts:
        figure.add_vline(x=seeds, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(title="seeds", dtick=1)
    figure.update_yaxes(title="smallest difference, points", rangemode="tozero")
    return laid_out(figure, 300)
