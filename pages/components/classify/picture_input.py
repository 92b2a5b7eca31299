"""Where the pictures to classify come from: files, the camera, a run's own test pictures, or unknown images."""

from typing import Final

import streamlit as st

from core.data.reading.limits import MAX_PIXELS
from core.errors import DatasetError
from core.runs.record import RunRecord

from ..hosting import say_if_uploads_are_refused
from ..messages import show_error
from .answers import MAX_MEGABYTES, InputPicture, file_input, test_inputs, unknown_inputs

MAX_PICTURES: Final = 200
_TESTS_SHOWN: Final = 12
_SOURCES: Final = {"files": "Your files", "camera": "Camera", "tests": "Test pictures", "unknown": "Unknown images"}


def ask(record: RunRecord) -> list[InputPicture]:
    """The inputs, and the pictures they hold now."""
    source = st.segmented_control(
        "Pictures from",
        _SOURCES,
        required=True,
        default="files",
        format_func=_SOURCES.__getitem__,
        key="classify.source",
        persist_state="session",
    )
    if source in ("camera", "files"):
        say_if_uploads_are_refused()
    if source == "camera":  # drawn only when chosen: the browser asks for permission at once
        photo = st.camera_input("A photo", key="classify.camera", width=480)
        return [file_input(photo, "photo.jpg")] if photo else []
    if source == "unknown":
        st.caption("Drawn by Thaw: noise, walls and other animals. See what a network says that never learnt them.")
        return unknown_inputs()
    return _tests(record) if source == "tests" else _files()


def _files() -> list[InputPicture]:
    files = st.file_uploader(
        f"Up to {MAX_PICTURES} pictures, each up to {MAX_MEGABYTES} MB and {MAX_PIXELS // 10**6} megapixels",
        accept_multiple_files=True,
        max_upload_size=MAX_MEGABYTES,
        key="classify.files",
    )
    if len(files) > MAX_PICTURES:  # answering some of them would look like answering all
        st.error(f"These are {len(files)} files; up to {MAX_PICTURES} can be asked about at a time.")
        return []
    return [file_input(file) for file in files]


def _tests(record: RunRecord) -> list[InputPicture]:
    """Some of the first run's test pictures, spread over its classes."""
    total = len(record.test_pictures)
    step = max(1, total // _TESTS_SHOWN)
    if step > 1:
        st.button("Other test pictures", icon=":material/shuffle:", key="classify.others", on_click=_other_tests)
    first = st.session_state.get("classify.offset", 0) % step
    try:
        return test_inputs(record, range(first, total, step)[:_TESTS_SHOWN])
    except DatasetError as error:  # deleted, or the run was brought from elsewhere
        show_error(error)
        return []


def _other_tests() -> None:
    st.session_state["classify.offset"] = st.session_state.get("classify.offset", 0) + 1
