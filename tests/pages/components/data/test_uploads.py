"""Two sessions that bring the same thing at once."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from helpers import drawn_classes, write_zip

from core.data.dataset import Dataset
from core.data.photos import PhotoSet
from core.home import home_folder
from pages.components.data import uploads


def test_a_session_that_has_taken_the_photos_in_leaves_them_to_one_that_still_reads(monkeypatch: pytest.MonkeyPatch):
    path = write_zip(home_folder("downloads") / "photos.zip", drawn_classes(10))
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    photos = PhotoSet(title="Photos", url="http://127.0.0.1:9/photos.zip", size_bytes=len(content), sha256=sha256)
    monkeypatch.setattr(uploads, "ANTS_AND_BEES", photos)
    read, reading, others = uploads.ingest, list[Path](), list[Dataset]()

    def read_late(where: Path, *args: Any) -> Any:
        reading.append(where)
        if len(reading) == 1:  # the other one comes now, and reads without delay
            others.append(uploads.add_photos())
        return read(where, *args)

    monkeypatch.setattr(uploads, "ingest", read_late)

    ours = uploads.add_photos()

    assert len(ours.pictures) == 30 and others[0].fingerprint == ours.fingerprint
    assert list(home_folder("downloads").iterdir()) == [] and list(home_folder("staging").iterdir()) == []
