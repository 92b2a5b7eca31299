"""The grammar of every result: conclusion, one line of numbers, the next action; what it rests on stands below."""

import re
from collections.abc import Callable, Sequence
from typing import Final

import streamlit as st

from core.comparison.conclusion import Conclusion, Grade, conclusion_of
from core.comparison.experiments import experiment_key
from core.comparison.race_verdict import RaceVerdict
from core.comparison.wording import counted
from core.errors import ThawError
from core.runs.experiments import Experiment, experiments_of, paired
from core.runs.race import run_more_seeds
from core.runs.record import is_recorded
from core.runs.store import ACTIVE, Run

from .disagreements import show_disagreements
from .messages import LONGEST_MESSAGE, md, show_error
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


def show_conclusion(verdict: RaceVerdict, runs: Sequence[Run], key: str, *links: Link, about: str = "") -> Conclusion:
    """The conclusion over finished runs, its numbers in one line, and what to do next.

    Args:
        links: drawn beside the buttons: further steps that only this page offers.
        about: whose pictures it is about, where the page says it nowhere else.
    """
    found = conclusion_of(verdict)
    word, icon, colour = GRADES[found.grade]
    word = f"first place: {word}" if len(verdict.arms) > 2 else word  # of others more may be known
    with st.container(border=True, key=f"{key}.conclusion"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(word, icon=icon, color=colour)
            if about:
                st.caption(md(about), width="content")
        st.header(md(found.headline, LONGEST_MESSAGE), anchor=False)
        st.markdown(_in_lines(found.numbers))
        if found.advice:
            st.caption(md(found.advice, LONGEST_MESSAGE))
        for sentence in verdict.lacks:
            st.caption(f":material/warning: {md(sentence, LONGEST_MESSAGE)}")
        with st.container(horizontal=True, vertical_alignment="center"):
            _next_actions(found, {arm.experiment: arm.label for arm in verdict.arms}, experiments_of(runs), key)
            for link in links:
                link()
    return found


def _in_lines(numbers: str) -> str:
    """Literal; each of more than two accuracies has its own line, and so has what is common; intervals stay whole."""
    kept = re.sub(r"\([^()]*\)", lambda found: found[0].replace(" ", "\u00a0"), numbers)
    first, *others = kept.split("; ")
    *middle, last = others or [""]
    lines = [*first.split(": ", 1), *middle, *last.rsplit(" · ", 1)] if middle else [kept]
    return "  \n".join(md(line, LONGEST_MESSAGE) for line in lines)


def _next_actions(found: Conclusion, labels: dict[str, str], experiments: Sequence[Experiment], key: str) -> None:
    """What would settle it, the evidence one can see, and the use of the best one."""
    if any(is_recorded(run.id) for one in experiments for run in one.runs):
        return  # neither pictures nor weights are here
    _more_seeds(found.more_seeds, experiments, key)
    by_key = {one.key: one for one in experiments}
    pairs = paired(by_key[found.best], by_key[found.runner_up]) if found.runner_up else []
    if pairs and st.button("See the pictures they disagree on", icon=":material/compare:", key=f"{key}.disagreements"):
        show_disagreements(pairs[0], (labels[found.best], labels[found.runner_up]))
    best = by_key[found.best].best_on_val
    if best is not None:
        st.page_link(
            "classify.py",
            label=f"Classify with {md(labels[found.best], 40)}",
            icon=":material/image_search:",
            query_params={"run": best.id},
        )


def _more_seeds(wanted: int, experiments: Sequence[Experiment], key: str) -> None:
    """A button that runs them; while runs of these experiments or of their race are on their way, a link to those."""
    keys, races = {one.key for one in experiments}, {run.race for one in experiments for run in one.runs if run.race}
    active = run_store().runs(states=ACTIVE)
    waiting = [run for run in active if run.race in races or experiment_key(run.settings) in keys]
    if waiting:
        st.page_link("home.py", label=f"{counted(len(waiting), 'more run')} on the way", icon=":material/autorenew:")
        return
    label = f"Run {counted(wanted, 'more seed')}"
    if wanted and st.button(label, type="primary", icon=":material/playlist_add:", key=f"{key}.more"):
        _run_more(experiments, wanted)


def _run_more(experiments: Sequence[Experiment], wanted: int) -> None:
    """Until all have so many more seeds in common; what only some have is made up for first."""
    seeds = [{*one.seeds} for one in experiments]
    fresh = len(set.intersection(*seeds)) + wanted - len(set.union(*seeds))
    try:
        run_more_seeds(run_store(), experiments, max(fresh, 0))
    except ThawError as error:
        show_error(error)
        return
    st.rerun()
