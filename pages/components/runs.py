"""Lists of runs, and the small print of one."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core.models.catalogue import BACKBONES
from core.runs import deletion
from core.runs.store import Run
from core.settings.scenarios import SCENARIO_LABELS
from core.settings.versions import to_dict

from . import chosen
from .destroying import delete_button
from .messages import md
from .resources import run_record, run_store
from .wording import STATES, run_label, seconds

if TYPE_CHECKING:
    from core.models.build import LayerRow
    from core.models.records import ParameterCount


def run_table(runs: Sequence[Run], key: str) -> None:
    """All runs as a table; a click on one puts it into the address."""
    folds = any(run.settings.data.fold is not None for run in runs)
    rows = [
        {
            "run": f"#{run.number}",
            "state": STATES[run.state][0],
            "scenario": SCENARIO_LABELS[run.settings.model.scenario],
            "backbone": BACKBONES[run.settings.model.backbone].label,
            "data": run.dataset_title,
            "seed": run.settings.seed,
            **({"fold": run.settings.data.fold} if folds else {}),
            "test accuracy": 100 * run.summary["test_accuracy"] if run.summary else None,
            "seconds": run.summary["duration_s"] if run.summary else None,
        }
        for run in runs
    ]
    # a selection is a place in the table: in another table, longer by a new run, the same place is another run
    place = f"{key}.{runs[0].number}.{len(runs)}"
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select=lambda: _take_clicked(place, [run.id for run in runs]),
        selection_mode="single-row",
        key=place,
        column_config={
            "test accuracy": st.column_config.NumberColumn(format="%.1f %%"),
            "seconds": st.column_config.NumberColumn(format="%.1f"),
        },
        placeholder="",
        alt="All runs, newest first",
    )


def _take_clicked(key: str, ids: Sequence[str]) -> None:
    """The address keeps the run that was clicked; nothing changes where the click took a selection back."""
    for row in st.session_state[key].selection.rows:
        st.query_params["run"] = ids[row]


def delete_run(run: Run) -> None:
    """A button that deletes an ended run, after a question."""

    def goes() -> bool:
        kept = "its network, its predictions and its numbers" if run.state == "finished" else "its settings"
        st.markdown(
            f"**{md(run_label(run))}** on {md(run.dataset_title)} will be deleted, with {kept}. This cannot be undone."
        )
        mates = [mate for mate in run_store().runs(race=run.race) if mate.id != run.id] if run.race else []
        if mates and run.state == "finished":
            st.caption(f"It is one of the {len(mates) + 1} runs of a race, whose verdict will no longer count it.")
        return True

    def destroy() -> None:
        deletion.delete_run(run_store(), run.id)
        st.query_params.pop("run", None)

    delete_button("Delete this run", "train.delete", run.id, goes, destroy)


def small_print(run: Run) -> None:
    """Everything that decides a run's numbers: seconds by phase, settings, hashes, machine, versions."""
    record = run_record(chosen.home(), run.id)
    with st.expander("Small print: settings, seconds, hashes, machine", icon=":material/receipt_long:"):
        st.markdown(f"**Freeze audit.** {record.freeze_audit.sentence}")
        timings = asdict(record.timings)
        st.markdown("**Seconds.** " + ", ".join(f"{name} {seconds(value)}" for name, value in timings.items() if value))
        st.markdown(
            "**Work.** " + ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in record.work.items())
        )
        hashes = {
            "data": record.dataset.fingerprint,
            "split": record.split.hash,
            "head's start": record.head_hash,
            "weights": record.weights.sha256,
        }
        st.json(
            {
                "run": record.run,
                "hashes": hashes,
                "machine": {
                    **asdict(record.machine),
                    "threads": record.threads,
                    "precision": asdict(record.precision),
                    "engine": record.engine,
                },
                "head": record.head and asdict(record.head),
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
