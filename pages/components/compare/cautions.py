"""What a reader of a comparison must know before believing it."""

from collections.abc import Sequence

import streamlit as st

from core.comparison.selection import best_of
from core.comparison.wording import points
from core.runs.record import is_recorded
from core.runs.store import Run

from .. import chosen
from ..cards import record
from ..messages import md
from ..resources import run_outcome, run_store
from ..wording import counted, run_label


def cautions(runs: Sequence[Run]) -> None:
    """What a reader must know before believing: picked on the test part, looked at often, in ImageNet, recorded."""
    best = best_of([run_outcome(chosen.home(), run.id) for run in runs])
    if best is not None:
        place, optimism = best
        st.caption(
            f":material/warning: **Optimistic:** {md(run_label(runs[place]))} is the highest of {len(runs)} runs on "
            "the very pictures it is reported on. Being picked for it makes its accuracy look about "
            f"{points(optimism)} too high. Choose by validation accuracy, or by the conclusion."
        )
    tested = max(run_store().evaluations(record(run).test_part) for run in runs)
    if tested > 1:
        st.caption(
            f":material/visibility: {counted(tested, 'run')} tested on these test pictures so far, each once. The more "
            "one looks and chooses, the less they are unseen."
        )
    imagenet_notice(runs)
    if any(is_recorded(run.id) for run in runs):
        st.caption(
            ":material/inventory_2: Recorded runs ship with Thaw: we trained them on the tutorial's photos. Settings "
            "and numbers are here, pictures and weights are not."
        )


def imagenet_notice(runs: Sequence[Run]) -> None:
    """The tutorial's ants and bees are pictures that an ImageNet network has seen: said wherever it may be so."""
    results = [record(run) for run in runs]
    photos = any({"ants", "bees"} == set(r.dataset.class_names) and r.dataset.kind != "builtin" for r in results)
    if photos and any(r.settings.model.start == "imagenet" for r in results):
        st.caption(
            ":material/info: The ants and bees of PyTorch's tutorial are a small subset of ImageNet: networks with "
            "ImageNet weights may have seen these very pictures. On your own pictures expect less."
        )
