"""Taking in what a person brings, with progress on the screen."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import streamlit as st

from core.data.dataset import Dataset
from core.data.ingest import ingest, ingest_files
from core.data.photos import ANTS_AND_BEES, forget_photos, lend_photos
from core.data.reading.layout import AUTO
from core.errors import DatasetError, LayoutQuestion
from core.home import temporary_folder
from core.storage import unfolded

from ..taking_in import watched

_CHUNK_BYTES: Final = 1024**2

FIRST: Final = "Looking at the files"


def add_zip(file: Any, layout: str = AUTO) -> Dataset:
    """The data set in an uploaded zip. It goes to a temporary file under the home folder and is gone afterwards.

    Raises:
        LayoutQuestion: its folders can be read in more than one way.
        DatasetError: it cannot be used; nothing was stored.
    """
    with temporary_folder("zip") as folder:
        path = _spooled(file, folder / "upload.zip")
        file.seek(0)  # it is read once more when somebody has said how its folders are to be read
        try:
            return watched(lambda show: ingest(path, show, Path(file.name).stem or "upload", layout), FIRST).dataset
        except LayoutQuestion:
            raise
        except DatasetError as error:
            raise DatasetError(str(error).replace(path.name, file.name)) from error


def add_classes(files: Mapping[str, Sequence[Any]], title: str) -> Dataset:
    """The data set in files that were uploaded class by class.

    Raises:
        DatasetError: it cannot be used; nothing was stored.
    """
    with temporary_folder("classes") as folder:
        spooled = {
            name: [(file.name, _spooled(file, folder / f"{place}-{number}")) for number, file in enumerate(members)]
            for place, (name, members) in enumerate(files.items())
        }
        return watched(lambda show: ingest_files(spooled, title, show), FIRST).dataset


def add_folder(path: str, layout: str = AUTO) -> Dataset:
    """The data set in a folder, or a zip, of the machine that the app runs on; or below `s3://bucket/prefix`.

    Raises:
        LayoutQuestion: its folders can be read in more than one way.
        DatasetError: there is none or it cannot be used.
    """
    if "://" not in path and not os.path.exists(unfolded(path)):
        raise DatasetError(f"There is no folder or zip {Path(path).name!r} on this computer.")
    return watched(lambda show: ingest(path, show, layout=layout), FIRST).dataset


def add_photos() -> Dataset:
    """The photos of ants and bees: downloaded, or what is missing of them, and taken in.

    Raises:
        DatasetError: they cannot be had.
    """
    bar = st.progress(0.0, text="Downloading")

    def show(done: int, total: int) -> None:
        bar.progress(min(1.0, done / total), text=f"Downloading: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    with temporary_folder("photos") as folder:
        try:
            path = lend_photos(folder, ANTS_AND_BEES, show)
        finally:
            bar.empty()
        dataset = watched(lambda shown: ingest(path, shown, ANTS_AND_BEES.title), FIRST).dataset
    forget_photos(ANTS_AND_BEES)  # decoded, they are not needed again
    return dataset


def _spooled(file: Any, path: Path) -> Path:
    """An upload on the disk, and out of memory."""
    with path.open("wb") as target:
        while chunk := file.read(_CHUNK_BYTES):
            target.write(chunk)
    return path
