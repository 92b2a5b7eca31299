"""Where pictures come from: several ways on the Data page, each of which ends with a data set that is chosen."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import streamlit as st

from core.data.dataset import Dataset
from core.data.digits import DIGITS
from core.data.ingest import ingest
from core.data.photos import ANTS_AND_BEES, LICENCE
from core.data.reading import limits
from core.data.reading.candidates import PICTURE_ENDINGS
from core.data.reading.layout import AUTO
from core.errors import LayoutQuestion, ThawError
from core.settings.schema import DataSettings
from core.storage import is_hosted

from .. import chosen
from ..brought import let_go, say_if_lost
from ..camera import RESOLUTION
from ..messages import LONGEST_MESSAGE, md, show_error
from ..taking_in import watched
from .uploads import add_classes, add_folder, add_photos, add_zip

CAMERA_WIDTH: Final = 480  # pixels: its button and the photos are in sight with it
SEEN: Final = 8  # of a class's photos, the last
_ENDINGS = sorted(ending.lstrip(".") for ending in PICTURE_ENDINGS)


def picture_sources() -> None:
    """A choice of where from, and what it takes; folded again when something has been brought."""
    with st.expander("Add pictures", icon=":material/add_photo_alternate:", key=f"data.add.{_brought()}"):
        sources = {key: row for key, row in _SOURCES.items() if key != "folder" or not is_hosted()}
        picked = st.radio(
            "From",
            list(sources),
            format_func=lambda key: sources[key][0],
            key="data.source",
            horizontal=True,
            label_visibility="collapsed",
        )
        sources[picked][1]()
        with st.popover("Limits", icon=":material/rule:"):
            st.table({"limit": dict(limits.format_limits())}, alt="What may be brought in")


def _brought() -> int:
    """How often something was brought in this session."""
    return int(st.session_state.get("data.brought", 0))


Add = Callable[[str], Dataset]
"""Adds a data set, its folders read in the given way."""


def _choose(source: str, add: Add, after: Callable[[], None] = lambda: None, layout: str = AUTO) -> None:
    """Add a data set and work with it; or say why not. What comes `after` lets go of the uploads.

    Where it can be read in more than one way the question is kept until it is answered or something else is brought.
    """
    st.session_state.pop(f"data.question.{source}", None)
    try:
        added = add(layout)
    except LayoutQuestion as question:
        st.session_state[f"data.question.{source}"] = question
        return
    except ThawError as error:
        show_error(error)
        return
    chosen.choose(replace(chosen.settings(), data=DataSettings(dataset=added.id)))
    st.session_state["data.brought"] = _brought() + 1
    after()
    st.rerun()


def _ask_how(source: str, add: Add, after: Callable[[], None] = lambda: None) -> None:
    """The ways in which what was brought can be read, if it waits for one to be chosen."""
    question: LayoutQuestion | None = st.session_state.get(f"data.question.{source}")
    if question is None:
        return
    offers = dict(question.offers)
    with st.container(border=True):
        st.markdown(f":material/help: **How are these folders to be read?** {md(question.reason, LONGEST_MESSAGE)}")
        way = st.radio(
            "Read it as",
            list(offers),
            format_func=lambda layout: md(offers[layout], 300),
            key=f"data.layout.{source}",
        )
        if st.button("Read it like this", type="primary", key=f"data.layout.{source}.use"):
            _choose(source, add, after, way)


def _zip() -> None:
    round_ = st.session_state.get("data.zip.round", 0)
    key = f"data.zip.{round_}" if round_ else "data.zip"  # a new widget after each
    file = st.file_uploader(
        "A zip with one folder per class, or with train, val and test folders",
        type="zip",
        key=key,
        max_upload_size=limits.MAX_UPLOAD_BYTES // 1024**2,
        help=f"Up to {limits.MAX_UPLOAD_BYTES // 1024**2} MB, {limits.MAX_ENTRIES:,} entries.",
    )

    say_if_lost(key)

    def add(layout: str) -> Dataset:
        return add_zip(file, layout)

    def taken() -> None:
        st.session_state["data.zip.round"] = round_ + 1
        let_go([file.file_id] if file else [])

    if file is None:
        st.session_state.pop("data.question.zip", None)
        return
    if st.session_state.get("data.added") != file.file_id:
        st.session_state["data.added"] = file.file_id
        _choose("zip", add, taken)
    _ask_how("zip", add, taken)


def _classes() -> None:
    """Class rows as in Teachable Machine: a name, and pictures dropped into it or taken with the camera."""
    rows: list[int] = st.session_state.setdefault("data.class_rows", [0, 1])
    files: dict[str, list[Any]] = {}
    for row in rows:
        with st.container(border=True):
            name = st.text_input(
                "Class", key=f"data.class.{row}", placeholder="its name", max_chars=limits.MAX_CLASS_NAME
            ).strip()
            dropped = st.file_uploader(
                "Its pictures", type=_ENDINGS, accept_multiple_files=True, key=f"data.class.{row}.files"
            )
            say_if_lost(f"data.class.{row}.files")
            files.setdefault(name, []).extend([*dropped, *_camera(row)])
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Another class", icon=":material/add:", key="data.class.more"):
            rows.append(max(rows) + 1)
            st.rerun()
        counts = ", ".join(f"{md(name or 'no name', 30)} {len(members)}" for name, members in files.items())
        ready = len(files) >= limits.MIN_CLASSES and all(files.values()) and all(files)
        if st.button("Use these", type="primary", key="data.class.use", disabled=not ready):
            fresh = [max(rows) + 1, max(rows) + 2]
            title = " and ".join(files)
            _choose("classes", lambda _: add_classes(files, title), lambda: _forget_classes(rows, fresh))
        st.caption(counts if ready else "Two classes with a name and pictures are needed; 20 in each are a good start.")


def _forget_classes(rows: list[int], fresh: list[int]) -> None:
    """New rows in the place of those whose pictures are stored by now."""
    for row in rows:
        st.session_state.pop(f"data.class.{row}.taken", None)
    st.session_state["data.class_rows"] = fresh


def _camera(row: int) -> list[io.BytesIO]:
    """Pictures taken for a class so far. After each the camera is ready for the next."""
    taken: list[io.BytesIO] = st.session_state.setdefault(f"data.class.{row}.taken", [])
    if st.toggle("With the camera", key=f"data.class.{row}.camera"):
        key = f"data.class.{row}.shot.{st.session_state.setdefault(f'data.class.{row}.shots', 0)}"
        st.camera_input(
            "Take pictures", key=key, on_change=_keep_shot, args=(row, key), resolution=RESOLUTION, width=CAMERA_WIDTH
        )
    if taken:
        with st.container(horizontal=True, gap="xsmall"):
            for number, file in list(enumerate(taken, start=1))[-SEEN:]:
                st.image(file.getvalue(), width=64, alt=f"Photo {number}")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{len(taken)} from the camera", width="content")
            if st.button("Remove the last", icon=":material/undo:", key=f"data.class.{row}.remove"):
                taken.pop()
                st.rerun()
    for file in taken:
        file.seek(0)
    return taken


def _keep_shot(row: int, key: str) -> None:
    """Put a photo with the others of its class, and a new camera in the place of the one that shows it."""
    shot = st.session_state[key]
    if shot is not None:
        kept = io.BytesIO(shot.getvalue())
        kept.name = f"{shot.file_id}.jpg"
        st.session_state[f"data.class.{row}.taken"].append(kept)
        st.session_state[f"data.class.{row}.shots"] += 1


def _photos() -> None:
    st.markdown(
        f"The photos of PyTorch's transfer-learning tutorial: a zip of {ANTS_AND_BEES.size_bytes / 1e6:.0f} MB from "
        f"`{md(ANTS_AND_BEES.address.split('/')[2])}`, checked by size and SHA-256."
    )
    st.caption(LICENCE)
    if st.button("Download them", icon=":material/download:", key="data.photos"):
        _choose("photos", lambda _: add_photos())


def _digits() -> None:
    st.markdown("1,797 scans in 10 classes, which are here already: unlike the photos that ImageNet is made of.")
    if st.button("Use them", icon=":material/dialpad:", key="data.digits"):
        _choose("digits", lambda _: watched(lambda show: ingest(DIGITS, show)).dataset)


def _folder() -> None:
    path = st.text_input(
        "Folder or zip on this computer, or s3://bucket/prefix", key="data.folder", placeholder="~/pictures/flowers"
    ).strip()

    def add(layout: str) -> Dataset:
        return add_folder(path, layout)

    if st.session_state.get("data.folder.asked") != path:
        st.session_state.pop("data.question.folder", None)
    # never greyed out: what was typed comes with the click, and a button that it only wakes would want a second one
    if st.button("Read it", key="data.read", icon=":material/folder_open:"):
        st.session_state["data.folder.asked"] = path
        if path:
            _choose("folder", add)
        else:
            st.info("Write above where the pictures are.", icon=":material/edit:")
    _ask_how("folder", add)


_SOURCES: Final[dict[str, tuple[str, Callable[[], None]]]] = {
    "zip": ("A zip", _zip),
    "classes": ("Class by class", _classes),
    "photos": ("Ants and bees, photos", _photos),
    "digits": ("Handwritten digits", _digits),
    "folder": ("A folder or a bucket", _folder),
}
"""Where pictures come from: label, and what draws the rest."""
