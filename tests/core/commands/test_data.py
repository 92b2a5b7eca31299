"""`data`: what is read, grouped, left out and refused."""

from pathlib import Path

import pytest
from helpers import Asked, Refused, drawn, drawn_classes, write_files, write_zip

from core.__main__ import main
from core.data.dataset import Dataset


def test_data_describes_a_data_set(asked: Asked, tmp_path: Path):
    files = {**drawn_classes(10), "discs/broken.jpg": b"", "discs/a.gif": b"GIF89a", "notes.txt": b"hello"}
    values = asked("data", str(write_zip(tmp_path / "tiny.zip", files)))

    assert values["classes"] == ["discs", "squares", "stripes"]
    assert values["counts"]["test"] == {"discs": 2, "squares": 2, "stripes": 2}
    assert sum(sum(part.values()) for part in values["counts"].values()) == 30
    assert list(values["counts"]) == ["train", "val", "test"]
    assert values["skipped"] == [{"file": "discs/broken.jpg", "reason": "is empty (0 bytes)"}]
    assert len(values["ignored"]) == 2 and len(values["fingerprint"]) == 64


def test_data_tells_a_person_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    folder = write_files(tmp_path / "tiny", {**drawn_classes(10), "discs/broken.jpg": b"", "notes.txt": b"hello"})

    assert main(["data", str(folder)]) == 0

    printed = capsys.readouterr().out
    assert "tiny: 30 pictures, 3 classes" in printed
    assert "skipped discs/broken.jpg: is empty" in printed and "ignored 1 (not a picture)" in printed


def test_a_layout_can_be_asked_for(asked: Asked, refused: Refused, tmp_path: Path):
    folders = ("ants/day", "ants/night", "bees/day", "bees/night")
    files = {
        f"{folder}/{n}.png": drawn("discs", 10 * place + n) for place, folder in enumerate(folders) for n in range(6)
    }
    path = str(write_files(tmp_path / "set", files))

    said = refused("data", path)
    assert (
        "give --layout subfolders (classes day and night" in said and "--layout folders (classes ants and bees)" in said
    )
    assert asked("data", path, "--layout", "folders")["classes"] == ["ants", "bees"]
    assert asked("data", path, "--layout", "subfolders")["read_as"].startswith("classes day and night")
    assert "There is no layout 'sideways'" in refused("data", path, "--layout", "sideways")


def test_a_damaged_data_set_is_named_and_adding_its_pictures_again_mends_it(
    asked: Asked, refused: Refused, monkeypatch: pytest.MonkeyPatch, tiny_dataset: Dataset, tiny_folder: Path
):
    monkeypatch.setattr("core.commands.train.preload", lambda: None)
    path = tiny_dataset.folder / "pixels.u8"
    path.write_bytes(path.read_bytes()[:-1])

    for command in (["data"], ["train", "--data"]):
        assert f"The files of data set '{tiny_dataset.id}' are damaged" in refused(*command, tiny_dataset.id)
    assert asked("data", str(tiny_folder))["dataset"] == tiny_dataset.id
    assert asked("data", tiny_dataset.id)["fingerprint"] == tiny_dataset.fingerprint


def test_groups_that_are_none_are_refused_in_one_line(refused: Refused, tiny_folder: Path):
    for how in ("name:patient", "name:(#)_*", "folder", "table:nosuch.csv", "patients"):
        said = refused("data", str(tiny_folder), "--groups", how)

        assert len(said) < 250 and str(tiny_folder) not in said
