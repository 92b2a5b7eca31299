"""Plotly figures for what stands still. Scenarios differ in dash and marker as well as in colour."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from core.comparison.calibration import ReliabilityBin

from .messages import plain

# readable on white and on near-black alike (at least 3:1 on both)
STYLES: Final[dict[str, dict[str, str]]] = {
    "frozen": {"color": "#3b7dd8", "dash": "solid", "symbol": "circle"},
    "last-stages": {"color": "#0f9488", "dash": "dashdot", "symbol": "diamond"},
    "finetuned": {"color": "#e0681f", "dash": "dash", "symbol": "square"},
    "probe-then-finetune": {"color": "#9a5cd6", "dash": "longdash", "symbol": "triangle-up"},
    "scratch": {"color": "#7d8794", "dash": "dot", "symbol": "x"},
    "looks-frozen": {"color": "#c0475f", "dash": "2px,4px,8px,4px", "symbol": "cross"},
}
PHASE_LABELS: Final = {
    "features": "Features",
    "train": "Training",
    "val": "Checking on val",
    "test": "Testing",
    "other": "Building and writing",
}
_PHASE_PATTERNS: Final = {"features": "", "train": "/", "val": ".", "test": "x", "other": "-"}


def curves(series: Sequence[tuple[str, str, Sequence[Mapping[str, Any]]]], x: str, y: str) -> go.Figure:
    """Learning curves over each other.

    Args:
        series: (label, scenario, epochs) per run.
        x: `epoch` or `elapsed_s`.
        y: a field of an epoch's record.
    """
    figure = go.Figure()
    for label, scenario, epochs in series:
        style = STYLES[scenario]
        figure.add_scatter(
            x=[epoch[x] for epoch in epochs],
            y=[epoch[y] for epoch in epochs],
            name=plain(label),
            mode="lines+markers",
            line={"color": style["color"], "dash": style["dash"], "width": 2.5},
            marker={"color": style["color"], "symbol": style["symbol"], "size": 8},
        )
    accuracy = y.endswith("accuracy")
    figure.update_xaxes(title="epoch, or iteration of the solver" if x == "epoch" else "seconds since the run's start")
    if x == "epoch":
        figure.update_xaxes(dtick=max(1, max((len(e) for _, _, e in series), default=1) // 10), rangemode="tozero")
    figure.update_yaxes(title="accuracy on val" if accuracy else "loss on val", tickformat=".0%" if accuracy else None)
    return _laid_out(figure, 320)


def phase_bars(rows: Sequence[tuple[str, Mapping[str, float]]]) -> go.Figure:
    """Where the seconds went: a bar per run, a part per phase. Decoding, shared by all, is left out."""
    figure = go.Figure()
    for phase, label in PHASE_LABELS.items():
        figure.add_bar(
            y=[plain(name) for name, _ in rows],
            x=[timings.get(phase, 0.0) for _, timings in rows],
            name=label,
            orientation="h",
            marker={"pattern": {"shape": _PHASE_PATTERNS[phase]}},
            hovertemplate="%{x:.1f} s<extra>" + label + "</extra>",
        )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="seconds")
    figure.update_yaxes(autorange="reversed")
    return _laid_out(figure, 150 + 44 * len(rows))


def confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> go.Figure:
    """Pictures by true class (row) and predicted class (column)."""
    names = [plain(name, 24) for name in class_names]
    few = len(names) <= 12
    figure = go.Figure(
        go.Heatmap(
            z=matrix,
            x=names,
            y=names,
            colorscale=[[0, "#e3ecf9"], [1, "#2f6fd0"]],  # opaque, so that Plotly picks readable text
            zmin=0,
            showscale=False,
            text=matrix if few else None,
            texttemplate="%{text}" if few else None,
            hovertemplate="true %{y}, predicted %{x}: %{z}<extra></extra>",
            xgap=2,
            ygap=2,
        )
    )
    figure.update_xaxes(title="predicted", type="category", showgrid=False)
    figure.update_yaxes(title="true", type="category", autorange="reversed", showgrid=False)
    return _laid_out(figure, 300 if few else 420)


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
    return _laid_out(figure, 340)


def seed_dots(pairs: Sequence[tuple[str, Sequence[int], Sequence[float]]], band: float) -> go.Figure:
    """Differences in accuracy seed by seed, a row of dots per pair, over the band of practical equality.

    Args:
        pairs: (label, seeds, accuracy of the first minus accuracy of the second, by seed).
        band: fraction, to both sides of 0.
    """
    figure = go.Figure()
    figure.add_vrect(x0=-100 * band, x1=100 * band, fillcolor="#9aa4b2", opacity=0.2, line_width=0)
    figure.add_vline(x=0, line={"color": "#9aa4b2", "dash": "dot"})
    for label, seeds, differences in pairs:
        figure.add_scatter(
            x=[100 * difference for difference in differences],
            y=[plain(label)] * len(differences),
            mode="markers",
            marker={"size": 13, "color": "#3b7dd8", "symbol": "circle-open", "line": {"width": 3}},
            customdata=list(seeds),
            hovertemplate="seed %{customdata}: %{x:+.1f} points<extra></extra>",
            showlegend=False,
        )
    figure.update_xaxes(title="points of accuracy, first minus second; grey: practically the same")
    figure.update_yaxes(type="category", autorange="reversed")
    return _laid_out(figure, 130 + 44 * len(pairs))


def _laid_out(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        modebar={"remove": ["select", "lasso", "autoscale"]},
    )
    return figure
