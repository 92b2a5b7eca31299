"""What a race says, on whatever page: the conclusion, every pair in one plot, chances, and words."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from core.comparison.folds import gather_folds, incomplete_seeds, question_of
from core.comparison.race_verdict import RaceVerdict, race_verdict
from core.comparison.verdict import BAND
from core.comparison.wording import p_value, points
from core.runs.store import Run

from . import chosen
from .messages import LONGEST_MESSAGE, md
from .resources import run_outcome, run_store
from .verdict_charts import chances, forest
from .wording import BadgeColor

_OUTCOMES: Final[dict[str, tuple[str, str, BadgeColor]]] = {
    "a-better": ("{a} is better", ":material/trophy:", "green"),
    "b-better": ("{b} is better", ":material/trophy:", "green"),
    "same": ("Practically the same", ":material/equal:", "blue"),
    "cannot-tell": ("Cannot tell", ":material/help:", "gray"),
    "not-comparable": ("Not comparable", ":material/block:", "red"),
}


def differences_and_chances(verdict: RaceVerdict, key: str) -> None:
    """Every pair in one plot, and how probable it is which one is better."""
    shown = [pair for pair in verdict.pairs if pair.gap is not None]
    if not shown:
        st.caption("No two of these can be compared.")
        return
    st.plotly_chart(
        forest(shown, verdict.band), key=f"{key}.forest", alt="Differences in test accuracy with their intervals"
    )
    tests = max(pair.tests for pair in shown)
    several = f" Intervals are each pair's own; the conclusion counts all {tests}." if tests > 1 else ""
    st.caption(
        f"Grey: practically the same, within {points(verdict.band)}. A filled diamond: one is better. A circle is "
        f"a seed.{several}"
    )
    likely = [pair for pair in shown if pair.chances is not None]
    if likely:
        st.markdown("**How probable is which?**")
        st.plotly_chart(chances(likely, verdict.band), key=f"{key}.chances", alt="Chances that one is better")


def pairs_in_words(verdict: RaceVerdict) -> None:
    """Of each pair its outcome by the rules, with p and interval, and which one trained faster."""
    for pair in verdict.pairs:
        badge(pair.outcome, pair.label_a, pair.label_b)
        st.markdown(md(f"{pair.sentence} {pair.speed}".strip(), LONGEST_MESSAGE))
    if verdict.cochran_p is not None:
        st.caption(f"All {len(verdict.arms)} together: {p_value(verdict.cochran_p)} (Cochran's Q).")


def badge(outcome: str, a: str, b: str) -> None:
    word, icon, colour = _OUTCOMES[outcome]
    st.badge(word.format(a=md(a), b=md(b)), icon=icon, color=colour)


@st.cache_data(max_entries=50, show_spinner=False)
def _verdict(home: str, ids: tuple[str, ...], band: float, names: dict[str, str]) -> RaceVerdict:
    outcomes = [run_outcome(home, run_id) for run_id in ids]
    return race_verdict(gather_folds(outcomes) if len(outcomes) > 1 else outcomes, band, names)


def race_verdict_of(ids: Sequence[str], band: float = BAND) -> RaceVerdict:
    """The verdict over finished runs, with every accuracy: whatever page shows one takes it from here."""
    return _verdict(chosen.home(), tuple(ids), band, run_store().names())


def say_what_folds_answer(runs: Sequence[Run]) -> None:
    """Which question accuracies over folds answer, and whose are not among them; nothing where there are none."""
    said = question_of(next((run.settings.data.folds for run in runs if run.settings.data.folds), None))
    if said:
        st.caption(f":material/splitscreen: {said}")
    for sentence in incomplete_seeds([run.settings for run in runs]):
        st.warning(sentence, icon=":material/splitscreen:")
