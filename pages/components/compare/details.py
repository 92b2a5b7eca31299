"""What runs cost, what they moved inside the network, and whether their probabilities can be taken at their word."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.comparison.calibration import brier, calibration_error, reliability
from core.comparison.verdict import Comparison
from core.runs.store import Run

from .. import chosen
from ..cards import record, training_seconds
from ..messages import md
from ..resources import run_outcome, run_store
from ..results import small_print
from ..wording import backbone_label, percentage, run_label
from .charts import layer_changes, reliability_curve


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
                "calibration error": percentage(calibration_error(bins)),
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
    st.caption(
        "Smaller is better. With few pictures in a bin its dot says little: hover to see how many. These are the "
        "networks' own probabilities, as they came out of training."
    )


def costs(runs: Sequence[Run]) -> None:
    """What each run took, and what classifying a picture with it takes."""
    rows = []
    for run in runs:
        result = record(run)
        rows.append(
            {
                "run": run_label(run),
                "train and test, s": training_seconds(result),
                "features from cache": bool(result.work.get("features_from_cache")),
                "ms per prediction": result.costs.prediction_ms,
                "parameters trained": result.parameters.trained,
                "peak memory, MB": _megabytes(result.costs.peak_memory_bytes),
                "state changed, MB": _megabytes(result.costs.changed_bytes),
            }
        )
    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "train and test, s": number(format="%.1f"),
            "ms per prediction": number(format="%.1f", help="Per picture, in batches, in float32."),
            "parameters trained": number(format="localized"),
            "peak memory, MB": number(format="%.0f", help="Of the process that trains, libraries included."),
            "state changed, MB": number(format="%.2f", help="Parameters and buffers that training left different."),
            "features from cache": st.column_config.CheckboxColumn(
                help="Then the time is a warm one, not a first run's."
            ),
        },
        alt="Costs of both runs",
    )


def _megabytes(size: float | None) -> float | None:
    return None if size is None else size / 1e6


def weight_changes(runs: Sequence[Run]) -> None:
    """Layer by layer, how far each run moved, and what its freeze audit found."""
    results = [record(run) for run in runs]
    known = [
        (run_label(run), r.settings.model.scenario, r.layers) for run, r in zip(runs, results, strict=True) if r.layers
    ]
    if known:
        figure = layer_changes(known)
        st.plotly_chart(figure, key="compare.layers", alt="How far each layer moved, from input to output")
    else:
        st.caption("These runs were made by an earlier version, which did not measure this.")
    for run, result in zip(runs, results, strict=True):
        st.markdown(f":material/verified: **{md(run_label(run))}**: {md(result.freeze_audit.sentence, 400)}")
    for note in dict.fromkeys(r.settings.model.row.note for r in results if r.settings.model.row.note):
        st.caption(note)
    networks = sorted({backbone_label(r.settings.model.backbone) for r in results})
    st.caption(f"Moved: the norm of a layer's change over its norm before training. {', '.join(networks)}.")


def all_small_print(runs: Sequence[Run]) -> None:
    """Hashes, seeds, versions, threads; and how often the test part was looked at."""
    for run in runs:
        tested = run_store().evaluations(record(run).test_part)
        st.markdown(f"**{md(run_label(run))}** · runs tested on its test pictures so far, on this machine: {tested}")
        small_print(run)
