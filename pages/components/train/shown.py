"""The experiment that is shown: where it stands, then its conclusion, then what that rests on."""

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from core.data.dataset import stored_ids
from core.errors import ThawError
from core.runs.experiments import Experiment, comparable_with
from core.runs.store import Run

from ..cards import record, show_lacks
from ..conclusion import show_conclusion
from ..messages import md, show_error
from ..planning import start_again
from ..progress import explain_end
from ..suspects import suspects_line
from ..verdicts import race_verdict_of
from ..wording import age, backbone_label
from .evidence import evidence
from .experiments import set_apart
from .keeping import keeping
from .starting import where_it_stands


def show_experiment(one: Experiment, others: Sequence[Experiment], names: Mapping[str, str]) -> None:
    """All of it.

    Args:
        others: all there are, newest first.
        names: what each is called, by key.
    """
    newest = next((other for other in others if not other.archived), one)
    st.header("Newest experiment" if one is newest else "An earlier experiment", anchor=False)
    if one.is_active:
        where_it_stands(one)
    _of_what(one, names[one.key])
    _how_others_ended(one)
    complete = [run for run in one.finished if run.settings.seed in one.seeds]
    try:
        if complete:
            verdict = race_verdict_of([run.id for run in complete])
            show_conclusion(verdict, complete, "train.result", *_compare_links(one, others, names))
            show_lacks([record(run) for run in complete])
            suspects_line(one.settings.data.dataset, "train.suspects")
        elif one.finished:
            st.caption(f":material/splitscreen: {len(one.finished)} of {one.settings.data.folds} folds have finished.")
        if one.finished:
            evidence(one)
    except ThawError as error:
        show_error(error)
    keeping(one)


def _of_what(one: Experiment, name: str) -> None:
    """Its network, its pictures, what sets it apart, and its age; its note, if it has one."""
    new = one.newest
    gone = "" if one.settings.data.dataset in stored_ids() else ", which are not here any more"
    backbone = backbone_label(one.settings.model.backbone)
    differs = set_apart(one, name)
    parts = [
        f"**{md(one.name)}** · {one.settings.model.row.label}" if one.name else "",
        f"{md(backbone)} on {md(new.dataset_title)}{gone}",
        md(differs),
        age(new.created),
    ]
    st.caption(" · ".join(filter(None, parts)))
    if one.note:
        st.text(one.note)


def _how_others_ended(one: Experiment) -> None:
    """Runs that came to nothing, where no later one did better with the same seed and fold."""
    done = {(run.settings.seed, run.settings.data.fold) for run in one.runs if run.is_active or run.state == "finished"}
    lost: dict[tuple[int, int | None], Run] = {}
    for run in one.runs:
        place = (run.settings.seed, run.settings.data.fold)
        if place not in done:
            lost.setdefault(place, run)
    for run in lost.values():
        explain_end(run)
    start_again(list(lost.values()))


def _compare_links(
    one: Experiment, others: Sequence[Experiment], names: Mapping[str, str]
) -> list[Callable[[], object]]:
    """A way to the newest that this can be compared with."""
    rivals = [other for other in comparable_with([one], others) if other is not one and not other.archived]
    if not rivals:
        return []
    return [
        lambda: st.page_link(
            "compare.py",
            label=f"Compare with {md(names[rivals[0].key], 60)}",
            icon=":material/balance:",
            query_params={"experiments": f"{one.key},{rivals[0].key}"},
        )
    ]
