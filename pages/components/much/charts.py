"""Figures of the How much? page."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from core.advice.evidence import Depth
from core.advice.growth import Growth
from core.runs.findings import Curve
from core.runs.findings import Depth as Trained

from ..charts import LINE_PX, curve_style, in_per_cent, laid_out

BLUE: Final = "#3b7dd8"
ORANGE: Final = "#d9641c"
GREY: Final = "#7d8794"


def _band(figure: go.Figure, x: Sequence[object], low: Sequence[float], high: Sequence[float], colour: str) -> None:
    """A filled band without a line of its own."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.18)",
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def by_depth(depths: Sequence[Depth]) -> go.Figure:
    """Accuracy of three simple methods at the end of every stage, from input to output."""
    figure, stages = go.Figure(), [row.stage for row in depths]
    low, high = (in_per_cent(getattr(row.interval, end) for row in depths) for end in ("low", "high"))
    _band(figure, stages, low, high, BLUE)
    for name, values, colour, dash, symbol in (
        ("linear probe", [row.probe for row in depths], BLUE, "solid", "circle"),
        ("nearest neighbours", [row.neighbours for row in depths], ORANGE, "dash", "square"),
        ("nearest class mean", [row.nearest_mean for row in depths], GREY, "dot", "diamond"),
    ):
        figure.add_scatter(
            x=stages,
            y=in_per_cent(values),
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": LINE_PX},
            marker={"color": colour, "symbol": symbol, "size": 9},
            customdata=[row.name for row in depths],
            hovertemplate="stage %{x} (%{customdata}): %{y:.1f} %<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="stage, from input to output", dtick=1)
    figure.update_yaxes(title="accuracy on pictures held out (%)")
    return laid_out(figure, 340)


def by_stages(depths: Sequence[Trained]) -> go.Figure:
    """Test accuracy by what trains, with its interval; and on shifted test pictures."""
    figure, labels = go.Figure(), [row.label for row in depths]
    ends = [(row.interval.low, row.interval.high) if row.interval else (row.accuracy,) * 2 for row in depths]
    ends = [(100 * low, 100 * high) for low, high in ends]
    means = in_per_cent(row.accuracy for row in depths)
    figure.add_scatter(
        x=labels,
        y=means,
        name="test pictures",
        mode="lines+markers",
        line={"color": BLUE, "width": LINE_PX},
        marker={"size": 11},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [high - mean for (_, high), mean in zip(ends, means, strict=True)],
            "arrayminus": [mean - low for (low, _), mean in zip(ends, means, strict=True)],
        },
        hovertemplate="%{x}: %{y:.1f} %<extra>test pictures</extra>",
    )
    for name, (colour, dash, symbol) in zip(depths[0].shifted, _SHIFT_STYLES, strict=False):
        figure.add_scatter(
            x=[row.label for row in depths if name in row.shifted],
            y=in_per_cent(row.shifted[name].accuracy for row in depths if name in row.shifted),
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 8},
            hovertemplate="%{x}: %{y:.1f} %<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="what trains", type="category")
    figure.update_yaxes(title="test accuracy (%)")
    return laid_out(figure, 360)


_SHIFT_STYLES: Final = (
    ("#0f9488", "dash", "square"),
    (ORANGE, "dot", "diamond"),
    ("#9a5cd6", "dashdot", "triangle-up"),
    (GREY, "longdash", "x"),
    ("#c0475f", "longdashdot", "cross"),
)


def by_pictures(curves: Sequence[Curve], growth: Growth | None) -> go.Figure:
    """Test accuracy against pictures per class, and the range that curves give for twice the pictures."""
    figure = go.Figure()
    for curve in curves:
        style = curve_style(curve.label, curve.scenario, LINE_PX)
        low, high = (in_per_cent(end(row) for row in curve.accuracies) for end in (min, max))
        _band(figure, curve.sizes, low, high, style["line"]["color"])
        figure.add_scatter(
            x=curve.sizes,
            y=in_per_cent(curve.means),
            **style,
            hovertemplate="%{x} per class: %{y:.1f} %<extra>%{fullData.name}</extra>",
        )
    if growth:
        figure.add_scatter(
            x=[2 * growth.pictures] * 2,
            y=in_per_cent([growth.low, growth.high]),
            name="with twice the pictures",
            mode="lines+markers",
            line={"color": BLUE, "width": 8},
            marker={"symbol": "line-ew", "size": 14, "line": {"width": 3, "color": BLUE}},
            hovertemplate="%{y:.1f} %<extra>with twice the pictures</extra>",
        )
    sizes = sorted({size for curve in curves for size in curve.sizes} | ({2 * growth.pictures} if growth else set()))
    figure.update_xaxes(title="training pictures per class", type="log", tickvals=sizes, ticktext=list(map(str, sizes)))
    figure.update_yaxes(title="test accuracy (%)")
    return laid_out(figure, 380)


def by_draw(differences: Sequence[float]) -> go.Figure:
    """How far one is ahead of the other, draw by draw, the first one marked."""
    figure = go.Figure()
    for name, places, colour, symbol in (
        ("the other seeds", range(1, len(differences)), GREY, "circle-open"),
        ("seed 0", [0], ORANGE, "diamond"),
    ):
        figure.add_scatter(
            x=[100 * differences[place] for place in places],
            y=[(place * 7919) % 97 / 97 for place in places],
            name=name,
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 13 if symbol == "diamond" else 9, "line": {"width": 2}},
            customdata=list(places),
            hovertemplate="seed %{customdata}: %{x:+.1f} points<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(title="lead of the linear probe, points", zeroline=False)
    figure.update_yaxes(visible=False)
    return laid_out(figure, 240)
