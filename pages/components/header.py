"""The header of every page: share, glossary, projector; and what is at work, with the only Stop there is."""

from typing import Final

import streamlit as st

from core.comparison.wording import counted
from core.runs.line import Line
from core.runs.store import ACTIVE
from core.training.history import NOTHING_YET

from . import visitor
from .addressed import say_what_is_gone
from .frame import framed
from .help import glossary_popover
from .messages import md
from .progress import TICK_S, stage_words, tick_s
from .projector import projector_switch
from .queue import Ahead, ahead, mates_of, name_of, stop, tell_what_changed, watched_at, where_they_train
from .resources import heal, run_store
from .sharing import share
from .wording import rough_time

# The tools share the title's line; what is at work stays in sight, and Streamlit's own Stop, of a page that is being
# drawn, is not mistaken for ours; on a phone, tools are their icons.
_STYLE: Final = """<style>
.st-key-header { position: relative; top: 1.1rem; margin-bottom: -3.5rem; z-index: 20; pointer-events: none; }
.st-key-header > * { pointer-events: auto; }
.st-key-header button { color: inherit; }
[data-testid=stLayoutWrapper]:has(> .st-key-work) { position: sticky; top: 3.75rem; z-index: 30; }
.st-key-work { backdrop-filter: blur(14px); padding: 0.25rem 0.75rem; }
[data-testid=stStatusWidget] button { display: none; }
[class*=st-key-entry-] h3 { font-size: 1.125rem; scroll-margin-top: 5rem; }
@media (max-width: 640px) {
  .st-key-header [data-testid=stMarkdownContainer] p { font-size: 0; }
  .st-key-header-projector { display: none; }
}
</style>"""


def header(page: str) -> None:
    """Draw it.

    Args:
        page: the page's last part in the address; empty for Home.
    """
    st.html(_STYLE)
    _work(page)
    say_what_is_gone()
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="header"):
        share("header.share")
        glossary_popover(page or "home", "header.glossary")
        with st.container(width="content", key="header-projector"):
            projector_switch()


def _work(page: str) -> None:
    """The status chip, as long as anything trains or waits."""
    store = run_store()
    watching = bool(store.runs(states=ACTIVE, limit=1))

    @st.fragment(run_every=tick_s(2 * TICK_S) if watching else None)
    @framed
    def chip() -> None:
        heal()
        runs = store.runs(states=ACTIVE)
        if watching and not runs:
            st.rerun()
        tell_what_changed(runs)
        if runs:
            _chip(ahead(runs), page)

    chip()


def _chip(work: Ahead, page: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", border=True, key="work", gap="small", wrap=False):
        st.markdown(_words(work), width="stretch")
        place, address = watched_at(work.first)
        here = st.query_params.get(next(iter(address)))
        if f"{page or 'home'}.py" != place or here not in (None, *address.values()):
            st.page_link(place, label="View", icon=":material/visibility:", query_params=address)
        mates = mates_of(work.first, work.runs)
        what = f"The race: {len(mates)} runs. " if len(mates) > 1 else ""
        if st.button(
            "Stop",
            icon=":material/stop_circle:",
            key="header.stop",
            type="tertiary",
            disabled=work.first.cancel,
            help=f"{what}Ends within seconds, keeps nothing of it, and can be started again.",
        ):
            stop(mates)
            st.rerun()


def _words(work: Ahead) -> str:
    """`Fine-tuned, seed 1 · 62 % · about 3 min left, 4 waiting`."""
    run, several = work.first, where_they_train(work.runs)
    waiting = sum(other.state == "queued" for other in work.runs if other.id != run.id)
    icon = ":material/autorenew:" if run.state == "running" else ":material/hourglass_empty:"
    progress = run.progress or NOTHING_YET
    stage = stage_words(run) if run.cancel or progress.fraction < 0.01 else f"{100 * progress.fraction:.0f} %"
    line = visitor.line()
    others = line.seconds if line else 0.0
    known = work.seconds is not None and others is not None
    left = f"{rough_time((work.seconds or 0.0) + (others or 0.0))} left" if known else ""
    parts = (left, f"{waiting} waiting" if waiting else "", _before(line))
    queue = ", ".join(part for part in parts if part)
    what = (several,) if several else (f"**{md(name_of(run))}**", stage)
    return f"{icon} " + " · ".join(part for part in (*what, queue) if part)


def _before(line: Line | None) -> str:
    """Where others share the server: "2 runs of others first"."""
    count = line.first if line else 0
    return f"{counted(count, 'run')} of others first" if count else ""
