"""What a network sees: its first filters, feature maps of three stages for a picture, and patches of one's own."""

import base64
import io
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st
from PIL import Image

from core.data.dataset import Dataset
from core.data.reading.decode import decode_picture
from core.errors import ImageError, ThawError
from core.inference.subject import START, Subject, find_subject
from core.runs.store import Run
from core.settings.schema import ModelSettings

from .. import chosen
from ..brought import say_if_lost
from ..gallery import GalleryItem, gallery
from ..hosting import say_if_uploads_are_refused
from ..kept import keep
from ..messages import md, plain, show_error
from ..resources import run_store, stored_dataset
from .subjects import choose_beside, has_numbers, own_pictures

if TYPE_CHECKING:
    from core.inference.job import Job
    from core.inference.sight import Peaks, Sight, StageMap

LEVELS: Final = ("low", "middle", "high")
CHANNELS: Final = 12
PATCHES: Final = 9
MAX_MEGABYTES: Final = 20
_SIDE: Final = 64
_LOOK_S: Final = 0.3
_STYLE: Final = f"""<style>
[class*=st-key-inside-maps-] button {{ padding: 2px; min-height: 0; }}
[class*=st-key-inside-maps-] button p {{ margin: 0; line-height: 0; }}
[class*=st-key-inside-maps-] button img {{ height: {_SIDE}px; max-height: none; width: auto; border-radius: 3px; }}
</style>"""

Named = tuple[str, ModelSettings, int, str]
"""A subject as caches know it: its name, settings, classes, and what stands in its place (`START`, or nothing)."""


def show_sight(subject: Subject, runs: Sequence[Run], classes: int) -> None:
    """The whole view."""
    if not has_numbers(subject):
        st.caption("A recorded run ships as numbers only: there are no weights here that could look at a picture.")
        return
    try:
        dataset = own_pictures(subject)
        pixels, name = _picture(dataset)
        others = [run for run in runs if run.settings.model.backbone == subject.spec.name]
        beside = choose_beside(subject, others, "Beside it, on one scale", "nothing")
        named = [(subject.name, subject.settings, classes, "")]
        if beside is not None:
            named.append((subject.name if beside.name == START else beside.name, *named[0][1:3], beside.name))
        sights = [_sight(chosen.home(), *one) for one in named]
    except ThawError as error:
        show_error(error)
        return
    if beside is not None:
        st.caption(f"Left: this network. Right: {md(beside.label)}.")
    views = list(zip(*(sight.look(pixels) for sight in sights), strict=True))
    _show_maps(views, sights[0].input_of(pixels), name)
    _show_channel(sights, named, [of_level[0] for of_level in views], dataset)
    _show_filters(sights)


def _picture(dataset: Dataset) -> tuple[np.ndarray, str]:
    """The inputs: one of the data set's pictures, or a file; decoded pixels (H, W, 3) and a name."""
    count = len(dataset.pictures)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.number_input(
            "Picture", 1, count, key=keep("inside.picture", 1, range(1, count + 1)), width=130, help=f"One of {count}."
        )
        st.button(
            "Another picture", icon=":material/shuffle:", key="inside.another", on_click=_another, args=(number, count)
        )
        with st.popover("Your own file", icon=":material/upload:"):
            say_if_uploads_are_refused()
            file = st.file_uploader("A picture", max_upload_size=MAX_MEGABYTES, key="inside.file")
            say_if_lost("inside.file")
    if file is not None:
        return _decoded(file.getvalue(), plain(file.name)), plain(file.name)
    picture = dataset.pictures[number - 1]
    return np.array(dataset.pixels[number - 1]), f"{dataset.class_names[picture.target]}, {plain(picture.name)}"


def _decoded(data: bytes, name: str) -> np.ndarray:
    try:
        return decode_picture(data)
    except ImageError as error:  # it says what is wrong, and not with what
        raise ImageError(f"{name} {error}.") from error


def _another(now: int, count: int) -> None:
    st.session_state["inside.picture"] = 1 + (now + random.randrange(max(1, count - 1))) % count


def _show_maps(views: "Sequence[tuple[StageMap, ...]]", received: np.ndarray, name: str) -> None:
    """The model input, and for each level the channels that respond most strongly to it, each a button."""
    from core.inference.seen import map_picture

    st.html(_STYLE)
    picture, stages = st.columns([1, 5], gap="medium")
    with picture:
        st.image(received, width="stretch", alt=f"Model input: {name}")
        st.caption(md(name))
    with stages:
        for of_level in views:
            view = of_level[0]
            count, side = view.values.shape[:2]
            label = LEVELS[view.level]
            st.markdown(f"**{label.capitalize()}: stage {view.stage + 1}**, {count} channels of {side} x {side}")
            with st.container(key=f"inside-maps-{label}", horizontal=True, gap="xxsmall"):
                for channel in view.strongest(CHANNELS):
                    shown = map_picture([one.values[channel] for one in of_level])
                    st.button(
                        f"![Channel {channel} of the {label} stage](data:image/png;base64,{_png(shown)})",
                        key=f"inside.map.{label}.{channel}",
                        type="primary" if _chosen_channel() == (label, channel) else "secondary",
                        on_click=_choose_channel,
                        args=(label, channel),
                    )
    st.caption(
        "The channels that respond most to this picture: white is strong, black none. Click one for the pictures of "
        "your own that excite it most."
    )


def _chosen_channel() -> tuple[str, int | None]:
    return st.session_state.get("inside.level", ""), st.session_state.get("inside.channel")


def _choose_channel(level: str, channel: int) -> None:
    st.session_state["inside.level"], st.session_state["inside.channel"] = level, channel


def _show_channel(
    sights: "Sequence[Sight]", named: Sequence[Named], views: "Sequence[StageMap]", dataset: Dataset
) -> None:
    """One channel of a stage: the patches that excite it most, of each network."""
    st.header("One channel", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        level = st.segmented_control(
            "Stage", LEVELS, required=True, format_func=str.capitalize, key=keep("inside.level", LEVELS[-1], LEVELS)
        )
        place = LEVELS.index(level)
        most = sights[0].channels[place]
        view = views[place]
        channel = st.number_input(
            "Channel",
            0,
            most - 1,
            key=keep("inside.channel", view.strongest(1)[0], range(most)),
            width=130,
            help=f"0 to {most - 1}, as the network counts them.",
        )
    st.markdown(f"What excites channel {channel} of stage {view.stage + 1} most in **{md(dataset.title)}**:")
    for number, (sight, one) in enumerate(zip(sights, named, strict=True)):
        if len(sights) > 1:
            st.markdown("**This network**" if not number else "**Beside it**")
        _show_patches(sight, _peaks(one, dataset), dataset, place, int(channel), f"inside.patches.{number}")


def _peaks(named: Named, dataset: Dataset) -> "Peaks":
    """Waits for the one pass over the pictures; says how far it is. Whoever leaves loses nothing."""
    job = _peaks_job(chosen.home(), *named, dataset.id, dataset.stamp)
    bar = st.empty()
    while not job.wait(_LOOK_S):
        share = job.done / job.total if job.total else 0.0
        bar.progress(share, text=f"Looking at your pictures, once: {job.done} of {job.total or len(dataset.pictures)}")
    bar.empty()
    return job.result()


def _show_patches(sight: "Sight", peaks: "Peaks", dataset: Dataset, level: int, channel: int, key: str) -> None:
    items, values = [], set[float]()
    for patch in sight.patches(peaks, level, channel, PATCHES):
        received = sight.input_of(np.array(dataset.pixels[patch.picture]))
        cut = received[patch.top : patch.top + patch.side, patch.left : patch.left + patch.side]
        picture = dataset.pictures[patch.picture]
        name = dataset.class_names[picture.target]
        shown = Image.fromarray(cut).resize((128, 128), Image.Resampling.BICUBIC)
        items.append(
            GalleryItem(
                image=np.array(shown),
                title=name,
                captions=(f"response {patch.value:.2f}", f"around it {patch.around:.2f}"),
                alt=plain(picture.name),
            )
        )
        values.add(round(patch.value, 2))
    gallery(items, PATCHES, key, narrowest=100)
    if len(values) < len(items):
        st.caption("Of equal responses, the one whose neighbouring places respond more strongly comes first.")
    if len(peaks.pictures) < peaks.of:
        st.caption(f"Of {len(peaks.pictures):,} pictures, spread over all {peaks.of:,}.")


def _show_filters(sights: "Sequence[Sight]") -> None:
    from core.inference.seen import MOST_FILTERS, filter_picture

    st.header("First-layer filters", anchor=False)
    filters = [sight.filters() for sight in sights]
    count, _, side, _ = filters[0].shape
    first = "" if count <= MOST_FILTERS else f"the first {MOST_FILTERS} of "
    st.caption(f"{first}{count} filters of {side} x {side} weights, grey is 0".capitalize() + ".")
    columns = st.grid(2, min_column_width=320)
    for number, mosaic in enumerate(filter_picture(filters)):
        with columns.cell():
            st.image(_enlarged(mosaic), width="stretch", alt=f"First-layer filters of network {number + 1}")
            if len(sights) > 1:
                st.caption("this network" if not number else "beside it")


def _enlarged(mosaic: np.ndarray) -> np.ndarray:
    """Twice as large, without smoothing: weights stay squares."""
    return mosaic.repeat(2, axis=0).repeat(2, axis=1)


def _png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@st.cache_resource(max_entries=3, show_spinner="Loading the network")
def _sight(home: str, name: str, settings: ModelSettings, classes: int, instead: str) -> "Sight":
    """A network that looks; shared by all sessions, so it is in memory once.

    Args:
        instead: `START` for what training began with.
    """
    from core.inference.sight import sight_before, sight_of

    subject = find_subject(name, settings, classes, run_store())
    return sight_before(subject) if instead == START else sight_of(subject)


@st.cache_resource(max_entries=6, show_spinner=False)
def _peaks_job(
    home: str, name: str, settings: ModelSettings, classes: int, instead: str, dataset_id: str, stamp: tuple[int, ...]
) -> "Job[Peaks]":
    """`stamp`: of the data set's files; brought again, it may have its pictures in another order."""
    from core.inference.job import Job

    sight, dataset = _sight(home, name, settings, classes, instead), stored_dataset(home, dataset_id)
    return Job(lambda on_done: sight.peaks(dataset, on_done))
