"""No page ends in an exception, and the ones where something can be deleted stay usable for just that."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import FinishedRace, drawn_classes
from streamlit.testing.v1 import AppTest

from core import home
from core.data.dataset import Dataset, delete_stored, stored_ids
from core.data.edit import drop_pictures
from core.errors import StorageError
from core.runs.database import Database
from core.runs.record import run_folder
from core.runs.store import RunStore
from core.settings.schema import DataSettings, RunSettings
from core.storage import FULL_SENTENCE

PAGES = ["home.py", "data.py", "classify.py"]
"""Each shows something else first; the frame around them is one."""
Start = Callable[..., AppTest]


def errors(at: AppTest) -> list[str]:
    return [error.value.replace("\\", "").replace("\u2060", "") for error in at.error]


def delete_through_dialog(at: AppTest, opens: str, deletes: str) -> None:
    """Both clicks: here, a dialog is gone with the next run of the script, so the second run has the first one, too."""
    at.button(key=opens).click().run()
    at.button(key=opens).click()
    at.button(key=deletes).click().run()


@pytest.mark.parametrize("page", PAGES)
def test_a_home_that_cannot_be_made_is_one_sentence_on_every_page(
    start: Start, monkeypatch: pytest.MonkeyPatch, page: str
):
    monkeypatch.setenv("THAW_HOME", "/proc/thaw")

    at = start(page)

    assert not at.exception
    assert len(errors(at)) == 1 and "THAW_HOME is /proc/thaw, which cannot be written" in errors(at)[0]


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_database_is_a_sentence_on_every_page(
    start: Start, thaw_home: Path, tiny_dataset: Dataset, page: str
):
    (thaw_home / "thaw.db").write_bytes(b"no database" * 1000)

    at = start(page, data=tiny_dataset.id)

    assert not at.exception and at.title
    assert any("thaw.db" in said and "is damaged" in said for said in errors(at))


@pytest.mark.parametrize("page", PAGES)
def test_a_bug_is_a_sentence_on_the_page_and_whole_in_the_log(
    start: Start, monkeypatch: pytest.MonkeyPatch, bugs: list[logging.LogRecord], tiny_dataset: Dataset, page: str
):
    def broken(*args: object, **values: object) -> None:
        raise TypeError("a secret detail")

    monkeypatch.setattr(RunStore, "runs", broken)

    at = start(page, data=tiny_dataset.id)

    assert not at.exception and at.title
    assert {said.split(";")[0] for said in errors(at)} == {"Thaw did not expect this (TypeError)"}
    assert not any("secret" in said for said in errors(at))
    assert bugs and all("a secret detail" in str(record.exc_info) for record in bugs)
    bugs.clear()


def test_a_live_view_that_fails_is_a_sentence_too(
    start: Start, monkeypatch: pytest.MonkeyPatch, bugs: list[logging.LogRecord], tiny_dataset: Dataset
):
    RunStore().submit([RunSettings(data=DataSettings(dataset=tiny_dataset.id))], "tiny")
    monkeypatch.setattr("components.progress._progress", lambda *args: 1 / 0, raising=False)
    start("train.py", data=tiny_dataset.id)
    monkeypatch.setattr("components.progress._progress", lambda *args: 1 / 0)

    at = start("train.py", data=tiny_dataset.id)

    assert not at.exception and any("ZeroDivisionError" in said for said in errors(at))
    assert [button.key for button in at.button if button.key == "header.stop"] == ["header.stop"]
    bugs.clear()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Fill the disk: no file, no folder and no row can be written from then on, until something is deleted."""

    def fill() -> None:
        write = Database.write

        def no_room(*args: object, **values: object) -> Any:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def no_row(database: Database) -> Any:
            if any((home.thaw_home() / "runs").glob("*")):
                raise StorageError(FULL_SENTENCE, full=True)
            return write(database)

        monkeypatch.setattr(Database, "write", no_row)
        monkeypatch.setattr("core.data.drawn.drawings.pictures", lambda at_once: drawn_classes().items())
        monkeypatch.setattr("tempfile.mkdtemp", no_room)
        monkeypatch.setattr("tempfile.mkstemp", no_room)

    return fill


def forget_the_drawn_set(kept: Dataset) -> None:
    """As before a first visit, when the built-in pictures have not been drawn yet."""
    for dataset_id in set(stored_ids()) - {kept.id}:
        delete_stored(dataset_id)


def test_on_a_full_disk_a_data_set_can_be_deleted(
    start: Start, tiny_dataset: Dataset, thaw_home: Path, full_disk: Callable[[], None]
):
    forget_the_drawn_set(tiny_dataset)
    RunStore()
    full_disk()

    at = start("data.py")  # the built-in pictures cannot be drawn
    assert not at.exception and any("The storage is full" in said for said in errors(at))
    assert at.selectbox(key="data.chosen").value == tiny_dataset.id

    delete_through_dialog(at, "data.delete", "data.delete.really")
    assert not at.exception and stored_ids() == []


@pytest.mark.slow
def test_on_a_full_disk_without_a_database_a_data_set_can_be_deleted(
    start: Start, tiny_dataset: Dataset, thaw_home: Path, full_disk: Callable[[], None]
):
    forget_the_drawn_set(tiny_dataset)
    (thaw_home / "runs").mkdir()
    (thaw_home / "runs" / "x").mkdir()
    full_disk()

    at = start("data.py")
    delete_through_dialog(at, "data.delete", "data.delete.really")

    assert not at.exception and stored_ids() == []


def test_a_damaged_data_set_is_listed_and_can_be_deleted(start: Start, tiny_dataset: Dataset):
    other = drop_pictures(tiny_dataset, [0])
    (tiny_dataset.folder / "manifest.json").write_text("null")

    at = start("data.py", data=other.id)
    assert not at.exception
    key = f"data.damaged.{tiny_dataset.id}"
    assert tiny_dataset.id not in at.selectbox(key="data.chosen").options
    delete_through_dialog(at, key, f"{key}.really")

    assert not at.exception and other.id in stored_ids() and tiny_dataset.id not in stored_ids()
    assert key not in [button.key for button in start("data.py", data=other.id).button]


@pytest.mark.parametrize("page", ["home.py", "data.py", "augment.py"])  # they show pictures
def test_pixels_that_were_zeroed_unseen_are_a_sentence_and_the_set_can_be_deleted(
    start: Start, tiny_dataset: Dataset, page: str
):
    path = tiny_dataset.folder / "pixels.u8"
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    at = start(page, data=tiny_dataset.id)

    assert not at.exception
    assert any("are damaged" in said for said in errors(at))
    if page == "data.py":  # known to be damaged by now
        key = f"data.damaged.{tiny_dataset.id}"
        delete_through_dialog(at.run(), key, f"{key}.really")
        assert not at.exception and tiny_dataset.id not in stored_ids()


def test_a_set_that_was_replaced_is_read_again(start: Start, tiny_dataset: Dataset, tiny_folder: Path):
    from components.resources import stored_dataset  # type: ignore[import-not-found]

    from core.data.ingest import ingest

    start("data.py", data=tiny_dataset.id)
    before = stored_dataset(str(home.thaw_home()), tiny_dataset.id)
    (tiny_dataset.folder / "pixels.u8").unlink()
    ingest(tiny_folder)

    after = stored_dataset(str(home.thaw_home()), tiny_dataset.id)

    assert after is not before and after.pictures == before.pictures
    assert stored_dataset(str(home.thaw_home()), tiny_dataset.id) is after


NAMES = ("run", "runs", "race", "seed", "epochs", "scenario", "backbone", "augment", "a", "b", "band")


@pytest.mark.parametrize("page", ["train.py", "compare.py"])  # every page: the next shorter ones, in test_header.py
def test_an_address_of_3000_characters_breaks_no_page(start: Start, tiny_dataset: Dataset, page: str):
    at = start(page, data=tiny_dataset.id, **dict.fromkeys(NAMES, "9" * 3000))

    assert not at.exception
    assert len(errors(at)) == 6  # one for each setting, and the band


@pytest.mark.parametrize("name", ["9" * 3000, "../../x", "a\0b"], ids=["long", "a path", "NUL"])
def test_an_address_of_no_data_set_is_a_sentence(start: Start, tiny_dataset: Dataset, name: str):
    at = start("train.py", data=name)

    said = "3,000 characters; 2,000 are the most" if len(name) > 2000 else "is not here any more"
    told = [*errors(at), *(warning.value for warning in at.warning)]
    assert not at.exception and len(told) == 1 and said in told[0]


def test_a_run_can_be_deleted_on_a_full_disk_and_its_files_go_first(
    finished_race: FinishedRace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start, full_disk: Any
):
    import shutil

    shutil.copytree(finished_race.home, tmp_path / "home")
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "home"))
    gone, kept = finished_race.run("frozen"), finished_race.run("finetuned")
    shutil.rmtree(run_folder(kept))  # so that deleting one makes all the room there is
    start("train.py")  # opens the database, which on a real full disk can still be read
    full_disk()

    at = start("train.py", run=gone)
    assert not at.exception and "train.delete" in [button.key for button in at.button]
    delete_through_dialog(at, "train.delete", "train.delete.really")

    assert not at.exception and not run_folder(gone).exists()
    assert [run.id for run in RunStore().runs()] == [kept]
