"""What can be watched while runs train: validation pictures with the answers of the moment, and curves."""

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
import streamlit as st

from core.comparison.wording import said_probability
from core.data.dataset import Dataset
from core.errors import ThawError
from core.runs.store import Run
from core.training.history import curve_by_epoch, last_epoch

from . import chosen
from .charts import LEAST_SPAN, LINE_PX, TEXT_PX
from .gallery import GalleryItem, gallery
from .resources import stored_dataset, thumbnail, watched_places

_DASHES: Final[dict[str, list[int]]] = {
    "solid": [],
    "dash": [9, 5],
    "dot": [2, 4],
    "dashdot": [9, 4, 2, 4],
    "longdash": [14, 6],
    "2px,4px,8px,4px": [2, 4, 8, 4],
}
"""Plotly's names as Vega's lengths."""
_SYMBOLS: Final = {"x": "cross", "triangle-up": "triangle-up"}
_SIGNS: Final = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "cross": "✚"}
"""A training strategy's marker as a character."""
NARROWEST: Final = 96  # pixels of a picture: three side by side on a telephone


def live_pictures(runs: Sequence[Run], now: Run, key: str) -> None:
    """A dozen validation pictures of the run at work, with what it says now, and what those before it with its seed do.

    Before a run has said anything its pictures are there all the same.
    """
    try:
        dataset = stored_dataset(chosen.home(), now.settings.data.dataset)
        places = watched_places(chosen.home(), dataset.id, now.settings.seed, now.settings.data)
    except ThawError:  # the data set is gone: the run will say so itself
        return
    together = [run for run in runs if _place(run) == _place(now) and (run.watched or run.id == now.id)]
    st.markdown(f"**Validation pictures** · {' · '.join(_score(run, dataset) for run in together)}")
    items = [
        GalleryItem(
            image=thumbnail(chosen.home(), dataset.id, index, 160),
            title=dataset.class_names[dataset.pictures[index].target],
            captions=tuple(_answer(run, dataset, index) for run in together),
        )
        for index in places
    ]
    gallery(items, 6, key, NARROWEST)


def _score(run: Run, dataset: Dataset) -> str:
    """`■ Fine-tuned: 9 of 12 right`."""
    label, said = f"{_sign(run)} {run.settings.model.row.label}", run.watched
    if said is None:
        return f"{label}: no answers yet"
    guesses = zip(said.pictures, said.said, strict=True)
    right = sum(guess == dataset.pictures[index].target for index, (guess, _) in guesses)
    return f"{label}: {right} of {len(said.said)} right"


def _sign(run: Run) -> str:
    return _SIGNS.get(run.settings.model.row.style["symbol"], "○")


def _place(run: Run) -> tuple[str, int, int | None]:
    return run.settings.data.dataset, run.settings.seed, run.settings.data.fold


def _answer(run: Run, dataset: Dataset, index: int) -> str:
    """`■ ✓ ants 93.0 %`; an ellipsis as long as it has said nothing."""
    said = dict(zip(run.watched.pictures, run.watched.said, strict=True)) if run.watched else {}
    if index not in said:
        return f"{_sign(run)} …"
    guess, probability = said[index]
    mark = "✓" if guess == dataset.pictures[index].target else "✗"
    return f"{_sign(run)} {mark} {dataset.class_names[guess]} {said_probability(probability)}"


def live_curves(runs: Sequence[Run], key: str) -> None:
    """Validation accuracy by epoch, a line per run; a head that was solved for is level.

    Redrawn in place at every tick, which Plotly would not do.
    """
    last = max(last_epoch(run.epochs or [] for run in runs), 1)
    rows = [
        {
            "strategy": run.settings.model.row.label,
            "seed": run.settings.seed,
            "run": run.number,
            "epoch": epoch,
            "y": 100 * y,
        }
        for run in runs
        for epoch, y in curve_by_epoch(run.epochs or [], last)
    ]
    if rows:
        styles = {run.settings.model.row.label: run.settings.model.row.style for run in runs}
        st.vega_lite_chart(pd.DataFrame(rows), _spec(styles), key=key, alt="Validation accuracy by epoch so far")


def _spec(styles: dict[str, Any]) -> dict[str, Any]:
    """A Vega-Lite chart in which training strategies differ in colour, dash and marker."""
    legend = {"title": None, "orient": "top", "columns": 3, "labelFontSize": TEXT_PX, "labelLimit": 260}
    legend |= {"symbolStrokeWidth": 0, "symbolSize": 150}  # marks without an outline: it would be as dashed as the line

    def by_strategy(values: list[Any]) -> dict[str, Any]:
        return {"field": "strategy", "scale": {"domain": list(styles), "range": values}, "legend": legend}

    dashes = by_strategy([_DASHES.get(style["dash"], []) for style in styles.values()])
    shapes = by_strategy([_SYMBOLS.get(style["symbol"], style["symbol"]) for style in styles.values()])
    colours = by_strategy([style["color"] for style in styles.values()])
    return {
        "height": 300,
        "encoding": {**_axes(), "color": colours, "detail": {"field": "run"}},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": LINE_PX}, "encoding": {"strokeDash": dashes}},
            {"mark": {"type": "point", "filled": True, "size": 70}, "encoding": {"shape": shapes}},
        ],
    }


def _axes() -> dict[str, Any]:
    """Epochs, accuracies as per cent, and what is said where one points."""
    text = {"labelFontSize": TEXT_PX, "titleFontSize": TEXT_PX}
    accuracy = {"field": "y", "type": "quantitative", "title": "validation accuracy (%)"}
    return {
        "x": {"field": "epoch", "type": "quantitative", "axis": {"tickMinStep": 1, "format": "d", **text}},
        "y": {
            **accuracy,
            "scale": {"zero": False, "domainMax": 100, "nice": True, "padding": 8},
            "axis": {"tickMinStep": LEAST_SPAN / 5, "format": ".1~f", **text},  # a level line would be 100.000000
        },
        "tooltip": [{"field": "strategy"}, {"field": "seed"}, {"field": "epoch"}, {**accuracy, "format": ".1f"}],
    }
