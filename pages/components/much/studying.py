"""Studies on the page: the button that starts one with what it takes, how it goes on, and what stopped it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from core.advice.plans import can_thaw
from core.comparison.wording import counted
from core.data.dataset import Dataset
from core.errors import ThawError
from core.models.catalogue import get_backbone, not_offered
from core.runs.studies import Kind, Study, estimate_study, start_study, studies
from core.settings.schema import RunSettings
from core.training.plan import Estimate

from .. import chosen
from ..messages import LONGEST_MESSAGE, md, show_error
from ..planning import start_again, stopped_for_good
from ..progress import explain_end, live
from ..resources import run_store, stored_dataset
from ..wording import rough_time


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A question of the page that stands below the advice."""

    kind: Kind | None
    """Of the studies that answer it; None where it takes none."""
    title: str
    icon: str
    draw: Callable[[Dataset, RunSettings], None]
    thaws: bool = False
    """Whether it trains more than a head, which not every backbone is offered for."""


def folded(section: Section, dataset: Dataset, settings: RunSettings) -> None:
    """A section, open where it is at work or was opened; drawn only then."""
    known = latest(section.kind, dataset, settings) if section.kind else None
    working = known is not None and known.is_active
    key = f"much.section.{section.title}{'.working' if working else ''}"
    shown = st.expander(section.title, expanded=working, icon=section.icon, key=key, on_change="rerun")
    if shown.open:
        with shown:
            if section.thaws and not can_thaw(settings):
                st.markdown(md(not_offered(get_backbone(settings.model.backbone)), LONGEST_MESSAGE))
                return
            section.draw(dataset, settings)


def latest(kind: Kind, dataset: Dataset, settings: RunSettings) -> Study | None:
    """The newest study of these pictures and this backbone."""
    return next(iter(studies(run_store(), kind, dataset.id, settings.model.backbone)), None)


def offer(
    kind: Kind,
    label: str,
    plans: Sequence[RunSettings],
    dataset: Dataset,
    about: int | None = None,
    *,
    primary: bool = True,
) -> None:
    """The button that queues these runs, with their number and how long they take together."""
    expected = _expected(chosen.home(), dataset.id, kind, tuple(plans))
    st.button(
        f"{label} ({rough_time(expected.seconds)})" if expected else label,
        type="primary" if primary else "secondary",
        icon=":material/play_arrow:",
        key=f"much.{kind}.start",
        on_click=_start,
        args=(kind, plans, dataset, about),
    )
    runs = f"{len(plans)} runs" if len(plans) > 1 else "1 run"
    rough = ", very roughly" if expected and not expected.measured else ""
    st.caption(runs + rough if expected else f"{runs}; no time known before this machine is timed", width="content")


@st.cache_data(max_entries=100, ttl=60, show_spinner=False)
def _expected(home: str, dataset_id: str, kind: Kind, plans: tuple[RunSettings, ...]) -> Estimate | None:
    return estimate_study(kind, plans, stored_dataset(home, dataset_id))


def _start(kind: Kind, plans: Sequence[RunSettings], dataset: Dataset, about: int | None) -> None:
    """Before the page is drawn again, so that the next thing it shows is the study at work."""
    try:
        start_study(run_store(), kind, plans, dataset, about)
    except ThawError as error:
        show_error(error)


def link_to_runs(study: Study) -> None:
    """The way to a study's runs: other pages list only those that were started there."""
    runs = ",".join(run.id for run in study.finished)
    st.page_link("compare.py", label="Compare in detail", icon=":material/balance:", query_params={"runs": runs})


def show_progress(study: Study, key: str) -> bool:
    """How it goes on; or why it did not end well, and the way back.

    Returns:
        Whether it can be gone on with, so that a new one is not what comes next.
    """
    if study.is_active:
        live([run.id for run in study.runs], key)
        return True
    for run in [run for run in study.runs if run.state == "failed"][:1]:
        explain_end(run)
    stopped = stopped_for_good(study.runs)
    if stopped:
        done = counted(len(study.finished), "run")
        st.info(f"Stopped with {done} of {len(study.runs)} finished.", icon=":material/stop_circle:")
        start_again(stopped, f"{key}.again")  # several studies of a page may have been stopped
    return bool(stopped)
