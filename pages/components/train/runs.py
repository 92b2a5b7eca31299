"""The list of runs, starting and deleting them."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.runs import deletion
from core.runs.race import every_fold, submit
from core.runs.store import Run
from core.settings.schema import RunSettings

from ..confirm import delete_button
from ..messages import md
from ..resources import run_store
from ..wording import STATES, backbone_label, run_label


def start_runs(settings: RunSettings, dataset: Dataset, repeats: int) -> str:
    """Queue a run, or the same with several seeds and every fold as a race; the first run's id."""
    seeds = range(settings.seed, settings.seed + repeats)
    plans = [replace(settings, seed=seed, data=data) for seed in seeds for data in every_fold(settings.data)]
    return submit(run_store(), plans, Ingested(dataset=dataset, decode_s=0.0), as_race=len(plans) > 1)[0]


def run_table(runs: Sequence[Run], key: str) -> None:
    """All runs as a table; a click on one puts it into the address."""
    folds = any(run.settings.data.fold is not None for run in runs)
    rows = [
        {
            "run": f"#{run.number}",
            "state": STATES[run.state][0],
            "scenario": run.settings.model.row.label,
            "backbone": backbone_label(run.settings.model.backbone),
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
