"""Plotly figures of the Compare page alone: how far layers moved, and calibration."""

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from core.comparison.calibration import ReliabilityBin
from core.models.records import LayerChange
from core.settings.scenarios import SCENARIOS

from ..charts import LINE_PX, curve_style, in_per_cent, laid_out, repeats, wrapped
from ..messages import plain

NEVER_MOVED: Final = 1e-7  # where a log axis puts what has not moved at all


def layer_changes(runs: Sequence[tuple[str, str, Sequence[LayerChange]]]) -> go.Figure:
    """How far each layer moved, from input to output: weights as filled markers, running statistics as open ones.

    Args:
        runs: (label, scenario, layers) per run.
    """
    figure = go.Figure()
    again = repeats([scenario for _, scenario, _ in runs])
    for (label, scenario, layers), place in zip(runs, again, strict=True):
        colour = curve_style(label, scenario, LINE_PX, place)["line"]["color"]
        for field, what, suffix in (("weights", "weights", ""), ("statistics", "running statistics", "-open")):
            known = [(at, row.name, getattr(row, field)) for at, row in enumerate(layers, start=1)]
            rows = [(at, name, by) for at, name, by in known if by is not None]
            if not rows:
                continue
            symbol = SCENARIOS[scenario].style["symbol"] + suffix + ("-dot" if place else "")
            figure.add_scatter(
                x=[at for at, _, _ in rows],
                y=[max(by, NEVER_MOVED) for _, _, by in rows],
                name=wrapped(f"{label}, {what}"),
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 9},
                customdata=[(plain(name, 60), _moved(by)) for _, name, by in rows],
                hovertemplate="%{customdata[0]}: %{customdata[1]}<extra>" + f"{plain(label)}, {what}</extra>",
            )
    figure.update_xaxes(title="layer, input to output")
    ticks = [NEVER_MOVED, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10]
    names = ["not at all", "0.001", "0.01", "0.1", "1", "10", "100", "1,000"]
    figure.update_yaxes(title="moved by, of its size before (%)", type="log", tickvals=ticks, ticktext=names)
    return laid_out(figure, 380)


def _moved(by: float) -> str:
    return f"{100 * by:.2f} %" if by else "not at all"


def reliability_curve(runs: Sequence[tuple[str, str, Sequence[ReliabilityBin]]]) -> go.Figure:
    """How often each run is right against how sure it says it is; on the diagonal, its word can be taken.

    Args:
        runs: (label, scenario, bins) per run. Dots are as large as their bins are full.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", line={"color": "#9aa4b2", "dash": "dot"}, name="as sure as right"
    )
    again = repeats([scenario for _, scenario, _ in runs])
    for (label, scenario, bins), place in zip(runs, again, strict=True):
        figure.add_scatter(
            x=in_per_cent(one.confidence for one in bins),
            y=in_per_cent(one.accuracy for one in bins),
            **curve_style(label, scenario, LINE_PX, place, size=[6 + 2 * one.count**0.5 for one in bins]),
            customdata=[one.count for one in bins],
            hovertemplate="says %{x:.1f} %, right %{y:.1f} %, %{customdata} pictures<extra></extra>",
        )
    figure.update_xaxes(title="probability it gives its answer (%)", range=[0, 105])
    figure.update_yaxes(title="share that is right (%)", range=[0, 105])
    return laid_out(figure, 340)
