"""What a race says, on whatever page: the conclusion, every pair in one plot, chances, and words."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from core.comparison.folds import gather_folds, incomplete_seeds, question_of
from core.comparison.race_verdict import RaceVerdict, race_verdict
from core.comparison.verdict import BAND
from core.comparison.wording import points
from core.runs.store import Run

from . import chosen
from .messages import LONGEST_MESSAGE, md
from .resources import run_outcome
from .verdict_charts import chances, forest
from .wording import BadgeColor

_OUTCOMES: Final[dict[str, tuple[str, str, BadgeColor]]] = {
    "a-better": ("{a} is better", ":material/trophy:", "green"),
    "b-better": ("{b} is better", ":material/trophy:", "green"),
    "same": ("Practically the same", ":material/equal:", "blue"),
    "cannot-tell": ("Cannot tell", ":material/help:", "gray"),
    "not-comparable": ("Not comparable", ":material/block:", "red"),
}


def race_outcome(verdict: RaceVerdict, key: str) -> None:
    """What a race says: the conclusion, every pair in one plot, chances as bars; sentences folded away."""
    with st.container(border=True):
        st.markdown(md(verdict.sentence, LONGEST_MESSAGE))
        if len(verdict.pairs) == 1 and verdict.pairs[0].speed:
            st.caption(md(verdict.pairs[0].speed, LONGEST_MESSAGE))
    shown = [pair for pair in verdict.pairs if pair.gap is not None]
    if shown:
        st.plotly_chart(
            forest(shown, verdict.band), key=f"{key}.forest", alt="Differences in accuracy with their intervals"
        )
        tests = max(pair.tests for pair in shown)
        several = f" Intervals are each pair's own; the verdict counts all {tests}." if tests > 1 else ""
        st.caption(
            f"Grey: practically the same, within {points(verdict.band)}. A filled diamond: one is better. A circle is "
            f"a seed.{several}"
        )
    likely = [pair for pair in shown if pair.chances is not None]
    if likely:
        st.markdown("##### How probable is which?")
        st.plotly_chart(chances(likely, verdict.band), key=f"{key}.chances", alt="Chances that one is better")
    if len(verdict.pairs) > 1:
        with st.expander(f"All {len(verdict.pairs)} pairs in words", icon=":material/format_list_bulleted:"):
            for pair in verdict.pairs:
                badge(pair.outcome, pair.label_a, pair.label_b)
                st.markdown(md(f"{pair.sentence} {pair.speed}".strip(), LONGEST_MESSAGE))


def badge(outcome: str, a: str, b: str) -> None:
    word, icon, colour = _OUTCOMES[outcome]
    st.badge(word.format(a=a, b=b), icon=icon, color=colour)


@st.cache_data(max_entries=50, show_spinner=False)
def _verdict(home: str, ids: tuple[str, ...], band: float) -> RaceVerdict:
    outcomes = [run_outcome(home, run_id) for run_id in ids]
    return race_verdict(gather_folds(outcomes) if len(outcomes) > 1 else outcomes, band)


def race_verdict_of(ids: Sequence[str], band: float = BAND) -> RaceVerdict:
    """The verdict over finished runs, with every accuracy: whatever page shows one takes it from here."""
    return _verdict(chosen.home(), tuple(ids), band)


def say_what_folds_answer(runs: Sequence[Run]) -> None:
    """Which question accuracies over folds answer, and whose are not among them; nothing where there are none."""
    said = question_of(next((run.settings.data.folds for run in runs if run.settings.data.folds), None))
    if said:
        st.caption(f":material/splitscreen: {said}")
    for sentence in incomplete_seeds([run.settings for run in runs]):
        st.warning(sentence, icon=":material/splitscreen:")
