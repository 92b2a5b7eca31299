"""Parts of the Compare page: runs side by side, the outcome, what differs, the agreement square."""

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison.calibration import brier, calibration_error, reliability, seconds_to
from core.comparison.metrics import Rate, balanced_accuracy
from core.comparison.race import RaceVerdict
from core.comparison.report import as_csv, as_markdown
from core.comparison.statistics import rate
from core.comparison.verdict import Comparison
from core.runs.store import Run

from . import chosen
from .charts import confusion, reliability_curve, seed_dots
from .messages import md, plain
from .resources import run_outcome
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
                "to 95 % of its best, s": seconds_to(result.history, 0.95),
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
    imagenet_notice(runs)


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


def take_home(result: Comparison, a: Run, b: Run) -> None:
    """The comparison as files: a page of Markdown with its small print, a row per picture, and everything as JSON."""
    records, name = (record(a), record(b)), f"thaw-{a.number}-against-{b.number}"
    files = [
        ("Report", "md", "text/markdown", as_markdown(result, records)),
        ("Numbers", "json", "application/json", json.dumps(result.to_dict(), indent=1)),
    ]
    if result.agreement is not None:
        outcomes = (run_outcome(chosen.home(), a.id), run_outcome(chosen.home(), b.id))
        files.insert(1, ("Pictures", "csv", "text/csv", as_csv(result, outcomes, records[0].test_names)))
    with st.container(horizontal=True):
        for label, ending, kind, text in files:
            st.download_button(
                label,
                text.encode("utf-8", "replace"),
                f"{name}.{ending}",
                kind,
                icon=":material/download:",
                key=f"compare.{ending}",
                on_click="ignore",
            )


def calibration(result: Comparison, a: Run, b: Run) -> None:
    """Whether the two runs' probabilities can be taken at their word."""
    rows, series = [], []
    for side, run in ((result.a, a), (result.b, b)):
        outcome = run_outcome(chosen.home(), run.id)
        bins = reliability(outcome.targets, outcome.probabilities)
        series.append((run_label(run), run.settings.model.scenario, bins))
        rows.append(
            {
                "run": run_label(run),
                "calibration error": _per_cent(calibration_error(bins)),
                "Brier score": brier(outcome.targets, outcome.probabilities),
                "log loss": side.log_loss,
            }
        )
    st.plotly_chart(reliability_curve(series), key="compare.reliability", alt="How sure against how often right")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "calibration error": st.column_config.NumberColumn(format="%.1f %%"),
            "Brier score": st.column_config.NumberColumn(format="%.3f"),
            "log loss": st.column_config.NumberColumn(format="%.3f"),
        },
        alt="Calibration of both runs",
    )
    st.caption("Smaller is better. With few pictures in a bin its dot says little: hover to see how many.")


def over_seeds(verdict: RaceVerdict) -> None:
    """Each pair's differences seed by seed, where there are several seeds."""
    pairs = [
        (f"{pair.label_a} - {pair.label_b}", pair.seeds, pair.differences)
        for pair in verdict.pairs
        if len(pair.differences) > 1
    ]
    if pairs:
        figure = seed_dots(pairs, verdict.band)
        st.plotly_chart(figure, key="compare.seeds", alt="Differences in accuracy, seed by seed")


def imagenet_notice(runs: Sequence[Run]) -> None:
    """The tutorial's ants and bees are pictures that an ImageNet network has seen: said wherever it may be so."""
    results = [record(run) for run in runs]
    photos = any({"ants", "bees"} == set(r.dataset["class_names"]) and r.dataset["kind"] != "builtin" for r in results)
    if photos and any(r.settings.model.start == "imagenet" for r in results):
        st.caption(
            ":material/info: The ants and bees of PyTorch's tutorial are a small subset of ImageNet: networks with "
            "ImageNet weights may have seen these very pictures. On your own pictures expect less."
        )


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
