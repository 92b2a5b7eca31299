"""Where the pictures to classify come from: files, the camera, a run's own test pictures, or unknown images."""

import base64
from typing import Final

import streamlit as st

from core.data.reading.limits import MAX_PIXELS
from core.errors import DatasetError
from core.runs.record import RunRecord

from .. import chosen
from ..brought import say_if_lost
from ..camera import RESOLUTION
from ..hosting import say_if_uploads_are_refused
from ..messages import LONGEST_MESSAGE, md, show_error
from ..resources import thumbnail
from .answers import MAX_MEGABYTES, InputPicture, file_input, test_inputs, unknown_inputs

MAX_PICTURES: Final = 200
_TESTS_SHOWN: Final = 12
_EXAMPLES: Final = 6
_SIDE: Final = 50  # pixels of an example: six of them stand in a row on a telephone
_SOURCES: Final = {"files": "Files", "camera": "Camera", "tests": "Test pictures", "unknown": "Unknown images"}
_PHOTO: Final = "classify.photo"
_PHOTOS: Final = "classify.photos"  # how many were taken
_STYLE: Final = f"""<style>
.st-key-classify-examples button {{padding: 2px; min-height: 0}}
.st-key-classify-examples button p {{margin: 0; line-height: 0}}
.st-key-classify-examples button img {{width: {_SIDE}px; height: {_SIDE}px; max-height: none; border-radius: 4px}}
</style>"""


def ask(record: RunRecord) -> list[InputPicture]:
    """The inputs, and the pictures they hold now."""
    source = st.pills(
        "Pictures from",
        _SOURCES,
        required=True,
        default="files",
        format_func=_SOURCES.__getitem__,
        key="classify.source",
        persist_state="session",
        on_change=forget_example,
        label_visibility="collapsed",
        wrap=True,
    )
    if source in ("camera", "files"):
        say_if_uploads_are_refused()
    if source == "camera":  # drawn only when chosen: the browser asks for permission at once
        return _photo()
    if source == "unknown":
        st.caption("Drawn by Thaw: noise, walls and other animals.")
        return unknown_inputs()
    return _tests(record) if source == "tests" else _files(record)


def _photo() -> list[InputPicture]:
    """The last photo. The camera goes on meanwhile: the next one is one click away.

    By itself Streamlit's camera stands still on its photo until that is thrown away, and takes none without a click. A
    component of our own could, but Streamlit runs such from a `blob:`, which our security policy refuses.
    """
    key = f"classify.camera.{st.session_state.get(_PHOTOS, 0)}"
    st.camera_input(
        "A photo", key=key, label_visibility="collapsed", on_change=_take_photo, args=(key,), resolution=RESOLUTION
    )
    photo: InputPicture | None = st.session_state.get(_PHOTO)
    return [photo] if photo else []


def _take_photo(key: str) -> None:
    """Keep it, and have a new camera in the place of the one that took it."""
    if photo := st.session_state[key]:
        st.session_state[_PHOTO] = file_input(photo, "photo.jpg")
        st.session_state[_PHOTOS] = st.session_state.get(_PHOTOS, 0) + 1


def _files(record: RunRecord) -> list[InputPicture]:
    files = st.file_uploader(
        f"Up to {MAX_PICTURES} pictures, each up to {MAX_MEGABYTES} MB and {MAX_PIXELS // 10**6} megapixels",
        accept_multiple_files=True,
        max_upload_size=MAX_MEGABYTES,
        key="classify.files",
        on_change=forget_example,
        label_visibility="collapsed",
    )
    say_if_lost("classify.files")
    example = st.session_state.get("classify.example")
    if example is not None and example < len(record.test_pictures):
        return _inputs(record, [example])
    if len(files) > MAX_PICTURES:  # answering some of them would look like answering all
        st.error(f"These are {len(files)} files; up to {MAX_PICTURES} can be asked about at a time.")
        return []
    return [file_input(file) for file in files]


def _inputs(record: RunRecord, positions: list[int]) -> list[InputPicture]:
    try:
        return test_inputs(record, positions)
    except DatasetError as error:  # deleted, or the run was brought from elsewhere
        show_error(error)
        return []


def show_examples(record: RunRecord) -> None:
    """A few test pictures to click on, in place of a file of one's own."""
    if st.session_state["classify.source"] != "files":
        return
    total = len(record.test_pictures)
    positions = [place * total // min(_EXAMPLES, total) for place in range(min(_EXAMPLES, total))]
    try:
        inputs = test_inputs(record, positions)
    except DatasetError as error:
        st.caption(f"No examples: {md(str(error), LONGEST_MESSAGE)}")
        return
    st.html(_STYLE)
    st.markdown("Or a test picture:")
    now = st.session_state.get("classify.example")
    with st.container(key="classify.examples", horizontal=True, gap="xxsmall"):
        for position, one in zip(positions, inputs, strict=True):
            st.button(
                _picture_label(one),
                key=f"classify.example.{position}",
                type="primary" if position == now else "secondary",
                on_click=_take_example,
                args=(position,),
            )


def _picture_label(one: InputPicture) -> str:
    """A button's label that is the picture; its class is what a screen reader says."""
    assert one.place is not None
    dataset_id, index = one.place
    encoded = base64.b64encode(thumbnail(chosen.home(), dataset_id, index, 2 * _SIDE)).decode()
    return f"![Test picture of {md(one.truth or '', 40)}](data:image/jpeg;base64,{encoded})"


def _take_example(position: int) -> None:
    st.session_state["classify.example"] = position


def forget_example() -> None:
    """Whatever is chosen next takes the place of the test picture that was clicked, and of the last photo."""
    st.session_state.pop("classify.example", None)
    st.session_state.pop(_PHOTO, None)


def _tests(record: RunRecord) -> list[InputPicture]:
    """Some of the run's test pictures, spread over its classes."""
    total = len(record.test_pictures)
    step = max(1, total // _TESTS_SHOWN)
    if step > 1:
        st.button("Other test pictures", icon=":material/shuffle:", key="classify.others", on_click=_other_tests)
    first = st.session_state.get("classify.offset", 0) % step
    return _inputs(record, list(range(first, total, step)[:_TESTS_SHOWN]))


def _other_tests() -> None:
    st.session_state["classify.offset"] = st.session_state.get("classify.offset", 0) + 1
