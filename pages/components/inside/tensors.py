"""Parameters and buffers as a table to search, and two states side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from core.errors import ThawError
from core.inference.subject import START, Subject
from core.runs.store import Run

from .. import chosen
from ..messages import LONGEST_MESSAGE, md, show_error
from ..wording import percentage
from .subjects import changes_of, choose_beside, has_numbers, tensors_of

if TYPE_CHECKING:
    from core.models.anatomy.tensors import Change, TensorChange


def show_tensors(subject: Subject, classes: int) -> None:
    """Every key of `state_dict`, with what changes it in training; searched by words in the key."""
    rows, why = tensors_of(chosen.home(), subject.name, subject.settings, classes)
    if why:
        st.caption(md(f"No means and deviations: {why}", LONGEST_MESSAGE))
    trained = sum(row.requires_grad for row in rows)
    st.markdown(
        f"**{len(rows)} tensors**: {sum(row.kind == 'parameter' for row in rows)} parameters, {trained} of which have "
        f"`requires_grad`, {sum(row.in_optimizer for row in rows)} are in the optimiser; "
        f"{sum(row.kind == 'buffer' for row in rows)} buffers."
    )
    query = st.text_input(
        "Search keys", key="inside.query", icon=":material/search:", live=True, placeholder="bn1 weight"
    )
    shown = [row for row in rows if all(word in row.key.lower() for word in query.lower().split())]
    if not shown:
        st.caption("No key has these words.")
        return
    table = [
        {
            "key": row.key,
            "kind": row.kind,
            "shape": _shape(row.shape),
            "dtype": row.dtype,
            "mean": row.mean,
            "deviation": row.deviation,
            "requires_grad": str(row.requires_grad),
            "in the optimiser": "yes" if row.in_optimizer else "no",
            "changed by": row.updated_by,
        }
        for row in shown
    ]
    number = st.column_config.NumberColumn(format="%.5f")
    st.dataframe(
        pd.DataFrame(table),
        hide_index=True,
        placeholder="-",
        column_config={"mean": number, "deviation": number},
        alt="Parameters and buffers of the network",
        key="inside.tensors",
    )
    if any(row.updated_by == "solver" for row in rows):
        st.caption("With this strategy Thaw solves for the head at once, so no optimiser takes steps.")


def show_changes(subject: Subject, runs: Sequence[Run], classes: int) -> None:
    """Two states key by key, the most changed first."""
    if not has_numbers(subject):
        st.caption("A recorded run ships as numbers only: its weights are not here to be compared.")
        return
    others = runs if subject.record else [run for run in runs if run.settings.model.backbone == subject.spec.name]
    beside = choose_beside(subject, others, "Before" if subject.record else "After")
    if beside is None:
        st.caption("No run of this backbone is here yet.")
        st.page_link("train.py", label="Train one", icon=":material/model_training:")
        return
    try:
        rows = changes_of(chosen.home(), subject.name, subject.settings, classes, beside.name)
    except ThawError as error:
        show_error(error)
        return
    _show_rows(rows, beside.name)


def _show_rows(rows: "list[TensorChange]", beside: str) -> None:
    from core.models.anatomy.tensors import changed_statistics
    from core.models.anatomy.values import change_sentence

    moved = len(changed_statistics(rows))
    also = (
        f" {moved} of the changed are running statistics of BatchNorm: they move without a gradient." if moved else ""
    )
    st.markdown(f"**{change_sentence(rows)}**{also}")
    kinds = sorted({row.change for row in rows})
    only = kinds if len(kinds) < 2 else _choose_kinds(kinds)
    table = pd.DataFrame([_cells(row) for row in rows if row.change in only])
    if table.empty:
        st.caption("Nothing is of this kind.")
        return
    st.dataframe(
        table,
        hide_index=True,
        placeholder="-",
        column_config={
            "relative change (%)": st.column_config.NumberColumn(
                format="%.3f", help="Norm of the difference over the norm before."
            ),
            "largest change": st.column_config.NumberColumn(format="%.6f", help="Of a single number."),
        },
        alt="Keys of both states with how much each changed, the most changed first",
        key="inside.changes",
    )
    name = "changes-from-start.csv" if beside == START else "changes-between-runs.csv"
    st.download_button(
        "Download CSV",
        table.to_csv(index=False).encode(),
        name,
        "text/csv",
        icon=":material/download:",
        key="inside.csv",
    )


def _choose_kinds(kinds: "Sequence[Change]") -> "Sequence[Change]":
    key = f"inside.kinds.{len(kinds)}.{kinds[0]}"
    return st.pills("Show", kinds, selection_mode="multi", default=kinds, key=key)


def _cells(row: "TensorChange") -> dict[str, Any]:
    return {
        "key": row.key,
        "what": row.change,
        "relative change (%)": percentage(row.relative),
        "largest change": row.largest,
        "shape before": _shape(row.before),
        "shape after": _shape(row.after),
    }


def _shape(sides: Sequence[int] | None) -> str:
    return "missing" if sides is None else " x ".join(map(str, sides)) or "one number"
