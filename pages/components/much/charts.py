"""Figures of the How much? page."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from core.advice.evidence import Depth

from ..charts import LINE_PX, laid_out

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
    _band(figure, stages, [row.interval.low for row in depths], [row.interval.high for row in depths], BLUE)
    for name, values, colour, dash, symbol in (
        ("linear probe", [row.probe for row in depths], BLUE, "solid", "circle"),
        ("nearest neighbours", [row.neighbours for row in depths], ORANGE, "dash", "square"),
        ("nearest class mean", [row.nearest_mean for row in depths], GREY, "dot", "diamond"),
    ):
        figure.add_scatter(
            x=stages,
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": LINE_PX},
            marker={"color": colour, "symbol": symbol, "size": 9},
            customdata=[row.name for row in depths],
            hovertemplate="stage %{x} (%{customdata}): %{y:.1%}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="stage, from input to output", dtick=1)
    figure.update_yaxes(title="accuracy on pictures held out", tickformat=".0%")
    return laid_out(figure, 340)
