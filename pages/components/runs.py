"""Lists of runs, and the small print of one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core.models.catalogue import BACKBONES
from core.runs.store import Run
from core.settings import SCENARIO_LABELS, to_dict

from . import chosen
from .resources import run_record
from .wording import STATES, seconds

if TYPE_CHECKING:
    from core.models.build import LayerRow, ParameterCount


def run_table(runs: Sequence[Run], key: str) -> str | None:
    """All runs as a table; the id of the one that was clicked."""
    rows = [
        {
            "run": f"#{run.number}",
            "state": STATES[run.state][0],
            "scenario": SCENARIO_LABELS[run.settings.model.scenario],
            "backbone": BACKBONES[run.settings.model.backbone].label,
            "data": run.dataset_title,
            "seed": run.settings.seed,
            "test accuracy": 100 * run.summary["test_accuracy"] if run.summary else None,
            "seconds": run.summary["duration_s"] if run.summary else None,
        }
        for run in runs
    ]
    event = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=key,
        column_config={
            "test accuracy": st.column_config.NumberColumn(format="%.1f %%"),
            "seconds": st.column_config.NumberColumn(format="%.1f"),
        },
        placeholder="",
        alt="All runs, newest first",
    )
    selected = event.selection.rows
    return runs[selected[0]].id if selected and selected[0] < len(runs) else None


def small_print(run: Run) -> None:
    """Everything that decides a run's numbers: seconds by phase, settings, hashes, machine, versions."""
    record = run_record(chosen.home(), run.id)
    with st.expander("Small print: settings, seconds, hashes, machine", icon=":material/receipt_long:"):
        st.markdown(f"**Freeze audit.** {record.freeze_audit['sentence']}")
        st.markdown(
            "**Seconds.** " + ", ".join(f"{name} {seconds(value)}" for name, value in record.timings.items() if value)
        )
        st.markdown(
            "**Work.** " + ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in record.work.items())
        )
        hashes = {
            "data": record.dataset["fingerprint"],
            "split": record.split["hash"],
            "head's start": record.head_hash,
            "weights": record.weights["sha256"],
        }
        st.json(
            {
                "run": record.run,
                "hashes": hashes,
                "machine": {
                    **record.machine,
                    "threads": record.threads,
                    "precision": record.precision,
                    "engine": record.engine,
                },
                "head": record.head,
            },
            expanded=False,
        )
        st.json(to_dict(record.settings), expanded=False)


def what_trains(parameters: "ParameterCount", layers: "Sequence[LayerRow]") -> None:
    """The network from input to output, and which of its stages train."""
    st.markdown(f"**{parameters.trained:,}** of {parameters.total:,} parameters train ({parameters.trained_share:.1%})")
    rows = [
        {
            "stage": "head" if layer.stage is None else str(layer.stage + 1),
            "made of": layer.kind,
            "parameters": layer.parameters,
            "trains": "trains" if layer.trained else "frozen",
        }
        for layer in layers
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=min(38 + 35 * len(rows), 270),
        column_config={"parameters": st.column_config.NumberColumn(format="localized")},
        alt="Stages of the network and whether they train",
    )
