"""What answers say beside the class: how many others, and what they may not be sure of."""

from dataclasses import dataclass

import streamlit as st

from core.runs.record import RunRecord

from ..help import with_term
from ..kept import keep
from ..messages import md, plain

_MOST_CLASSES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What was chosen."""

    top: int
    """Classes named for each picture."""
    coverage: float
    """Share of pictures whose prediction set is to hold the true class (fraction 0-1)."""
    detect: bool
    """Whether pictures of something else are told as such."""


def choose_options(record: RunRecord) -> Options:
    """The inputs, below what the network knows."""
    names = record.dataset.class_names
    st.markdown("It knows: " + md(", ".join(names), 300))
    st.badge(f"weights: {plain(record.weights.origin)}", icon=":material/network_node:", color="gray")
    most, top = min(_MOST_CLASSES, len(names)), 1
    if most > 1:
        top = st.slider("Classes shown", 1, most, key=keep("classify.top", min(most, 3), range(1, most + 1)))
    coverage = st.slider(
        "Prediction-set coverage",
        50,
        99,
        format="%d %%",
        key=keep("classify.coverage", 90, range(50, 100)),
        help=with_term("How often the true class is to be among those that are named.", "Prediction set"),
    )
    detect = st.toggle(
        "Detect unknown images",
        key=keep("classify.detect", True),
        help=with_term(
            "Compares with the pictures a network learnt from. A fine-tuned network looks at them once for this.",
            "Out-of-distribution",
        ),
    )
    return Options(top=top, coverage=coverage / 100, detect=detect)
