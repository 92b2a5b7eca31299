"""Classify, lower half: take a network home, read its training, send it to the Hub, bring it back."""

import gc
import zipfile
from pathlib import Path

import pytest
from helpers import FinishedRace, drawn

from core.home import thaw_home
from core.runs.record import load_record
from core.runs.store import RunStore
from core.takehome import hub

ZIP = "application/zip"


@pytest.fixture
def page(start, finished_race):
    at = start("classify.py", run=finished_race.run("finetuned"))
    assert not at.exception and not at.error
    return at


def error_of(at) -> str:
    """The only error on the page, as it is read."""
    (error,) = at.error
    return error.value.replace("\\", "")


def open_part(page, name: str):
    """The part of "Export model" with this name."""
    page.session_state["classify.home"] = name
    return page.run()


def test_the_script_of_the_chosen_run_is_there_to_read_once_it_is_asked_for(page):
    assert not page.code
    open_part(page, "The training as a script")
    (code,) = page.code

    assert "Fine-tuned, seed 0" in code.value and "def train(" in code.value


def test_what_is_packed_can_be_downloaded_waits_on_the_disk_and_goes_with_the_session(
    page, monkeypatch: pytest.MonkeyPatch
):
    from core.takehome import export

    monkeypatch.setattr(export, "export_run", lambda run, path: path.write_bytes(b"zip" * 10**6))
    others = set(thaw_home().glob("staging/*/package.zip"))  # of sessions that are not collected yet
    page.button(key="classify.pack").click().run()

    assert not page.exception and not page.error
    (download,) = [each for each in page.get("download_button") if "Download, " in each.proto.label]
    assert "3 MB" in download.proto.label
    (packed,) = set(thaw_home().glob("staging/*/package.zip")) - others
    del page.session_state["classify.packed"]
    gc.collect()
    assert not packed.parent.exists()


def test_sending_to_the_hub_needs_a_name_and_a_token_and_says_where_it_is(page, monkeypatch: pytest.MonkeyPatch):
    open_part(page, "Hugging Face Hub")
    page.button(key="classify.hub.send").click().run()
    assert "owner/name" in error_of(page)

    asked = []

    def send(files: Path, *arguments: object) -> str:
        asked.append(arguments)
        return "https://hub.example/me/ants"

    monkeypatch.setattr(hub, "export_run", lambda run, path, say: write_small_zip(path))
    monkeypatch.setattr(hub, "_send", send)
    page.text_input(key="classify.hub.repository").set_value("me/ants")
    page.text_input(key="classify.hub.token").set_value("hf_secret")
    page.button(key="classify.hub.send").click().run()

    assert not page.error and "me/ants is there" in page.success[0].value.replace("\\", "")
    assert page.get("link_button")[0].proto.url == "https://hub.example/me/ants"
    assert asked == [("me/ants", "hf_secret", False, None)]


def write_small_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README.md", "x")


def test_a_zip_brought_to_an_empty_thaw_is_the_chosen_network_and_answers(start, packed: Path, _race: FinishedRace):
    at = start("classify.py")
    at.file_uploader(key="classify.zip.0").set_value([("run.zip", packed.read_bytes(), ZIP)]).run()
    at.button(key="classify.import").click().run()

    assert not at.exception and not at.error
    run = _race.run("finetuned")
    assert at.query_params["run"] in (run, [run]) and load_record(run).imported
    (option,) = at.selectbox(key="classify.network").options
    assert option.startswith("Fine-tuned (2 epochs, 96 px, batches of 8), imported")
    assert at.file_uploader(key="classify.zip.1").value is None

    at.file_uploader(key="classify.files").set_value([("a.png", drawn("discs", 3), "image/png")]).run()
    assert not at.exception and not at.error and len(at.dataframe[0].value) == 1


def test_where_the_test_pictures_are_not_the_page_says_so_and_goes_on(start, packed: Path):
    from core.takehome.import_run import import_run

    import_run(RunStore(), packed)
    at = start("classify.py")
    at.pills(key="classify.source").set_value("tests").run()

    assert not at.exception and "is not here any more" in error_of(at)
    assert at.button(key="classify.pack")


def test_a_zip_that_cannot_be_brought_is_refused_in_words_and_changes_nothing(start, packed: Path):
    at = start("classify.py")
    at.file_uploader(key="classify.zip.0").set_value([("run.zip", packed.read_bytes()[:-99], ZIP)]).run()
    at.button(key="classify.import").click().run()

    assert not at.exception and "is not a zip, or is incomplete" in error_of(at)
    assert RunStore().runs() == []


def test_more_files_than_can_be_asked_about_are_refused_as_a_whole(page, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("components.classify.picture_input.MAX_PICTURES", 2)
    files = [(f"{number}.png", drawn("discs", number), "image/png") for number in range(3)]
    page.file_uploader(key="classify.files").set_value(files).run()

    assert "3 files" in error_of(page) and not page.dataframe
