"""Why an answer was given: the model input, a heat map of what spoke for it, and the nearest training pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import streamlit as st

from core.comparison.wording import per_cent
from core.data.dataset import Dataset
from core.errors import ThawError
from core.runs.record import RunRecord

from .. import chosen
from ..help import with_term
from ..messages import LONGEST_MESSAGE, md, plain
from ..resources import known, predictor, stored_dataset, thumbnail
from .answers import Answer, InputPicture, pixels_of

NEAREST: Final = 3
_KINDS: Final = {
    "input": "Model input",
    "heat": "Heat map",
    "nearest": "Nearest training pictures",
    "influence": "What speaks for it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanations:
    """What is shown with each answer beside the answer."""

    input: bool = False
    heat: bool = False
    nearest: bool = False
    influence: bool = False

    def __bool__(self) -> bool:
        return self.input or self.heat or self.nearest or self.influence


def wanted_explanations() -> Explanations:
    """The choice; nothing is computed that was not asked for."""
    kinds = st.pills(
        "Reasons",
        list(_KINDS),
        selection_mode="multi",
        default=["heat", "nearest"],
        format_func=_KINDS.__getitem__,
        key="classify.explanations",
        help=with_term("Computed for the pictures that are shown.", "Heat map", "Nearest neighbours", "Influence"),
        label_visibility="collapsed",
        persist_state="session",
        wrap=True,
    )
    return Explanations(**dict.fromkeys(kinds, True))


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


def show_explanations(wanted: Explanations, answer: Answer, records: Sequence[RunRecord]) -> None:
    """Whatever was asked for, a column for each run."""
    names = records[0].dataset.class_names
    target = names[int(answer.probabilities[0].argmax())]
    if wanted.heat:
        st.markdown(f"Why **{md(target, 40)}**?")
    try:
        maps = _maps(answer, records, target) if wanted.heat else [None] * len(records)
        scale = max((float(np.abs(heat).max()) for heat in maps if heat is not None), default=0.0)
        columns = st.grid(max(2, len(records)), min_column_width=130)
        for place, record in enumerate(records):
            with columns.cell(), st.container(gap="xsmall"):
                _show_of_run(wanted, answer, record, place, maps[place], scale)
    except ThawError as error:
        st.caption(md(str(error), LONGEST_MESSAGE))


def _show_of_run(
    wanted: Explanations, answer: Answer, record: RunRecord, place: int, heat: np.ndarray | None, scale: float
) -> None:
    home, run_id = chosen.home(), record.run
    if wanted.input:
        side = record.preprocessing.image_size
        seen = _model_input(home, run_id, answer.picture.content, answer.picture)
        st.image(seen, width="stretch", alt=f"{plain(answer.picture.name)} as the model input")
        st.caption(f"model input: {side} x {side} pixels")
    if heat is not None:
        from core.inference.explain import overlay

        seen = _model_input(home, run_id, answer.picture.content, answer.picture)
        st.image(overlay(seen, heat, scale), width="stretch", alt=f"Heat map of {plain(answer.picture.name)}")
    elif wanted.heat:
        st.caption("does not know this class")
    if wanted.nearest:
        _show_nearest(answer, record, place)
    if wanted.influence:
        _show_influence(answer, record, place)


def _show_nearest(answer: Answer, record: RunRecord, place: int) -> None:
    from core.inference.evidence import nearest_neighbours

    home = chosen.home()
    reference = known(home, record.run).train
    dataset = stored_dataset(home, record.dataset.id)
    found = nearest_neighbours(reference, answer.features[place], NEAREST)
    st.caption("most like, of what it learnt from:")
    _training_pictures(dataset, [(one.picture, f"{one.similarity:.2f}") for one in found])
    if len(reference.pictures) < reference.of:
        st.caption(f"of {len(reference.pictures):,} training pictures, spread over all {reference.of:,}")


def _show_influence(answer: Answer, record: RunRecord, place: int) -> None:
    """Under a wrong answer these are whose fault it is: a wrong label, or pictures that share the wrong thing."""
    from core.inference.influence import speaking_for

    home = chosen.home()
    dataset, reference = stored_dataset(home, record.dataset.id), known(home, record.run).train
    said = int(answer.probabilities[place].argmax())
    found = speaking_for(predictor(home, record.run), dataset, reference, answer.features[place], said, NEAREST)
    st.caption(f"of what it learnt from, these speak most for {md(record.dataset.class_names[said], 40)}:")
    _training_pictures(dataset, [(one.picture, per_cent(one.share)) for one in found])


def _training_pictures(dataset: Dataset, found: Sequence[tuple[int, str]]) -> None:
    """Small pictures with their class, each with a word about it."""
    with st.container(horizontal=True, gap="xsmall"):
        for index, said in found:
            picture = dataset.pictures[index]
            name = dataset.class_names[picture.target]
            with st.container(width=72, gap="xxsmall"):
                st.image(thumbnail(chosen.home(), dataset.id, index), width=72, alt=plain(picture.name))
                st.caption(f"{md(name, 20)} {md(said)}")


def _maps(answer: Answer, records: Sequence[RunRecord], target: str) -> list[np.ndarray | None]:
    home, asked = chosen.home(), answer.picture
    known_classes = [(record.run, record.dataset.class_names) for record in records]
    return [
        _heat(home, run_id, asked.content, names.index(target), asked) if target in names else None
        for run_id, names in known_classes
    ]


@st.cache_data(max_entries=100, scope="session", show_spinner=False)  # 200 kB each at 224 px
def _heat(home: str, run_id: str, content: str, class_index: int, _picture: InputPicture) -> np.ndarray:
    from core.inference.explain import heat_map

    return heat_map(predictor(home, run_id), pixels_of(home, _picture), class_index)


@st.cache_data(max_entries=100, scope="session", show_spinner=False)
def _model_input(home: str, run_id: str, content: str, _picture: InputPicture) -> np.ndarray:
    """(S, S, 3) uint8."""
    return predictor(home, run_id).input_of(pixels_of(home, _picture)).permute(1, 2, 0).contiguous().numpy()
