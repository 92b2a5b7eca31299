"""Taking in what a person brings, with progress on the screen."""

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import streamlit as st

from core.data.dataset import Dataset
from core.data.ingest import IngestProgress, ingest
from core.errors import DatasetError
from core.home import home_folder

_STAGES: Final = {"drawing": "Drawing", "reading": "Reading", "decoding": "Decoding"}
_CHUNK_BYTES: Final = 1024**2


def is_hosted() -> bool:
    """Whether strangers use this server: on Hugging Face Spaces, or where `THAW_HOSTED` says so."""
    return bool(os.environ.get("SPACE_ID") or os.environ.get("THAW_HOSTED"))


def add_zip(file: Any) -> Dataset:
    """The data set in an uploaded zip. It goes to a temporary file under the home folder and is gone afterwards.

    Raises:
        DatasetError: it cannot be used; nothing was stored.
    """
    with tempfile.TemporaryDirectory(dir=home_folder("uploads"), prefix="zip-") as folder:
        path = Path(folder) / "upload.zip"
        with path.open("wb") as target:
            while chunk := file.read(_CHUNK_BYTES):
                target.write(chunk)
        try:
            return _ingest(path, Path(file.name).stem or "upload")
        except DatasetError as error:
            raise DatasetError(str(error).replace(path.name, file.name)) from error


def add_folder(path: str) -> Dataset:
    """The data set in a folder of the machine that the app runs on.

    Raises:
        DatasetError: there is none or it cannot be used.
    """
    if not Path(path).expanduser().is_dir():
        raise DatasetError(f"There is no folder {Path(path).name!r} on this computer.")
    return _ingest(Path(path), None)


def _ingest(path: Path, title: str | None) -> Dataset:
    bar = st.progress(0.0, text="Looking at the files")

    def show(progress: IngestProgress) -> None:
        if progress.done % 16 == 0:  # each update is a message to the browser
            share = progress.done / max(1, progress.total)
            text = f"{_STAGES[progress.stage]}: {progress.done} of {progress.total} pictures"
            bar.progress(0.3 * share if progress.stage == "reading" else 0.3 + 0.7 * share, text=text)

    try:
        return ingest(path, show, title).dataset
    finally:
        bar.empty()
