"""Plotly figures of the Compare page. Scenarios differ in dash and marker as well as in colour."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from core.comparison.calibration import ReliabilityBin
from core.comparison.crossed import LEAST_SEEDS
from core.comparison.planning import smallest_gap
from core.comparison.race import PairVerdict
from core.models.records import LayerChange
from core.training.history import EpochRecord

from .charts import STYLES, accuracy_axis, laid_out
from .messages import plain

Histories = Sequence[Sequence[EpochRecord]]
MOST_CELLS: Final = 12
"""Classes up to which a confusion matrix shows its numbers and its cells can be clicked."""
BLUE: Final = "#3b7dd8"
GREY: Final = "#9aa4b2"
NEVER_MOVED: Final = 1e-7  # where a log axis puts what has not moved at all


def accuracy_against_seconds(arms: Sequence[tuple[str, str, Histories]]) -> go.Figure:
    """Accuracy on val against seconds since the start, features included: a thin line per seed, a thick median.

    Args:
        arms: (label, scenario, histories by seed).
    """
    figure = go.Figure()
    for label, scenario, histories in arms:
        style = STYLES[scenario]
        line = {"color": style["color"], "dash": style["dash"]}
        for history in histories:
            figure.add_scatter(
                x=[epoch.elapsed_s for epoch in history],
                y=[epoch.val_accuracy for epoch in history],
                mode="lines",
                line={**line, "width": 1},
                opacity=0.4 if len(histories) > 1 else 1.0,
                hoverinfo="skip",
                showlegend=False,
            )
        seconds, accuracy = _median(histories)
        figure.add_scatter(
            x=seconds,
            y=accuracy,
            name=plain(label),
            mode="lines+markers",
            line={**line, "width": 3},
            marker={"color": style["color"], "symbol": style["symbol"], "size": 8, "maxdisplayed": 12},
            hovertemplate="%{y:.1%} after %{x:.1f} s<extra>" + plain(label) + "</extra>",
        )
    figure.update_xaxes(title="seconds since the run's start", rangemode="tozero")
    accuracy_axis(figure)
    return laid_out(figure, 340)


def _median(histories: Histories) -> tuple[list[float], list[float]]:
    """Epoch by epoch, the median second and the median accuracy over the seeds that got so far."""
    longest = max(map(len, histories), default=0)
    there = [[history[place] for history in histories if len(history) > place] for place in range(longest)]
    enough = [rows for rows in there if 2 * len(rows) > len(histories)]
    seconds = [float(np.median([row.elapsed_s for row in rows])) for rows in enough]
    return seconds, [float(np.median([row.val_accuracy for row in rows])) for rows in enough]


def confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str], *, difference: bool = False) -> go.Figure:
    """Pictures by true class (row) and predicted class (column); a click on a cell selects it where there are few.

    Args:
        difference: the numbers are one matrix minus another, so that 0 is in the middle of the colours.
    """
    names = [plain(name, 24) for name in class_names]
    if len(set(names)) < len(names):  # cut off, they are the same: two rows they must stay
        names = [f"{place}. {name}" for place, name in enumerate(names, start=1)]
    few = len(names) <= MOST_CELLS
    texts = [[f"{cell:+d}" if difference and cell else str(cell) for cell in row] for row in matrix]
    hover = "true %{y}, predicted %{x}: %{text}<extra></extra>"
    largest = max((abs(cell) for row in matrix for cell in row), default=0) or 1
    blue, orange, middle = "#2f6fd0", "#c9651b", "#eef1f5"  # opaque, so that Plotly picks readable text
    figure = go.Figure(
        go.Heatmap(
            z=matrix,
            x=names,
            y=names,
            colorscale=[[0, orange], [0.5, middle], [1, blue]] if difference else [[0, "#e3ecf9"], [1, blue]],
            zmin=-largest if difference else 0,
            zmax=largest,
            showscale=False,
            text=texts,
            texttemplate="%{text}" if few else None,
            hoverinfo="skip" if few else None,
            hovertemplate=None if few else hover,
            xgap=2,
            ygap=2,
        )
    )
    if few:  # a heat map's cells cannot be selected, an unseen marker on each can
        places = [(row, column) for row in range(len(names)) for column in range(len(names))]
        figure.add_scatter(
            x=[names[column] for _, column in places],
            y=[names[row] for row, _ in places],
            customdata=[[row, column] for row, column in places],
            text=[texts[row][column] for row, column in places],
            hovertemplate=hover,
            mode="markers",
            marker={"size": 36, "symbol": "square", "opacity": 0},
            selected={"marker": {"opacity": 0.35, "color": "#101820"}},
            unselected={"marker": {"opacity": 0}},
            showlegend=False,
        )
        figure.update_layout(hoverdistance=-1)  # a click anywhere in a cell is meant for its marker
    figure.update_xaxes(title="predicted", type="category", showgrid=False)
    figure.update_yaxes(title="true", type="category", autorange="reversed", showgrid=False)
    return laid_out(figure, 300 if few else 420)


def layer_changes(runs: Sequence[tuple[str, str, Sequence[LayerChange]]]) -> go.Figure:
    """How far each layer moved, from input to output: weights as filled markers, running statistics as open ones.

    Args:
        runs: (label, scenario, layers) per run.
    """
    figure = go.Figure()
    for label, scenario, layers in runs:
        style = STYLES[scenario]
        for field, what, suffix in (("weights", "weights", ""), ("statistics", "running statistics", "-open")):
            known = [(place, row.name, getattr(row, field)) for place, row in enumerate(layers, start=1)]
            rows = [(place, name, by) for place, name, by in known if by is not None]
            if not rows:
                continue
            figure.add_scatter(
                x=[place for place, _, _ in rows],
                y=[max(by, NEVER_MOVED) for _, _, by in rows],
                name=f"{plain(label)}, {what}",
                mode="markers",
                marker={"color": style["color"], "symbol": style["symbol"] + suffix, "size": 8},
                customdata=[(plain(name, 60), _moved(by)) for _, name, by in rows],
                hovertemplate="%{customdata[0]}: %{customdata[1]}<extra>" + f"{plain(label)}, {what}</extra>",
            )
    figure.update_xaxes(title="layer, from input to output (the head is last)")
    ticks = [NEVER_MOVED, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10]
    names = ["not at all", "0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %", "1000 %"]
    figure.update_yaxes(title="moved by, of its size before", type="log", tickvals=ticks, ticktext=names)
    return laid_out(figure, 380)


def _moved(by: float) -> str:
    return f"{by:.2%}" if by else "not at all"


def reliability_curve(runs: Sequence[tuple[str, str, Sequence[ReliabilityBin]]]) -> go.Figure:
    """How often each run is right against how sure it says it is; on the diagonal, its word can be taken.

    Args:
        runs: (label, scenario, bins) per run. Dots are as large as their bins are full.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": "#9aa4b2", "dash": "dot"}, name="as sure as right"
    )
    for label, scenario, bins in runs:
        style = STYLES[scenario]
        figure.add_scatter(
            x=[one.confidence for one in bins],
            y=[one.accuracy for one in bins],
            name=plain(label),
            mode="lines+markers",
            line={"color": style["color"], "dash": style["dash"], "width": 2},
            marker={
                "color": style["color"],
                "symbol": style["symbol"],
                "size": [6 + 2 * one.count**0.5 for one in bins],
            },
            customdata=[one.count for one in bins],
            hovertemplate="says %{x:.0%}, right %{y:.0%}, %{customdata} pictures<extra></extra>",
        )
    figure.update_xaxes(title="probability it gives its answer", tickformat=".0%", range=[0, 1.05])
    figure.update_yaxes(title="share that is right", tickformat=".0%", range=[0, 1.05])
    return laid_out(figure, 340)


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
    _pair_axis(figure, pairs)
    figure.update_xaxes(title="points of accuracy by which the first is ahead", zeroline=False)
    return laid_out(figure, 140 + 64 * len(pairs))


def _whiskers(figure: go.Figure, place: int, ends: Sequence[float]) -> None:
    figure.add_scatter(
        x=ends,
        y=[place, place],
        mode="lines+markers",
        line={"color": BLUE, "width": 3},
        marker={"symbol": "line-ns", "size": 12, "line": {"color": BLUE, "width": 3}},
        hovertemplate="95 % interval ends at %{x:+.1f} points<extra></extra>",
        showlegend=False,
    )


def _pair_axis(figure: go.Figure, pairs: Sequence[PairVerdict]) -> None:
    """A row per pair, the one that is ahead first; two lines, for phones."""
    names = []
    for pair in pairs:
        labels = (pair.label_b, pair.label_a) if (pair.gap or 0.0) < 0 else (pair.label_a, pair.label_b)
        names.append(" \u2212<br>".join(plain(label, 22) for label in labels))
    rows = list(range(len(pairs)))
    figure.update_yaxes(tickvals=rows, ticktext=names, range=[len(pairs) - 0.4, -0.6], showgrid=False, zeroline=False)


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
        shares = [row[part] for row in rows]
        figure.add_bar(
            x=shares,
            y=list(range(len(pairs))),
            orientation="h",
            name=name,
            marker={"color": colour, "pattern": {"shape": pattern, "fillmode": "overlay", "solidity": 0.15}},
            text=[f"{share:.0%}" if share >= 0.08 else "" for share in shares],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "#ffffff" if colour != GREY else "#101820", "size": 14},
            hovertemplate="%{x:.1%}: " + name + "<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.45, legend={"traceorder": "normal"})
    _pair_axis(figure, pairs)
    figure.update_xaxes(title="chance", tickformat=".0%", range=[0, 1.03], dtick=0.25, showgrid=False)
    return laid_out(figure, 150 + 56 * len(pairs))


def _ahead_first(pair: PairVerdict) -> tuple[float, float, float]:
    """Chances that the one ahead is better, that there is no difference, that the other is better."""
    assert pair.chances is not None, "the caller chooses pairs that have them"
    above, below = pair.chances.above, pair.chances.below
    return (below, pair.chances.inside, above) if (pair.gap or 0.0) < 0 else (above, pair.chances.inside, below)


def smallest_gaps(pictures: int, seeds: int, unit: str = "test pictures") -> go.Figure:
    """The smallest detectable difference by number of seeds, for the test pictures there are and for more of them.

    Args:
        pictures: in the test part; or the number of their groups.
        seeds: the number chosen, which is marked where it is about ways of training.
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
            line={"color": BLUE, "dash": dash, "width": 2.5},
            marker={"color": BLUE, "symbol": symbol, "size": 8},
            hovertemplate="%{x} seeds: about %{y:.1f} points<extra></extra>",
        )
    if seeds in counts:
        figure.add_vline(x=seeds, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(title="seeds", dtick=1)
    figure.update_yaxes(title="smallest difference, points", rangemode="tozero")
    return laid_out(figure, 300)
