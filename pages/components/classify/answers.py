"""What finished runs say about pictures: cached by content for the session, so that a rerun computes nothing again."""

import hashlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.comparison.temperature import at_temperature
from core.data.drawn.strangers import STRANGERS, draw_stranger
from core.data.reading.decode import decode_picture
from core.data.reading.report import harmless
from core.errors import ImageError
from core.runs.record import RunRecord
from core.runs.store import Run

from .. import chosen
from ..messages import plain
from ..resources import place_of, predictor, run_record, square_jpeg, stored_dataset

MAX_MEGABYTES: Final = 20
_QUIET_S: Final = 0.7  # work shorter than this needs no progress bar


@dataclass(frozen=True, kw_only=True, slots=True)
class InputPicture:
    """One picture that is asked about: a file's bytes, or a place in a data set."""

    name: str
    content: str
    """SHA-256 of the file."""
    data: bytes = b""
    place: tuple[str, int] | None = None
    """Data set and index; else `data` counts."""
    truth: str | None = None
    """The true class, where it is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the runs say about one picture."""

    picture: InputPicture
    thumbnail: bytes = b""
    probabilities: tuple[np.ndarray, ...] = ()
    """(K,) float32 for each run, in the order of the runs; calibrated where a run has a temperature."""
    raw: tuple[np.ndarray, ...] = ()
    """(K,) float32 for each run, as the network gives them."""
    features: tuple[np.ndarray, ...] = ()
    """(F,) float32 for each run, of its backbone."""
    unreadable: str = ""
    """Why there is no answer."""


def file_input(file: UploadedFile, name: str = "") -> InputPicture:
    """A file somebody brought, under its own name if no other is given."""
    data = file.getvalue()
    return InputPicture(name=name or plain(file.name), content=_hash(file.file_id, data), data=data)


@st.cache_data(max_entries=1000, scope="session", show_spinner=False)
def _hash(upload: str, _data: bytes) -> str:
    """SHA-256, once for each upload: hundreds of photos are hundreds of megabytes."""
    return hashlib.sha256(_data).hexdigest()


def test_inputs(record: RunRecord, positions: Sequence[int]) -> list[InputPicture]:
    """Test pictures of a run.

    Raises:
        DatasetError: the data set is gone.
    """
    dataset = stored_dataset(chosen.home(), record.dataset.id)
    indices = [
        place_of(dataset, record.test_pictures[position], record.test_contents[position]) for position in positions
    ]
    return [
        InputPicture(
            name=plain(dataset.pictures[index].name),
            content=dataset.pictures[index].content,
            place=(dataset.id, index),
            truth=dataset.class_names[dataset.pictures[index].target],
        )
        for index in indices
    ]


@st.cache_data(max_entries=1, show_spinner="Drawing")
def unknown_inputs() -> list[InputPicture]:
    """Two pictures of every kind of stranger that Thaw draws."""
    found = []
    for kind in STRANGERS:
        for number in (1, 2):
            file = io.BytesIO()
            draw_stranger(kind, number).save(file, "PNG")
            data = file.getvalue()
            found.append(InputPicture(name=f"{kind} {number}", content=hashlib.sha256(data).hexdigest(), data=data))
    return found


def answers(runs: Sequence[Run], asked: Sequence[InputPicture]) -> list[Answer]:
    """What the runs say about each picture, in the order of the pictures.

    Raises:
        RunError: a run's files are missing or damaged.
    """
    home, start, bar = chosen.home(), time.perf_counter(), None
    temperatures = [run_record(home, run.id).temperature for run in runs]
    given = []
    for number, one in enumerate(asked, 1):
        thumbnail, unreadable = _thumbnail(home, one.content, one)
        said = [] if unreadable else [_predict(home, run.id, one.content, one) for run in runs]
        raw = tuple(row for row, _ in said)
        shown = tuple(at_temperature(row, temperature) for row, temperature in zip(raw, temperatures, strict=False))
        seen = tuple(features for _, features in said)
        given.append(
            Answer(picture=one, thumbnail=thumbnail, probabilities=shown, raw=raw, features=seen, unreadable=unreadable)
        )
        if time.perf_counter() - start > _QUIET_S:
            bar = bar or st.empty()
            bar.progress(number / len(asked), text=f"Picture {number} of {len(asked)}")
    if bar:
        bar.empty()
    return given


@st.cache_data(max_entries=1000, scope="session", show_spinner=False)
def _thumbnail(home: str, content: str, _picture: InputPicture) -> tuple[bytes, str]:
    """A small square JPEG, or why there is none. A result rather than an error, for errors are not cached."""
    if len(_picture.data) > MAX_MEGABYTES * 2**20:  # the browser's check can be bypassed
        return b"", f"is larger than {MAX_MEGABYTES} MB (limit); export it smaller"
    try:
        return square_jpeg(Image.fromarray(pixels_of(home, _picture)), 224), ""
    except ImageError as error:
        return b"", str(error)


@st.cache_data(max_entries=1000, scope="session", show_spinner=False)  # at most 16 kB each
def _predict(home: str, run_id: str, content: str, _picture: InputPicture) -> tuple[np.ndarray, np.ndarray]:
    """Raw probabilities (K,) and features (F,)."""
    rows, features = predictor(home, run_id).look([pixels_of(home, _picture)])  # one by one, as the command line does
    return rows[0], features[0]


@st.cache_data(max_entries=8, scope="session", show_spinner=False)
def _decoded(content: str, _data: bytes) -> np.ndarray:
    """Pixels, kept just long enough for the thumbnail and each run."""
    return decode_picture(_data)


def pixels_of(home: str, asked: InputPicture) -> np.ndarray:
    """Decoded pixels (H, W, 3) uint8.

    Raises:
        ImageError: it is not a picture that can be read.
    """
    if asked.place is None:
        return _decoded(asked.content, asked.data)
    dataset_id, index = asked.place
    return np.asarray(stored_dataset(home, dataset_id).pixels[index])


def as_table(
    given: Sequence[Answer],
    labels: Sequence[str],
    class_names: Sequence[Sequence[str]],
    more: Callable[[Answer, int], dict[str, Any]] = lambda answer, place: {},
) -> pd.DataFrame:
    """A row for each picture and run: what was predicted, and the probability of every class (fraction 0-1).

    Args:
        labels: of the runs.
        class_names: of the runs.
        more: further cells for an answer and the place of a run in it.
    """
    rows: list[dict[str, Any]] = []
    for answer in given:
        truth = answer.picture.truth
        about = {"picture": answer.picture.name} | ({"true class": truth} if truth is not None else {})
        if answer.unreadable:
            rows.append({**about, "not answered": answer.unreadable})
        said = zip(labels, class_names, answer.probabilities, strict=False)
        for place, (label, names, row) in enumerate(said):
            best = int(row.argmax())
            known = {f"p({name})": float(p) for name, p in zip(names, row, strict=True)}
            best_p = {"predicted": names[best], "probability": float(row[best])}
            rows.append({**about, "run": label, **best_p, **more(answer, place), **known})
    return pd.DataFrame(rows)


def as_csv(table: pd.DataFrame) -> bytes:
    """The table for a spreadsheet, UTF-8. A text that would be taken for a formula gets an apostrophe before it."""

    def cell_of(value: Any) -> Any:
        return harmless(value) if isinstance(value, str) else value

    text: str = table.rename(columns=cell_of).map(cell_of).to_csv(index=False)
    return text.encode("utf-8", "replace")
