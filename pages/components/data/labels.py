"""Pictures that may be mislabelled: what the label says, what a network says, and what a person decides."""

from collections.abc import Mapping, Sequence
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.comparison.wording import counted, per_cent, said_probability
from core.data.dataset import Dataset
from core.data.edit import mend_labels
from core.data.labels import (
    LabelCheck,
    Suspect,
    ask_again,
    check_settings,
    keep_labels,
    kept_suspects,
    load_check,
    open_suspects,
    save_check,
)
from core.errors import DatasetError, ThawError
from core.settings.schema import RunSettings
from core.training.history import Progress

from .. import chosen
from ..help import with_term
from ..messages import md, plain, show_error, whole_numbers
from ..planning import estimate_run
from ..resources import thumbnail
from ..suspects import OPEN
from ..wording import PHASES, backbone_label, seconds
from .undo import change

SHOWN: Final = 12
_NEXT: Final = "next"
"""In the place of an id: the data set that an edit makes stays open at these pictures."""
DECISIONS: Final = {"relabel": "Relabel", "keep": "Keep", "drop": "Drop"}
_HELP: Final = (
    "A network is asked about each picture after it has learnt from others only. Suspected is what it takes for "
    "another class as confidently as that class's own pictures (confident learning, Northcutt et al. 2021)."
)


def labels(dataset: Dataset) -> None:
    """What a check of the labels has found, with the decisions; or the button that makes one."""
    check, found = load_check(dataset), open_suspects(dataset)
    if check is None:
        _offer(dataset, "Check labels")
        return
    if not found:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(":material/check_circle: No label looks wrong.", width="content", help=_said_of(check))
            _kept(dataset)
        return
    if st.session_state.get(OPEN) == _NEXT:
        st.session_state[OPEN] = dataset.id
    opened = st.session_state.get(OPEN) == dataset.id
    label = f":material/label_off: {counted(len(found), 'picture')} may be mislabelled"
    with st.expander(label, expanded=opened, key=f"data.labels.{dataset.id}{'.open' * opened}"):
        _decisions(dataset, found)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(_said_of(check), width="stretch")
            _kept(dataset)
            _offer(dataset, "Check again")


def _said_of(check: LabelCheck) -> str:
    name = backbone_label(check.backbone)
    return f"{_HELP} {name}: accuracy on pictures held out {per_cent(check.accuracy)}, {check.pictures:,} pictures."


def _decisions(dataset: Dataset, found: Sequence[Suspect]) -> None:
    """The surest of them, a choice for each and for all, and the button that does what was chosen."""
    shown = found[:SHOWN]
    keys = {_key(dataset, suspect): suspect for suspect in shown}
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            "All of these:" if len(found) <= SHOWN else f"The first {SHOWN} of {len(found):,}:", width="content"
        )
        for choice, word in DECISIONS.items():
            st.button(word, key=f"data.labels.all.{choice}", on_click=_choose_all, args=(list(keys), choice))
    grid = st.grid(3, min_column_width=300, key="data.labels.pictures")
    for key, suspect in keys.items():
        with grid.cell():
            _card(dataset, suspect, key)
    chosen_now = {key: st.session_state.get(key) for key in keys}
    decided = {keys[key]: choice for key, choice in chosen_now.items() if choice}
    words = f"Apply {counted(len(decided), 'decision')}" if decided else "Apply"
    if st.button(words, type="primary", icon=":material/done_all:", key="data.labels.apply", disabled=not decided):
        _apply(dataset, decided)


def _key(dataset: Dataset, suspect: Suspect) -> str:
    return f"data.label.{dataset.id}.{suspect.picture}"


def _choose_all(keys: Sequence[str], choice: str) -> None:
    st.session_state.update(dict.fromkeys(keys, choice))


def _card(dataset: Dataset, suspect: Suspect, key: str) -> None:
    name = dataset.pictures[suspect.picture].name.rsplit("/", 1)[-1]
    turn = f"{suspect.given} → {suspect.suggested}"
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            picture = thumbnail(chosen.home(), dataset.id, suspect.picture)
            st.image(picture, width=112, alt=f"{plain(name)}, labelled {plain(suspect.given)}")
            with st.container(gap="xxsmall", width=140):
                st.markdown(f"**{md(turn)}**")
                said, given = map(said_probability, (suspect.suggested_probability, suspect.given_probability))
                st.caption(
                    f"{md(suspect.suggested)} {whole_numbers(said)}  \n"
                    f"{md(suspect.given)} {whole_numbers(given)}  \n{md(name)}"
                )
        st.segmented_control(
            f"What to do with {plain(name)}",
            list(DECISIONS),
            format_func=DECISIONS.__getitem__,
            key=key,
            label_visibility="collapsed",
            width="stretch",
        )


def _apply(dataset: Dataset, decided: Mapping[Suspect, str]) -> None:
    """Remember what is kept, and mend the others in one edit, which one Undo takes back."""
    of = {choice: [suspect for suspect, said in decided.items() if said == choice] for choice in DECISIONS}
    try:
        if of["keep"]:
            keep_labels(dataset, [suspect.picture for suspect in of["keep"]])
    except ThawError as error:
        show_error(error)
        return
    if of["relabel"] or of["drop"]:
        st.session_state[OPEN] = _NEXT
        classes = {suspect.picture: suspect.suggested for suspect in of["relabel"]}
        change(lambda: mend_labels(dataset, classes, [suspect.picture for suspect in of["drop"]]))
        return
    st.toast(f"{counted(len(of['keep']), 'label')} kept, and not asked about again.", icon=":material/check:")
    st.rerun()


def _kept(dataset: Dataset) -> None:
    """How many labels were kept, and the way back."""
    kept = len(kept_suspects(dataset))
    if kept and st.button(
        f"Ask again about {kept} kept", type="tertiary", icon=":material/undo:", key="data.labels.ask"
    ):
        ask_again(dataset)
        st.rerun()


def _offer(dataset: Dataset, label: str) -> None:
    """The button that looks through the labels, with how long that takes here."""
    settings = check_settings(dataset, chosen.settings().model.backbone)
    try:
        expected = estimate_run(settings, dataset)
    except DatasetError:  # of one class, say: what is wrong is said elsewhere
        return
    about = f" (about {seconds(expected.seconds)})" if expected else ""
    name = backbone_label(settings.model.backbone)
    if not st.button(
        f"{label}{about}",
        icon=":material/label_off:",
        key="data.labels.check",
        help=with_term(f"Finds pictures that may be mislabelled. {_HELP} It is done by {name}.", "Features"),
    ):
        return
    bar = st.progress(0.0, text="Starting PyTorch")
    st.button("Stop", icon=":material/stop_circle:", key="data.labels.stop")  # any click ends what the script does
    try:
        _look_through(dataset, settings, bar)
    except ThawError as error:
        bar.empty()
        show_error(error)
        return
    st.session_state[OPEN] = dataset.id
    st.rerun()


def _look_through(dataset: Dataset, settings: RunSettings, bar: DeltaGenerator) -> None:
    from core.training.suspects import check_labels  # torch, which takes a moment

    def show(progress: Progress) -> None:
        if progress.phase == "features":
            text = f"Looking at the pictures: {progress.done:,} of {progress.total:,}"
            bar.progress(progress.done / max(1, progress.total), text=text)
        else:
            bar.progress(0.0, text=PHASES.get(progress.phase, progress.phase).capitalize())

    save_check(dataset, check_labels(settings, dataset, on_progress=show))
