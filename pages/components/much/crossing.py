"""Crossing points: test accuracy against pictures per class, and what twice as many would buy."""

import streamlit as st

from core.advice.plans import FEWEST_STEPS, HEAD, can_thaw, plan_crossing, sizes_to_try
from core.comparison.wording import counted
from core.data.dataset import Dataset
from core.runs.findings import crossing_of
from core.settings.schema import RunSettings

from .. import chosen
from ..messages import LONGEST_MESSAGE, md
from ..resources import part_counts
from .charts import by_pictures
from .studying import latest, offer, show_progress

SEEDS = (1, 3, 5)


def show_crossing(dataset: Dataset, settings: RunSettings) -> None:
    """What the newest study of pictures has shown, and the form of the next."""
    known = latest("crossing", dataset, settings)
    found = crossing_of(known) if known else None
    if found:
        if found.growth and known and not known.is_active:
            st.markdown(f"**{md(found.growth.sentence, LONGEST_MESSAGE)}**")
            st.caption(
                f"{md(found.growing)}, the best with all pictures. The range is over "
                f"{counted(len(found.growth.curves), 'curve')} that fit: {', '.join(found.growth.curves)}."
            )
        st.markdown(f"{md('; '.join(found.sentences), LONGEST_MESSAGE)}.")
        figure = by_pictures(found.curves, found.growth)
        st.plotly_chart(figure, key="much.crossing.chart", alt="Test accuracy against pictures per class, by strategy")
        st.caption(
            f"Lines are means, bands reach from the worst seed to the best. Few pictures get more epochs, so that "
            f"every run takes at least {FEWEST_STEPS} steps."
        )
    if known:
        show_progress(known, "much.crossing.live")
    if known is None or not known.is_active:
        _form(dataset, settings, again=known is not None)


def _form(dataset: Dataset, settings: RunSettings, again: bool) -> None:
    counts = tuple(part_counts(chosen.home(), dataset.id, settings.seed, settings.data)["train"].values())
    seeds = st.segmented_control("Seeds", SEEDS, default=3, required=True, key="much.crossing.seeds")
    sizes = sizes_to_try(min(counts))
    plans = plan_crossing(settings, sizes, range(settings.seed, settings.seed + seeds), counts)
    *fewer, most = ["all" if size is None else str(size) for size in sizes]
    words = " and ".join((", ".join(fewer), most)) if fewer else most
    which = "do four training strategies" if can_thaw(settings) else f"does {HEAD.label}"
    st.markdown(f"How {which} fare with {words} training pictures per class?")
    with st.container(horizontal=True, vertical_alignment="center"):
        offer("crossing", "Measure again" if again else "Measure", plans, dataset, primary=not again)
