"""The machine card: what this computer is, how fast it was measured to be, and what Thaw chose because of that."""

import pandas as pd
import streamlit as st

from core.comparison.wording import counted
from core.machine.devices import Device, devices
from core.machine.facts import this_machine
from core.machine.process import PLAIN, tricks_wanted
from core.machine.speeds import WORKS, Engine, Speeds, load_peaks, load_speeds
from core.models.catalogue import BACKBONES

from ..messages import md

WORK_LABELS = {
    "forward": "forward, for features",
    "train-kept": "training, statistics kept",
    "train-adapted": "training, statistics adapted",
}

ENGINE_LABELS: dict[Engine, str] = {"torch": "torch", "onnxruntime": "ONNX Runtime"}


def _against(speeds: Speeds) -> str:
    """What the engine that was not chosen did, where there is one."""
    other: Engine = "torch" if speeds.engine == "onnxruntime" else "onnxruntime"
    return f" ({ENGINE_LABELS[other]}: {speeds.engines[other]:.0f})" if other in speeds.engines else ""


def machine_card(backbone: str) -> None:
    """One line, and behind it what was measured; not here, but by the worker while nothing trains."""
    speeds, peaks = load_speeds(backbone), load_peaks()
    with st.popover(md(str(this_machine())), icon=":material/memory:", type="tertiary", key="machine.card"):
        if not tricks_wanted():
            st.caption(PLAIN)
        if peaks is not None:
            st.markdown("**What it can do at best**")
            best = [{"what": what, "at best": value} for what, value in peaks.rows()]
            st.dataframe(pd.DataFrame(best), hide_index=True, key="machine.peaks", alt="Measured peaks of this machine")
        if speeds is None:
            st.caption(f"{BACKBONES[backbone].label} has not been timed here yet: that is done when nothing trains.")
            return
        st.markdown(f"**{BACKBONES[backbone].label}, pictures per second**")
        st.dataframe(_table(speeds), hide_index=True, key="machine.speeds", alt="Measured speeds of this backbone")
        st.caption(
            f"{counted(speeds.threads, 'thread')}; forward passes in fp32 by {ENGINE_LABELS[speeds.engine]}"
            f"{_against(speeds)}. "
            "Timed here with random pictures while nothing trained; `python -m core machine --again` does it anew. "
            "The test part is always computed in fp32."
        )
        for card in devices()[:-1]:
            _card_speeds(backbone, card)


def _card_speeds(backbone: str, card: Device) -> None:
    """What was measured on a graphics card."""
    st.markdown(f"**{md(str(card))}**")
    speeds = load_speeds(backbone, card.kind)
    if speeds is None:
        st.caption("Not timed yet: that is done when nothing trains. Until then it is taken for the faster one.")
        return
    alt = "Measured speeds of this backbone on the graphics card"
    st.dataframe(_table(speeds), hide_index=True, key=f"machine.speeds.{card.kind}", alt=alt)


def _table(speeds: Speeds) -> pd.DataFrame:
    """A row for each kind of work."""
    rows = [
        {"work": WORK_LABELS[work]}
        | {precision: round(rate) for precision, rate in speeds.by_precision(work).items()}
        | {"chosen": speeds.precision(work)}
        for work in WORKS
    ]
    return pd.DataFrame(rows)
