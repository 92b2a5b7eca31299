"""Plotly figures for what stands still. Scenarios differ in dash and marker as well as in colour."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from core.settings.scenarios import SCENARIOS
from core.training.history import EpochRecord

from . import projector
from .messages import plain

PHASE_LABELS: Final = {
    "features": "Features",
    "train": "Training",
    "val": "Validating",
    "test": "Testing",
    "other": "Building and writing",
}
_PHASE_PATTERNS: Final = {"features": "", "train": "/", "val": ".", "test": "x", "other": "-"}
TEXT_PX: Final = 14
ROOM_TEXT_PX: Final = 18  # for the last row of a class room
ROOM_HEIGHT: Final = 1.25
LINE_PX: Final = 3
MOST_MARKERS: Final = 20  # of a curve: more would hide it on a telephone
LEAST_SPAN: Final = 10.0  # points, of an axis of accuracies
LEAST_PICTURES: Final = 8  # on such an axis
_TINTS: Final = (0.0, -0.2, 0.15)
"""How much darker or lighter a further experiment of the same training strategy is drawn, and"""
_MARKERS: Final = ("", "-open", "-dot", "-open-dot")
"""how its markers are."""
LEGEND_ROW_PX: Final = 24
FEW_NAMED: Final = 3
MOST_CELLS: Final = 12
"""Classes up to which a confusion matrix shows its numbers and its cells can be clicked."""
MOST_NAMES: Final = 40
"""Classes up to which they are named at its sides."""
NAME_ROW_PX: Final = 19
_FRAME: Final = "#7d8794"  # seen on white and on near-black
_CELL_HOVER: Final = "true %{y}, predicted %{x}: %{text}<extra></extra>"

History = Sequence[EpochRecord]
Histories = Sequence[History]


Curve = tuple[str, str, Histories]
"""What a curve is called, its training strategy, and its epochs by seed."""


def curve_style(label: str, scenario: str, width: float, again: int = 0, **marker: Any) -> dict[str, Any]:
    """A curve of this training strategy, as all figures draw it: arguments of a scatter trace.

    Args:
        again: how many others of this strategy are in the figure: in another tint, with other markers.
    """
    style = SCENARIOS[scenario].style
    colour = _tinted(style["color"], _TINTS[again % len(_TINTS)])
    symbol = style["symbol"] + _MARKERS[again % len(_MARKERS)]
    return {
        "name": wrapped(label),
        "mode": "lines+markers",
        "line": {"color": colour, "dash": style["dash"], "width": width},
        "marker": {"color": colour, "symbol": symbol, "size": 9, **marker},
    }


def _tinted(colour: str, by: float) -> str:
    """A colour darker (below 0) or lighter by this share of the way to black or white."""
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    end = 255 if by > 0 else 0
    return "#" + "".join(f"{round(part + (end - part) * abs(by)):02x}" for part in parts)


def repeats(scenarios: Sequence[str]) -> list[int]:
    """For each one how many of the same stand before it."""
    return [scenarios[:place].count(name) for place, name in enumerate(scenarios)]


def in_per_cent(fractions: Iterable[float]) -> list[float]:
    """As charts draw them: "(%)" stands once, in an axis' title, and what is pointed at is said as everywhere."""
    return [100 * fraction for fraction in fractions]


def wrapped(label: str, width: int = 28, lines: int = 3) -> str:
    """A label over some lines of a figure, cut where it is longer than they are."""
    return "<br>".join(textwrap.wrap(plain(label), width, max_lines=lines, placeholder=" …"))


def accuracy_by_epoch(series: Sequence[tuple[str, str, History]], pictures: int = 0) -> go.Figure:
    """Learning curves over each other. A head that is solved for has no epochs: a level line at what it came to.

    Args:
        series: (label, scenario, epochs) per run.
        pictures: in the validation part, if known.
    """
    figure = go.Figure()
    ends = [points[-1][0] for _, scenario, epochs in series if (points := _epochs(scenario, epochs))]
    longest = max(ends, default=0)
    again = repeats([scenario for _, scenario, _ in series])
    for (label, scenario, epochs), place in zip(series, again, strict=True):
        level = [(end, epochs[-1].val_accuracy) for end in (0, max(longest, 1))] if epochs else []
        points = _epochs(scenario, epochs) or level
        figure.add_scatter(
            x=[epoch for epoch, _ in points],
            y=in_per_cent(accuracy for _, accuracy in points),
            **curve_style(label, scenario, LINE_PX, place, maxdisplayed=MOST_MARKERS),
            hovertemplate="%{y:.1f} %<extra>" + wrapped(label) + "</extra>",
        )
    figure.update_xaxes(title="epoch", dtick=max(1, longest // 10), rangemode="tozero")
    accuracy_axis(figure, pictures)
    return laid_out(figure, 340)


def _epochs(scenario: str, history: History) -> list[tuple[int, float]]:
    """Epochs with their validation accuracy; where a head was solved for first, what it came to stands at 0."""
    if not SCENARIOS[scenario].takes_steps:
        return []
    solved = [epoch.val_accuracy for epoch in history if epoch.stage == "probe"]
    trained = [epoch.val_accuracy for epoch in history if epoch.stage != "probe"]
    return [*([(0, solved[-1])] if solved else []), *enumerate(trained, start=1)]


def accuracy_axis(figure: go.Figure, pictures: int = 0) -> None:
    """An axis of validation accuracy. It follows the curves, and makes no cliff of a picture or two.

    Of itself it would go on to 200 % where all are at 100 %, and say "88" twice where all lie close together.
    """
    span = min(100.0, max(LEAST_SPAN, 100 * LEAST_PICTURES / pictures if pictures else 0.0))
    room = 3  # for a marker at either end
    shown = [value for trace in figure.data for value in trace.y]
    middle = (min(shown) + max(shown)) / 2 if shown else 50.0
    low = min(max(middle - span / 2, 0.0), 100 - span)
    limits = {"clipmin": -room, "clipmax": 100 + room, "include": [low, low + span]}
    figure.update_yaxes(title="validation accuracy (%)", autorangeoptions=limits)


def phase_bars(rows: Sequence[tuple[str, Mapping[str, float]]]) -> go.Figure:
    """Where the seconds went: a bar per run, a part per phase. Decoding, shared by all, is left out."""
    figure = go.Figure()
    for phase, label in PHASE_LABELS.items():
        figure.add_bar(
            y=[wrapped(name) for name, _ in rows],
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
    """Margins, legend, buttons and letters as all figures have them; on a projector larger.

    A longer legend has room of its own.
    """
    named = sum(1 for trace in figure.data if trace.showlegend is not False)
    height += LEGEND_ROW_PX * max(named - FEW_NAMED, 0)
    text, height = (ROOM_TEXT_PX, round(ROOM_HEIGHT * height)) if projector.is_on() else (TEXT_PX, height)
    figure.update_layout(
        height=height,
        font={"size": text},
        legend_font_size=text,
        hoverlabel_font_size=text,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        modebar={"remove": ["select", "lasso", "autoscale"]},
    )
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(tickfont={"size": text}, title={"font": {"size": text}})
    return figure


def accuracy_against_seconds(arms: Sequence[Curve], pictures: int = 0) -> go.Figure:
    """Validation accuracy against seconds since the start, features included: a thin line per seed, a thick median.

    A head that is solved for is there at once: its level line starts when it was, and ends with the slowest curve.

    Args:
        arms: (label, scenario, histories by seed).
        pictures: in the validation part, if known.
    """
    figure = go.Figure()
    medians = [_median(scenario, histories) for _, scenario, histories in arms]
    last = max((seconds[-1] for seconds, _ in medians if seconds), default=0.0)
    again = repeats([scenario for _, scenario, _ in arms])
    for (label, scenario, histories), (seconds, accuracy), place in zip(arms, medians, again, strict=True):
        median = curve_style(label, scenario, LINE_PX, place, maxdisplayed=12)
        if SCENARIOS[scenario].takes_steps:
            _thin_lines(figure, histories, median["line"])
        elif seconds:
            seconds, accuracy = [*seconds, last], [*accuracy, *accuracy[-1:]]
        hover = "%{y:.1f} % after %{x:.1f} s<extra>" + wrapped(label) + "</extra>"
        figure.add_scatter(x=seconds, y=in_per_cent(accuracy), **median, hovertemplate=hover)
    figure.update_xaxes(title="seconds since the run's start", rangemode="tozero")
    accuracy_axis(figure, pictures)
    return laid_out(figure, 360)


def _thin_lines(figure: go.Figure, histories: Histories, line: Mapping[str, Any]) -> None:
    for history in histories if len(histories) > 1 else ():
        figure.add_scatter(
            x=[epoch.elapsed_s for epoch in history],
            y=in_per_cent(epoch.val_accuracy for epoch in history),
            mode="lines",
            line={**line, "width": 1.5},
            opacity=0.6,
            hoverinfo="skip",
            showlegend=False,
        )


def _median(scenario: str, histories: Histories) -> tuple[list[float], list[float]]:
    """Epoch by epoch, the median second and the median accuracy over the seeds that got so far.

    Of a head that is solved for what it came to, alone.
    """
    if not SCENARIOS[scenario].takes_steps:
        histories = [history[-1:] for history in histories]
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
    few, crowded = len(class_names) <= MOST_CELLS, len(class_names) > MOST_NAMES
    names = [plain(name, 24 if few else 18) for name in class_names]
    if len(set(names)) < len(names):  # cut off, they are the same: two rows they must stay
        names = [f"{place}. {name}" for place, name in enumerate(names, start=1)]
    texts = [[f"{cell:+d}" if difference and cell else str(cell) for cell in row] for row in matrix]
    largest = max((abs(cell) for row in matrix for cell in row), default=0) or 1
    figure = go.Figure(
        go.Heatmap(
            # among many classes nearly all cells are empty: filled, they would outshine the others on a dark page
            z=matrix if few else [[cell or None for cell in row] for row in matrix],
            x=names,
            y=names,
            colorscale=_cell_colours(few, difference),
            hoverongaps=False,
            zmin=-largest if difference else 0,
            zmax=largest,
            showscale=False,
            text=texts,
            texttemplate="%{text}" if few else None,
            hoverinfo="skip" if few else None,
            hovertemplate=None if few else _CELL_HOVER,
            xgap=2 if few else 0,
            ygap=2 if few else 0,
        )
    )
    if few:
        _selectable_cells(figure, names, texts)
    # pointing at a cell tells the names, too, for which there would be no room
    figure.update_xaxes(title="predicted", type="category", showgrid=False, showticklabels=not crowded)
    figure.update_yaxes(title="true", type="category", autorange="reversed", showgrid=False, showticklabels=not crowded)
    if not few:
        for axes in (figure.update_xaxes, figure.update_yaxes):
            axes(showline=True, mirror=True, linecolor=_FRAME)
        figure.update_yaxes(dtick=1)  # every class has its name
    return laid_out(figure, 300 if few else 560 if crowded else max(420, NAME_ROW_PX * len(names) + 160))


def _cell_colours(few: bool, difference: bool) -> list[tuple[float, str]]:
    """Of the cells of a confusion matrix. Opaque, so that Plotly picks readable text; strong where 0 is left out."""
    blue, orange = "#2f6fd0", "#c9651b"
    pale_orange, middle, pale_blue = ("#eef1f5", "#eef1f5", "#e3ecf9") if few else ("#dba274", "#8fb1ea", "#8fb1ea")
    if not difference:
        return [(0, pale_blue), (1, blue)]
    return [(0, orange), (0.499, pale_orange), (0.5, middle), (1, blue)]


def _selectable_cells(figure: go.Figure, names: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    """A heat map's cells cannot be selected; an unseen marker on each can."""
    places = [(row, column) for row in range(len(names)) for column in range(len(names))]
    figure.add_scatter(
        x=[names[column] for _, column in places],
        y=[names[row] for row, _ in places],
        customdata=[[row, column] for row, column in places],
        text=[texts[row][column] for row, column in places],
        hovertemplate=_CELL_HOVER,
        mode="markers",
        marker={"size": 36, "symbol": "square", "opacity": 0},
        selected={"marker": {"opacity": 0.35, "color": "#101820"}},
        unselected={"marker": {"opacity": 0}},
        showlegend=False,
    )
    figure.update_layout(hoverdistance=-1)  # a click anywhere in a cell is meant for its marker
