"""The grammar of every result: conclusion, one line of numbers, the next action; what it rests on stands below."""

from collections.abc import Callable, Sequence
from typing import Final

import streamlit as st

from core.comparison.conclusion import Conclusion, Grade, conclusion_of
from core.comparison.race_verdict import RaceVerdict
from core.errors import ThawError
from core.runs.experiments import Experiment, experiments_of
from core.runs.race import run_more_seeds
from core.runs.record import is_recorded
from core.runs.store import Run

from .messages import LONGEST_MESSAGE, md, plain, show_error
from .resources import run_store
from .wording import BadgeColor

GRADES: Final[dict[Grade, tuple[str, str, BadgeColor]]] = {
    "clearly": ("clearly better", ":material/trophy:", "green"),
    "probably": ("probably better", ":material/trending_up:", "blue"),
    "same": ("practically the same", ":material/equal:", "blue"),
    "undecided": ("not decided yet", ":material/hourglass_empty:", "orange"),
    "not-comparable": ("not comparable", ":material/block:", "red"),
    "single": ("one experiment", ":material/looks_one:", "gray"),
}
"""How a grade is said, and its icon and colour."""
Link = Callable[[], object]


def show_conclusion(verdict: RaceVerdict, runs: Sequence[Run], key: str, *links: Link) -> Conclusion:
    """The conclusion over finished runs, its numbers in one line, and what to do next.

    Args:
        links: drawn beside the buttons: further steps that only this page offers.
    """
    found = conclusion_of(verdict)
    word, icon, colour = GRADES[found.grade]
    with st.container(border=True, key=f"{key}.conclusion"):
        st.badge(word, icon=icon, color=colour)
        st.header(md(found.headline, LONGEST_MESSAGE), anchor=False)
        st.markdown(md(found.numbers, LONGEST_MESSAGE))
        if found.advice:
            st.caption(md(found.advice, LONGEST_MESSAGE))
        with st.container(horizontal=True, vertical_alignment="center"):
            _next_actions(found, experiments_of(runs), key)
            for link in links:
                link()
    return found


def _next_actions(found: Conclusion, experiments: Sequence[Experiment], key: str) -> None:
    if any(is_recorded(run.id) for one in experiments for run in one.runs):
        return  # neither pictures nor weights are here
    if found.more_seeds:
        seeds = "1 more seed" if found.more_seeds == 1 else f"{found.more_seeds} more seeds"
        if st.button(f"Run {seeds}", type="primary", icon=":material/playlist_add:", key=f"{key}.more"):
            _run_more(experiments, found.more_seeds)
    best = next(one for one in experiments if one.key == found.best).best_on_val
    if best is not None:
        st.page_link(
            "classify.py",
            label=f"Classify with {plain(best.settings.model.row.label)}",
            icon=":material/image_search:",
            query_params={"run": best.id},
        )


def _run_more(experiments: Sequence[Experiment], seeds: int) -> None:
    try:
        run_more_seeds(run_store(), experiments, seeds)
    except ThawError as error:
        show_error(error)
        return
    st.rerun()
