"""Tables of the Compare page: runs side by side, settings that differ, other scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison.calibration import seconds_to
from core.comparison.metrics import balanced_accuracy
from core.comparison.race_verdict import RaceVerdict
from core.comparison.statistics import rate
from core.comparison.verdict import Comparison
from core.comparison.wording import counted
from core.runs.store import Run

from ..cards import record, training_seconds
from ..messages import md, plain
from ..verdicts import badge
from ..wording import interval, percentage, run_label


def race_scores(verdict: RaceVerdict) -> None:
    """The same pairs by other scores than accuracy, from three seeds on."""
    rows = [
        {
            "pair": f"{pair.label_a} \u2212 {pair.label_b}",
            "score": score.name,
            "better if": "higher" if score.higher_is_better else "lower",
            "first": score.a,
            "second": score.b,
            "difference": score.estimate.value,
            "95 % from": score.estimate.interval.low,
            "to": score.estimate.interval.high,
        }
        for pair in verdict.pairs
        for score in pair.scores
    ]
    number = st.column_config.NumberColumn(format="%.3f")
    shown = dict.fromkeys(("first", "second", "difference", "95 % from", "to"), number)
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=shown, alt="Pairs by other scores")
    st.caption("Intervals hold for new seeds and new pictures, each by itself. The conclusion is about test accuracy.")


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
                "balanced accuracy": percentage(balanced_accuracy(np.array(result.confusion))),
                "train and test, s": training_seconds(result),
                "from cache": bool(result.work.get("features_from_cache")),
                "features, s": result.timings.features,
                "training, s": result.timings.train,
                "validation, s": result.timings.val,
                "test, s": result.timings.test,
                "to 90 % of its best, s": seconds_to(result.history, 0.9),
                "to 95 % of its best, s": seconds_to(result.history, 0.95),
                "epochs": len(result.history),
            }
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "test accuracy": st.column_config.ProgressColumn(format="%.1f %%", min_value=0.0, max_value=100.0),
            "balanced accuracy": number(format="%.1f %%"),
            "from cache": st.column_config.CheckboxColumn(help="Features came from the cache: a warm time."),
            **{name: number(format="%.1f") for name in rows[0] if name.endswith(", s")},
        },
        placeholder="-",
        alt="Accuracy and run times of the chosen runs",
    )
    machines = {f"{record(run).machine.processor}, {counted(record(run).threads, 'thread')}" for run in runs}
    st.caption(f":material/memory: Measured on {md('; '.join(sorted(machines)))}. Decoding, done once, is left out.")


def outcome_badge(result: Comparison) -> None:
    """One of the five outcomes, by word, icon and colour, and a red chip for each uncontrolled difference."""
    with st.container(horizontal=True):
        badge(result.outcome, "A", "B")
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
            st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Settings in which they differ")
        else:
            st.caption("None: the two runs have the same settings.")
