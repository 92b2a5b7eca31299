"""A misleading seed: draw one, conclude, then see fifty."""

import streamlit as st

from core.comparison.wording import counted, points
from core.data.dataset import Dataset
from core.errors import ThawError
from core.settings.schema import RunSettings

from ..messages import show_error
from .charts import by_draw


def show_luck(dataset: Dataset, settings: RunSettings) -> None:
    """One draw and its conclusion; then all of them."""
    key = f"much.luck.{dataset.id}.{settings.model.backbone}"
    known = st.session_state.get(key)
    if known is None:
        st.markdown("Which is better on your pictures: a linear probe, or the nearest class mean?")
        if st.button("Draw one seed", icon=":material/casino:", key="much.luck.draw"):
            with st.spinner("Comparing them on the features of your pictures"):
                _compare(dataset, settings, key)
        return
    from core.advice.luck import conclusion_of_one, spread

    first = known.differences[0]
    st.markdown(
        f"Seed 0, {known.per_class} pictures per class: linear probe {100 * known.probe[0]:.1f} %, nearest class mean "
        f"{100 * known.nearest_mean[0]:.1f} %. **{conclusion_of_one(first)}** Would you publish that?"
    )
    if not st.toggle(f"See {len(known.differences)} seeds", key="much.luck.all"):
        return
    low, high = spread(known.differences)
    wrong = known.disagree()
    others = f"{counted(wrong, 'seed')} alone {'names' if wrong == 1 else 'name'}" if wrong else "No seed alone names"
    st.markdown(
        f"Over {len(known.differences)} seeds: {100 * known.mean:+.1f} points on average, nine of ten between "
        f"{100 * low:+.1f} and {100 * high:+.1f}. **{others} the other winner**; seed 0 is "
        f"{points(abs(first - known.mean))} off."
    )
    alt = "How far the linear probe is ahead, seed by seed"
    st.plotly_chart(by_draw(known.differences), key="much.luck.chart", alt=alt)


def _compare(dataset: Dataset, settings: RunSettings, key: str) -> None:
    from core.advice.luck import try_luck  # torch, which takes a moment

    try:
        st.session_state[key] = try_luck(settings, dataset)
    except ThawError as error:
        show_error(error)
        return
    st.rerun()
