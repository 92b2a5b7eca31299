"""The thaw sweep: test accuracy by how many stages train, what each costs, and how it fares on shifted pictures."""

import pandas as pd
import streamlit as st

from core.advice.plans import can_thaw, depths_to_try, plan_sweep, stages_of
from core.advice.rule import depth_words
from core.data.dataset import Dataset
from core.runs.findings import Sweep, sweep_of
from core.settings.schema import RunSettings

from ..messages import LONGEST_MESSAGE, md
from .charts import by_stages
from .studying import latest, link_to_runs, offer, show_progress

SEEDS = (1, 3, 5)


def show_sweep(dataset: Dataset, settings: RunSettings) -> None:
    """What the newest sweep has shown, and the form of the next."""
    known = latest("sweep", dataset, settings)
    found = sweep_of(known) if known else None
    if found:
        st.markdown(f"**{md(found.sentence, LONGEST_MESSAGE)}**")
        if found.flips:
            st.markdown(md(found.flips, LONGEST_MESSAGE))
        st.plotly_chart(by_stages(found.depths), key="much.sweep.chart", alt="Test accuracy by stages that train")
        _table(found)
    if known and found and not known.is_active:
        link_to_runs(known)
    if known:
        show_progress(known, "much.sweep.live")
    if known is None or not known.is_active:
        _form(dataset, settings, again=known is not None)


def _table(found: Sweep) -> None:
    rows = [
        {
            "what trains": row.label,
            "test accuracy": 100 * row.accuracy,
            **{name: 100 * one.accuracy for name, one in row.shifted.items()},
            "seconds": row.seconds,
            "MB changed": row.changed_bytes / 1e6,
        }
        for row in found.depths
    ]
    shares = ["test accuracy", *found.depths[0].shifted]
    columns = {name: st.column_config.NumberColumn(format="%.1f %%") for name in shares}
    columns |= {name: st.column_config.NumberColumn(format="%.1f") for name in ("seconds", "MB changed")}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns, alt="The sweep in numbers")
    st.caption(
        f"Means over {found.depths[0].seeds} seeds. Blur, noise, JPEG, darker and other colours: up to 100 of the test "
        "pictures, changed like that. Seconds of the first seed include features that later ones found in the cache."
    )


def _form(dataset: Dataset, settings: RunSettings, again: bool) -> None:
    total = stages_of(settings)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        depths = st.pills(
            "Stages that train",
            range(total + 1) if can_thaw(settings) else (0,),
            selection_mode="multi",
            default=depths_to_try(settings),
            format_func=lambda stages: depth_words(stages, total),
            key=f"much.sweep.depths.{total}",
            wrap=True,
        )
        seeds = st.segmented_control("Seeds", SEEDS, default=3, required=True, key="much.sweep.seeds")
    if depths:
        plans = plan_sweep(settings, depths, range(settings.seed, settings.seed + seeds))
        with st.container(horizontal=True, vertical_alignment="center"):
            offer("sweep", "Sweep again" if again else "Run the sweep", plans, dataset, primary=not again)
