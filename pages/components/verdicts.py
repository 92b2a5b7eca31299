"""What a race says, on whatever page: the conclusion, every pair in one plot, chances, words, other scores, files."""

import json
from collections.abc import Callable, Sequence
from typing import Final

import pandas as pd
import streamlit as st

from core.comparison.race_report import race_as_csv, race_as_markdown
from core.comparison.race_verdict import RaceVerdict
from core.comparison.wording import points

from .comparison_charts import chances, forest
from .messages import LONGEST_MESSAGE, md

_OUTCOMES: Final = {
    "a-better": ("{a} is better", ":material/trophy:", "green"),
    "b-better": ("{b} is better", ":material/trophy:", "green"),
    "same": ("Practically the same", ":material/equal:", "blue"),
    "cannot-tell": ("Cannot tell", ":material/help:", "gray"),
    "not-comparable": ("Not comparable", ":material/block:", "red"),
}


def race_outcome(verdict: RaceVerdict, key: str) -> None:
    """What a race says: the conclusion, every pair in one plot, chances as bars; sentences and files folded away."""
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


def race_scores(verdict: RaceVerdict) -> None:
    """The same pairs by other scores than accuracy, from three seeds on."""
    rows = [
        {
            "pair": f"{pair.label_a} \u2212 {pair.label_b}",
            "score": score.name,
            "better if": "higher" if score.higher_is_better else "lower",
            "first": score.a,
            "second": score.b,
            "difference": score.estimate.value,
            "95 % from": score.estimate.interval.low,
            "to": score.estimate.interval.high,
        }
        for pair in verdict.pairs
        for score in pair.scores
    ]
    if not rows:
        return
    with st.expander("Balanced accuracy, log-loss and Brier score", icon=":material/balance:"):
        number = st.column_config.NumberColumn(format="%.3f")
        shown = dict.fromkeys(("first", "second", "difference", "95 % from", "to"), number)
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=shown, alt="Pairs by other scores")
        st.caption("Intervals hold for new seeds and new pictures, each by itself. The verdict is about accuracy.")


def race_files(verdict: RaceVerdict) -> None:
    """The race as files: a page of Markdown, a row per pair, and everything as JSON."""
    files: list[tuple[str, str, str, Callable[[], str]]] = [
        ("Race report", "md", "text/markdown", lambda: race_as_markdown(verdict)),
        ("Pairs", "csv", "text/csv", lambda: race_as_csv(verdict)),
        ("Race numbers", "json", "application/json", lambda: json.dumps(verdict.to_dict(), indent=1)),
    ]
    downloads(files, "thaw-race", "compare.race")


def downloads(files: Sequence[tuple[str, str, str, Callable[[], str]]], name: str, key: str) -> None:
    """Buttons for (label, ending, kind, how to write it); written when they are asked for."""
    with st.container(horizontal=True):
        for label, ending, kind, write in files:
            st.download_button(
                label,
                lambda write=write: write().encode("utf-8", "replace"),
                f"{name}.{ending}",
                kind,
                icon=":material/download:",
                key=f"{key}.{ending}",
                on_click="ignore",
            )


def badge(outcome: str, a: str, b: str) -> None:
    word, icon, colour = _OUTCOMES[outcome]
    st.badge(word.format(a=a, b=b), icon=icon, color=colour)  # type: ignore[arg-type]
