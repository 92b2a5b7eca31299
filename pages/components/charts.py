"""Plotly figures for what stands still. Scenarios differ in dash and marker as well as in colour."""

from collections.abc import Mapping, Sequence
from typing import Final

import plotly.graph_objects as go

from core.training.history import EpochRecord

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
LEAST_SPAN: Final = 0.1  # of an axis of accuracies


def curves(series: Sequence[tuple[str, str, Sequence[EpochRecord]]], x: str, y: str) -> go.Figure:
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
            x=[getattr(epoch, x) for epoch in epochs],
            y=[getattr(epoch, y) for epoch in epochs],
            name=plain(label),
            mode="lines+markers",
            line={"color": style["color"], "dash": style["dash"], "width": 2.5},
            marker={"color": style["color"], "symbol": style["symbol"], "size": 8},
        )
    figure.update_xaxes(title="epoch, or iteration of the solver" if x == "epoch" else "seconds since the run's start")
    if x == "epoch":
        figure.update_xaxes(dtick=max(1, max((len(e) for _, _, e in series), default=1) // 10), rangemode="tozero")
    if y.endswith("accuracy"):
        accuracy_axis(figure)
    else:
        figure.update_yaxes(title="loss on val")
    return laid_out(figure, 320)


def accuracy_axis(figure: go.Figure) -> None:
    """An axis of accuracy on val. It follows the curves, and makes no cliff of a picture or two.

    Of itself it would go on to 200 % where all are at 100 %, and say "88 %" twice where all lie close together.
    """
    room = 0.03  # for a marker at either end
    shown = [value for trace in figure.data for value in trace.y]
    middle = (min(shown) + max(shown)) / 2 if shown else 0.5
    low = min(max(middle - LEAST_SPAN / 2, 0.0), 1 - LEAST_SPAN)
    limits = {"clipmin": -room, "clipmax": 1 + room, "include": [low, low + LEAST_SPAN]}
    figure.update_yaxes(title="accuracy on val", tickformat=".0%", autorangeoptions=limits)


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
    return laid_out(figure, 150 + 44 * len(rows))


def laid_out(figure: go.Figure, height: int) -> go.Figure:
    """Margins, legend and buttons as all figures have them."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        modebar={"remove": ["select", "lasso", "autoscale"]},
    )
    return figure
