"""Where pictures come from."""

import os
from pathlib import Path

import pytest
from helpers import drawn_classes, write_files, write_zip

from core.data import sources
from core.data.ingest import ingest
from core.data.reading.archive import Archive
from core.data.reading.layout import Listing, find_layout
from core.data.sources import open_source
from core.errors import DatasetError, ImageError


def test_a_folder_and_its_zip_are_the_same(tmp_path: Path):
    files = drawn_classes(2)
    folder = open_source(write_files(tmp_path / "tiny", files))
    zipped = open_source(write_zip(tmp_path / "tiny.zip", files))

    assert (folder.title, folder.kind, zipped.title, zipped.kind) == ("tiny", "folder", "tiny", "zip")
    for source in (folder, zipped):
        assert {name: source.read(name) for name in source.names} == files
        source.close()


def test_a_title_can_always_be_shown(tmp_path: Path):
    folder = write_files(tmp_path / "b\udce9ld \u6f22", drawn_classes(2))

    assert open_source(folder).title == "b\ufffdld \u6f22"


@pytest.mark.parametrize("where", ["nowhere.zip", "no/such/folder", "~nobody-of-this-name/x", "a\0b", "x" * 5000, ""])
def test_what_is_not_there_is_refused_without_its_path(tmp_path: Path, where: str):
    with pytest.raises(DatasetError, match="There is no file or folder") as refused:
        open_source(tmp_path / where if "/" in where else where or tmp_path / "none")

    assert str(tmp_path) not in str(refused.value)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = write_files(tmp_path / "tiny", drawn_classes(2))
    (folder / "discs" / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "squares" / "inside.png").symlink_to(folder / "discs" / "0.png")
    source = open_source(folder)

    with pytest.raises(ImageError, match="link that leads out"):
        source.read("discs/link.png")
    assert source.read("squares/inside.png") == source.read("discs/0.png")


@pytest.mark.parametrize("target", ["nowhere.png", "link.png"], ids=["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_named_and_keeps_nothing_else_from_being_read(tmp_path: Path, target: str):
    folder = write_files(tmp_path / "tiny", drawn_classes(4))
    (folder / "discs" / "link.png").symlink_to(folder / "discs" / target)
    dataset = ingest(folder).dataset

    assert [(row.file, row.reason) for row in dataset.skipped] == [("discs/link.png", "is a link that leads nowhere")]
    assert len(dataset.pictures) == 12


def test_a_link_that_led_to_a_class_folder_is_a_class_folder_without_pictures(tmp_path: Path):
    folder = write_files(tmp_path / "tiny", drawn_classes(4))
    (folder / "lines").symlink_to(tmp_path / "gone")
    rows = {row.path: row.reason for row in ingest(folder).dataset.class_folders if not row.used}

    assert rows == {"lines": "is a link, which is not followed"}


def test_what_is_no_ordinary_file_is_never_waited_for(tmp_path: Path):
    folder = write_files(tmp_path / "tiny", drawn_classes(4))
    for name in ("discs/pipe.jpg", "squares/pipe", "labels.csv"):
        os.mkfifo(folder / name)
    dataset = ingest(folder).dataset

    reasons = {row.file: row.reason for row in (*dataset.skipped, *dataset.ignored)}
    assert reasons["discs/pipe.jpg"] == reasons["squares/pipe"]
    assert reasons["squares/pipe"] == "is not an ordinary file but a pipe, socket or device"


def test_a_pipe_is_no_data_set_and_no_zip(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.zip")

    with pytest.raises(DatasetError, match=r"'pipe\.zip' is a pipe or device"):
        open_source(tmp_path / "pipe.zip")
    with pytest.raises(DatasetError, match=r"pipe\.zip is a pipe or device, not a zip"):
        Archive(tmp_path / "pipe.zip")
    with pytest.raises(DatasetError, match="is a folder, not a zip"):
        Archive(tmp_path)


def test_a_folder_that_cannot_be_opened_is_named_and_not_called_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_files(tmp_path / "tiny", drawn_classes(4))
    (folder / "lines").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("lines"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # for whoever runs this as root may open everything
    source = open_source(folder)
    layout = find_layout(Listing(names=source.names, folders=source.folders, closed=source.closed))

    assert source.notices == ("The folder lines cannot be opened (Permission denied): what is in it is missing here.",)
    assert ("lines", "lines", "cannot be opened") in layout.class_folders


def test_a_file_that_goes_away_is_named(tmp_path: Path):
    folder = write_files(tmp_path / "tiny", drawn_classes(2))
    source = open_source(folder)
    (folder / "discs" / "0.png").unlink()

    with pytest.raises(ImageError, match="no longer readable"):
        source.read("discs/0.png")


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "MAX_MEMBER_BYTES", 10)
    source = open_source(write_files(tmp_path / "tiny", drawn_classes(2)))

    with pytest.raises(ImageError, match="is larger than"):
        source.read("discs/0.png")


def test_a_folder_of_a_whole_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "MAX_FILES_IN_FOLDER", 5)

    with pytest.raises(DatasetError, match="holds more than 5 files"):
        open_source(write_files(tmp_path / "tiny", drawn_classes(2)))
