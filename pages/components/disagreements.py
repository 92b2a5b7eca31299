"""The pictures on which two trained models differ, in a window of their own."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.comparison.pictures import PictureKey, common, right_table
from core.runs.store import Run

from . import chosen
from .messages import md
from .predictions import sample_pictures
from .resources import run_outcome

SHOWN = 12


@st.dialog("Pictures they disagree on", width="large")
def show_disagreements(runs: tuple[Run, Run], names: tuple[str, str]) -> None:
    """Test pictures that only one of two runs gets right, with what both say.

    Args:
        names: what the two are called.
    """
    tested = [run_outcome(chosen.home(), run.id).tested for run in runs]
    keys = common(tested)
    right = right_table(tested, keys)
    seed = f"With seed {runs[0].settings.seed}, of {len(keys):,} test pictures."
    if not (right[:, 0] != right[:, 1]).any():
        st.markdown(f"{seed} None: both are right on the same pictures.")
        return
    st.caption(seed)
    alike = runs[0].settings.model.scenario == runs[1].settings.model.scenario  # then captions are by letter
    if alike:
        st.markdown(f"**A** is {md(names[0])}, **B** is {md(names[1])}.")
    for place, name in enumerate("AB" if alike else names):
        alone = right[:, place] & ~right[:, 1 - place]
        _pictures(runs, [keys[index] for index in np.flatnonzero(alone)], name, "AB" if alike else "")


def _pictures(runs: Sequence[Run], keys: Sequence[PictureKey], name: str, sides: str) -> None:
    st.markdown(f"**Only {md(name)} is right: {len(keys)}**")
    if keys:
        sample_pictures(runs, SHOWN, f"disagreements.{name}", only=keys, sides=sides)
    if len(keys) > SHOWN:
        st.caption(f"The first {SHOWN}.")
