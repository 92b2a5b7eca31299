"""What a conclusion rests on, folded: drawn when it is opened, and kept open by the address."""

from collections.abc import Callable, Sequence
from typing import Final

import streamlit as st

from core.comparison.conclusion import Conclusion
from core.comparison.race_verdict import RaceVerdict
from core.comparison.verdict import BAND
from core.errors import ThawError
from core.runs.experiments import Experiment
from core.runs.store import Run

from ..cards import strategy_cards
from ..help import with_term
from ..kept import LEAST_BAND, WIDEST_BAND, keep, kept
from ..messages import show_error
from ..results import result_charts
from ..verdicts import differences_and_chances, pairs_in_words
from .cautions import cautions
from .models import LINKED, two_models
from .tables import race_scores, side_by_side

PARTS: Final = {
    "differences": ("How large is the difference?", ":material/align_horizontal_center:"),
    "pairs": ("The rules' verdict in words", ":material/format_list_bulleted:"),
    "models": ("Two trained models, picture by picture", ":material/compare:"),
    "seeds": ("Each experiment and its seeds", ":material/stacks:"),
    "curves": ("Learning curves and run time", ":material/show_chart:"),
    "scores": ("Other scores", ":material/balance:"),
    "cautions": ("Before you believe it", ":material/warning:"),
}
"""By name in the address: what it is called, and its icon."""


def chosen_band() -> float:
    """Within what two are practically the same, a fraction: as the control or the address says."""
    return float(kept("compare.band", 100 * BAND)) / 100


def show_evidence(verdict: RaceVerdict, experiments: Sequence[Experiment], found: Conclusion) -> None:
    """Every kind of evidence behind its name."""
    runs = [run for one in experiments for run in one.finished]
    renders: dict[str, Callable[[], None]] = {
        "seeds": lambda: _each(runs),
        "curves": lambda: result_charts(runs, "compare.charts"),
        "cautions": lambda: cautions(runs),
        "models": lambda: two_models(experiments, found, verdict.band),
    }
    if len(verdict.arms) > 1:
        renders |= {"differences": lambda: _differences(verdict), "pairs": lambda: pairs_in_words(verdict)}
    if any(pair.scores for pair in verdict.pairs):
        renders["scores"] = lambda: race_scores(verdict)
    if any(name in st.query_params for name in LINKED):
        st.session_state.setdefault("compare.models", True)
    for name, (label, icon) in PARTS.items():
        if name in renders:
            _show(name, label, icon, renders[name])


def _show(name: str, label: str, icon: str, render: Callable[[], None]) -> None:
    section = st.expander(label, icon=icon, key=f"compare.{name}", on_change="rerun", bind="query-params")
    if not section.open:
        return
    with section:
        try:
            render()
        except ThawError as error:
            show_error(error)


def _each(runs: Sequence[Run]) -> None:
    strategy_cards(runs)
    side_by_side(runs)


def _differences(verdict: RaceVerdict) -> None:
    differences_and_chances(verdict, "compare.race")
    st.number_input(
        "Practically the same within",
        LEAST_BAND,
        WIDEST_BAND,
        step=0.5,
        key=keep("compare.band", 100 * BAND),
        width=220,
        help=with_term("In points of test accuracy, + or -.", "Practically the same"),
    )
