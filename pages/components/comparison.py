"""Parts of the Compare page: runs side by side, the outcome, what differs, the agreement square."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison.metrics import Rate, balanced_accuracy
from core.comparison.statistics import rate
from core.comparison.verdict import Comparison
from core.runs.store import Run

from .charts import confusion
from .messages import md, plain
from .results import record, sample_pictures, training_seconds
from .wording import run_label

_OUTCOMES: Final = {
    "a-better": ("A is better", ":material/trophy:", "green"),
    "b-better": ("B is better", ":material/trophy:", "green"),
    "same": ("Practically the same", ":material/equal:", "blue"),
    "cannot-tell": ("Cannot tell", ":material/help:", "gray"),
    "not-comparable": ("Not comparable", ":material/block:", "red"),
}


def side_by_side(runs: Sequence[Run]) -> None:
    """Run times and accuracy of all chosen runs in one table."""
    rows = []
    for run in runs:
        result = record(run)
        correct = sum(row[place] for place, row in enumerate(result.confusion))
        rows.append(
            {
                "run": run_label(run),
                "test accuracy": 100 * result.test_accuracy,
                "95 % interval": interval(rate(correct, len(result.test_pictures))),
                "balanced accuracy": _per_cent(balanced_accuracy(np.array(result.confusion))),
                "train and test, s": training_seconds(result),
                "features, s": result.timings["features"],
                "training, s": result.timings["train"],
                "val, s": result.timings["val"],
                "test, s": result.timings["test"],
                "parameters trained": result.parameters["trained"],
                "epochs": len(result.history),
                "weights": result.weights["origin"],
            }
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "test accuracy": st.column_config.ProgressColumn(format="%.1f %%", min_value=0.0, max_value=100.0),
            "balanced accuracy": number(format="%.1f %%"),
            "parameters trained": number(format="localized"),
            **{name: number(format="%.1f") for name in rows[0] if name.endswith(", s")},
        },
        alt="Accuracy and run times of the chosen runs",
    )
    machines = {f"{record(run).machine['processor']}, {record(run).threads} threads" for run in runs}
    st.caption(f":material/memory: Measured on {md('; '.join(sorted(machines)))}. Decoding, done once, is left out.")


def _per_cent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def interval(of: Rate | None) -> str:
    """A rate's interval in per cent."""
    return f"{of.low:.1%} to {of.high:.1%}" if of else "-"


def outcome_badge(result: Comparison) -> None:
    """One of the five outcomes, by word, icon and colour, and a red chip for each uncontrolled difference."""
    word, icon, colour = _OUTCOMES[result.outcome]
    with st.container(horizontal=True):
        st.badge(word, icon=icon, color=colour)
        for chip in result.fairness.chips:
            st.badge(
                plain(chip.text), icon=":material/warning:", color="red" if chip.affects == "accuracy" else "orange"
            )


def differences_table(result: Comparison) -> None:
    """The settings in which the two runs differ, and whether that follows from what is compared."""
    rows = [
        {"setting": row.field, "A": str(row.a), "B": str(row.b), "part of the comparison": row.expected}
        for row in result.fairness.differences
    ]
    with st.expander(f"Settings in which they differ ({len(rows)})", icon=":material/difference:"):
        if rows:
            st.dataframe(pd.DataFrame(rows), hide_index=True)
        else:
            st.caption("None: the two runs have the same settings.")


def agreement_pictures(result: Comparison, a: Run, b: Run) -> None:
    """McNemar's table; the chosen cell opens its pictures."""
    agreement = result.agreement
    assert agreement is not None, "the caller checks"
    cells = {
        "only A is right": (agreement.only_a, agreement.only_a_index),
        "only B is right": (agreement.only_b, agreement.only_b_index),
        "both are wrong": (agreement.neither, agreement.neither_index),
        "both are right": (agreement.both, agreement.both_index),
    }
    cell = st.segmented_control(
        "Pictures on which",
        list(cells),
        default="only A is right" if agreement.only_a else "only B is right" if agreement.only_b else "both are right",
        required=True,
        format_func=lambda name: f"{name}: {cells[name][0]}",
        key="compare.cell",
    )
    if cells[cell][1]:
        sample_pictures([a, b], 12, "compare.pictures", only=cells[cell][1])
        if len(cells[cell][1]) > 12:
            st.caption(f"The first 12 of {len(cells[cell][1])}.")
    else:
        st.caption("There is no such picture.")


def twin_confusion(result: Comparison, a: str, b: str) -> None:
    """Both confusion matrices, and recall per class with its interval."""
    for column, side, label in zip(st.columns(2, gap="large"), (result.a, result.b), (a, b), strict=True):
        with column:
            st.markdown(f"**{label}**")
            figure = confusion(side.confusion, side.class_names)
            st.plotly_chart(figure, key=f"compare.confusion.{side.run}", alt=f"Confusion matrix of {label}")
            rows = [
                {
                    "class": name,
                    "recall": _per_cent(recall.value if recall else None),
                    "95 % interval": interval(recall),
                }
                for name, recall in zip(side.class_names, side.recalls, strict=True)
            ]
            st.dataframe(
                pd.DataFrame(rows),
                hide_index=True,
                column_config={"recall": st.column_config.NumberColumn(format="%.1f %%")},
            )
