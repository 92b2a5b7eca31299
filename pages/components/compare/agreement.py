"""Two runs picture by picture: the agreement square and the confusion matrices, whose cells open their pictures."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison.pictures import PictureKey
from core.comparison.verdict import Comparison, RunSummary
from core.runs.store import Run

from .. import chosen
from ..charts import MOST_CELLS, confusion
from ..kept import kept
from ..messages import md
from ..predictions import sample_pictures
from ..resources import run_outcome
from ..wording import interval, percentage

SHOWN: Final = 12


def agreement_square(result: Comparison, a: Run, b: Run) -> None:
    """McNemar's table as four buttons; the chosen one opens its pictures. The address keeps the choice."""
    agreement = result.agreement
    assert agreement is not None, "the caller checks"
    cells = {
        "both": ("both right", agreement.both_index),
        "only-a": ("only A right", agreement.only_a_index),
        "only-b": ("only B right", agreement.only_b_index),
        "neither": ("both wrong", agreement.neither_index),
    }
    telling = next((name for name in ("only-a", "only-b") if cells[name][1]), "both")
    open_cell = kept("compare.cell", telling)
    grid = st.grid(2, wrap=False)
    for name, (words, places) in cells.items():
        chosen_now = open_cell == name
        with grid.cell():
            st.button(
                f"**{len(places)}** {words}",
                key=f"compare.cell.{name}",
                type="primary" if chosen_now else "secondary",
                width="stretch",
                on_click=_choose_cell,
                args=(name,),
            )
    words, places = cells[open_cell]
    tested = list(run_outcome(chosen.home(), a.id).tested)
    st.caption(f"Of {result.pictures} test pictures. A is {md(result.a.name)}, B is {md(result.b.name)}.")
    keys = [tested[place] for place in places]
    _pictures([a, b], keys, f"{words[0].upper()}{words[1:]}", "compare.pictures")


def _choose_cell(name: str) -> None:
    st.session_state["compare.cell"] = name


def _pictures(runs: Sequence[Run], keys: Sequence[PictureKey], title: str, key: str) -> None:
    if not keys:
        st.caption("There is no such picture.")
        return
    sample_pictures(runs, SHOWN, key, only=keys, sides="AB" if len(runs) > 1 else "")
    if len(keys) > SHOWN:
        st.caption(f"{title}: the first {SHOWN} of {len(keys)}.")


def confusions(result: Comparison, a: Run, b: Run) -> None:
    """Both confusion matrices and their difference. A click on a cell shows its pictures, where cells are few.

    Of many classes one is shown at a time, as wide as the page: beside each other they would be stamps.
    """
    runs, few = {"A": [a], "B": [b]}, len(result.a.class_names) <= MOST_CELLS
    can = "Click a cell to see its pictures." if few else "Point at a cell to read it; where none is drawn it is 0."
    st.caption(
        f"Rows are true classes, columns what was predicted. {can} Difference: blue where A has more, orange: B."
    )
    if few:
        places = dict(zip(_MATRICES, st.columns(3, gap="medium"), strict=True))
    else:
        chosen_one = st.segmented_control(
            "Matrix",
            _MATRICES,
            default="A",
            required=True,
            format_func=_MATRICES.__getitem__,
            key="compare.confusion",
            label_visibility="collapsed",
        )
        places = {chosen_one: st.container()}
    picked: tuple[str, Any] | None = None
    for name, place in places.items():
        with place:
            points = _matrix(result, name)
            if few and points:
                picked = (name, points[0]["customdata"])
    if picked:
        name, (true, predicted) = picked
        _cell_pictures(result, name, int(true), int(predicted), runs.get(name, [a, b]))
    _recalls(result)


_MATRICES: Final = {"A": "A", "B": "B", "A - B": "Difference"}


def _matrix(result: Comparison, name: str) -> Any:
    """One of `_MATRICES` under what it is of; the cells that were clicked."""
    of = {"A": result.a, "B": result.b}.get(name)
    if of is not None:
        st.markdown(f"**{name}** · {md(of.name)}")
        matrix: Any = of.confusion
    else:
        st.markdown("**Difference**, A minus B")
        matrix = (np.array(result.a.confusion) - np.array(result.b.confusion)).tolist()
    event = st.plotly_chart(
        confusion(matrix, result.a.class_names, difference=of is None),
        key=f"compare.confusion.{name[0]}{len(name)}",
        on_select="rerun",
        selection_mode="points",
        alt=f"Confusion matrix: {name}",
    )
    return event.selection.points


def _cell_pictures(result: Comparison, name: str, true: int, predicted: int, runs: Sequence[Run]) -> None:
    """The pictures of one cell; of the difference, those that are in it for one of the two runs only."""
    classes = [result.a.class_names[place] for place in (true, predicted)]
    tested = [run_outcome(chosen.home(), run.id).tested for run in runs]
    inside = [{key for key, said in of.items() if [key.truth, said.guess] == classes} for of in tested]
    found = inside[0] if len(inside) == 1 else inside[0] ^ inside[1]
    st.markdown(f"**{name}**: true {md(classes[0], 40)}, predicted {md(classes[1], 40)}")
    keys = [key for key in tested[0] if key in found]
    _pictures(runs, keys, "Pictures in this cell", "compare.cell_pictures")


def _recalls(result: Comparison) -> None:
    """Recall per class of both runs, with intervals."""

    def values(side: RunSummary, place: int) -> list[Any]:
        recall = side.recalls[place]
        return [percentage(recall.value if recall else None), interval(recall)]

    names = ["class", "A recall", "A 95 % interval", "B recall", "B 95 % interval"]
    rows = [
        dict(zip(names, [name, *values(result.a, place), *values(result.b, place)], strict=True))
        for place, name in enumerate(result.a.class_names)
    ]
    shown = st.column_config.NumberColumn(format="%.1f %%")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"A recall": shown, "B recall": shown},
        placeholder="-",  # of a class without test pictures nothing is known
        alt="Recall per class",
    )
