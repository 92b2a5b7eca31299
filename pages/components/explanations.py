"""Why an answer was given: what the network received, where it found its reasons, what it has learnt from like it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import streamlit as st

from core.errors import ThawError
from core.runs.store import Run

from . import chosen
from .answers import Answer, Asked, pixels_of
from .messages import LONGEST_MESSAGE, md, plain
from .resources import predictor, run_memory, run_record, stored_dataset, thumbnail

NEAREST: Final = 3
_WAYS: Final = {
    "received": "What the network received",
    "heat": "Heat map",
    "nearest": "Nearest training pictures",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is shown with each answer beside the answer."""

    received: bool = False
    heat: bool = False
    nearest: bool = False

    def __bool__(self) -> bool:
        return self.received or self.heat or self.nearest


def wanted_whys() -> Wanted:
    """The choice; nothing is computed that was not asked for."""
    ways = st.pills(
        "With each answer",
        list(_WAYS),
        selection_mode="multi",
        format_func=_WAYS.__getitem__,
        key="classify.whys",
        persist_state="session",
    )
    return Wanted(**dict.fromkeys(ways, True))


def show_legend(runs: int) -> None:
    """How a heat map is read."""
    from core.inference.explain import legend

    scale = "Both networks of a card share one scale" if runs > 1 else "Each picture has its own scale"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("against", width="content")
        st.image(legend(), width=160, alt="Colours of the heat map, from against to for")
        st.caption("for", width="content")
    st.caption(
        f"Orange speaks for the class above the map, blue against it, grey for neither. {scale}. A map shows what this "
        "network reacted to, on a coarse grid; it does not prove that the reason is a good one."
    )


def draw_whys(wanted: Wanted, answer: Answer, runs: Sequence[Run], class_names: Sequence[Sequence[str]]) -> None:
    """Whatever was asked for, a column for each run."""
    target = class_names[0][int(answer.probabilities[0].argmax())]
    if wanted.heat:
        st.caption(f"Why **{md(target, 40)}**?")
    try:
        maps = _maps(answer, runs, class_names, target) if wanted.heat else [None] * len(runs)
        scale = max((float(np.abs(heat).max()) for heat in maps if heat is not None), default=0.0)
        columns = st.grid(len(runs), min_column_width=130)
        for place, run in enumerate(runs):
            with columns.cell(), st.container(gap="xsmall"):
                _draw_one(wanted, answer, run, place, maps[place], scale)
    except ThawError as error:
        st.caption(md(str(error), LONGEST_MESSAGE))


def _draw_one(wanted: Wanted, answer: Answer, run: Run, place: int, heat: np.ndarray | None, scale: float) -> None:
    home = chosen.home()
    if wanted.received:
        side = run_record(home, run.id).preprocessing.image_size
        received = _received(home, run.id, answer.asked.content, answer.asked)
        st.image(received, width="stretch", alt=f"{plain(answer.asked.name)} as the network received it")
        st.caption(f"received: {side} x {side} pixels")
    if heat is not None:
        from core.inference.explain import overlay

        received = _received(home, run.id, answer.asked.content, answer.asked)
        st.image(overlay(received, heat, scale), width="stretch", alt=f"Heat map of {plain(answer.asked.name)}")
    elif wanted.heat:
        st.caption("does not know this class")
    if wanted.nearest:
        _draw_nearest(answer, run, place)


def _draw_nearest(answer: Answer, run: Run, place: int) -> None:
    from core.inference.evidence import nearest

    home = chosen.home()
    memory = run_memory(home, run.id, "train")
    dataset = stored_dataset(home, run_record(home, run.id).dataset.id)
    st.caption("most like, of what it learnt from:")
    with st.container(horizontal=True, gap="xsmall"):
        for neighbour in nearest(memory, answer.features[place], NEAREST):
            picture = dataset.pictures[neighbour.picture]
            name = dataset.class_names[picture.target]
            with st.container(width=72, gap="xxsmall"):
                st.image(thumbnail(home, dataset.id, neighbour.picture), width=72, alt=plain(picture.name))
                st.caption(f"{md(name, 20)} {neighbour.similarity:.2f}")
    if len(memory.pictures) < memory.of:
        st.caption(f"of {len(memory.pictures):,} training pictures, spread over all {memory.of:,}")


def _maps(
    answer: Answer, runs: Sequence[Run], class_names: Sequence[Sequence[str]], target: str
) -> list[np.ndarray | None]:
    home, asked = chosen.home(), answer.asked
    return [
        _heat(home, run.id, asked.content, names.index(target), asked) if target in names else None
        for run, names in zip(runs, map(list, class_names), strict=True)
    ]


@st.cache_data(max_entries=100, scope="session", show_spinner=False)  # 200 kB each at 224 px
def _heat(home: str, run_id: str, content: str, class_index: int, _asked: Asked) -> np.ndarray:
    from core.inference.explain import heat_map

    return heat_map(predictor(home, run_id), pixels_of(home, _asked), class_index)


@st.cache_data(max_entries=100, scope="session", show_spinner=False)
def _received(home: str, run_id: str, content: str, _asked: Asked) -> np.ndarray:
    """(S, S, 3) uint8."""
    return predictor(home, run_id).input_of(pixels_of(home, _asked)).permute(1, 2, 0).contiguous().numpy()
