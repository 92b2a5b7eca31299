"""Data: what is uploaded is counted, what is left out is named, and the choice is kept."""

import pytest
from helpers import draw_picture, drawn, drawn_classes, encoded, noise, write_files, write_zip
from on_page import said, titles
from PIL import Image

from core.data.dataset import load_stored, stored_datasets
from core.data.edit import set_groups
from core.data.groups import find_groups
from core.data.ingest import ingest
from core.runs.store import RunStore
from core.settings.schema import DataSettings, RunSettings


def upload(at, files, tmp_path, name="mine.zip"):
    path = write_zip(tmp_path / name, files)
    at.file_uploader(key="data.zip").upload(name, path.read_bytes(), "application/zip").run()
    return at


def test_an_uploaded_zip_becomes_the_chosen_data(start, tiny_dataset, tmp_path):
    at = start("data.py", data=tiny_dataset.id)
    broken = {"discs/broken.jpg": encoded(draw_picture("discs", 1), "JPEG")[:300]}

    upload(at, drawn_classes(5, prefix="wrapped/") | {f"wrapped/{k}": v for k, v in broken.items()}, tmp_path)

    assert not at.exception and not at.error
    assert at.session_state["chosen.settings"].data.dataset != tiny_dataset.id
    assert "mine" in titles(at)
    counts = counts_of(at)
    assert counts["all"].tolist() == [5, 5, 5]
    assert (counts[["train", "val", "test"]].sum(axis=1) == counts["all"]).all()
    assert "1 file skipped: cut off." in said(at)
    assert tables_of_files(at)[0]["file"].tolist() == ["wrapped/discs/broken.jpg"]


def test_a_zip_that_cannot_be_used_changes_nothing(start, tiny_dataset, tmp_path, thaw_home):
    at = start("data.py", data=tiny_dataset.id)
    before = {dataset.id for dataset in stored_datasets()}

    upload(at, {"a.png": b"not a picture"}, tmp_path)

    assert "No class folders" in at.error[0].value
    assert at.session_state["chosen.settings"].data.dataset == tiny_dataset.id
    assert {dataset.id for dataset in stored_datasets()} == before
    assert not list((thaw_home / "staging").iterdir())


def test_a_folder_of_this_computer_can_be_read(start, tiny_dataset, tiny_folder):
    at = start("data.py", data=tiny_dataset.id)

    at.radio(key="data.source").set_value("folder").run()
    at.text_input(key="data.folder").set_value(str(tiny_folder)).run()
    at.button(key="data.read").click().run()

    assert not at.exception and not at.error
    assert at.session_state["chosen.settings"].data.dataset == tiny_dataset.id, "the same content is the same data set"


def test_a_hosted_server_does_not_read_its_own_folders(start, tiny_dataset, monkeypatch):
    monkeypatch.setenv("THAW_HOSTED", "1")

    at = start("data.py", data=tiny_dataset.id)

    assert "folder" not in at.radio(key="data.source").options and len(at.radio(key="data.source").options) == 4


def test_an_unknown_data_set_in_the_address_is_named_and_replaced(start, tiny_dataset):
    at = start("data.py", data="0123456789abcdef")

    assert not at.exception
    assert any("is not here any more" in warning.value for warning in at.warning)
    assert at.session_state["chosen.settings"].data.dataset == "builtin"


def test_the_list_follows_an_upload_which_survives_another_page_and_does_not_hold_on_to_the_list(
    start, tiny_dataset, tmp_path
):
    at = start("data.py", data=tiny_dataset.id)
    upload(at, drawn_classes(5, first=50), tmp_path)
    added = at.session_state["chosen.settings"].data.dataset
    assert at.selectbox(key="data.chosen").value == added != tiny_dataset.id

    at.switch_page("train.py").run()
    at.switch_page("data.py").run()
    assert at.session_state["chosen.settings"].data.dataset == added
    assert at.selectbox(key="data.chosen").value == added

    at.selectbox(key="data.chosen").set_value(tiny_dataset.id).run()
    at.run()
    assert at.session_state["chosen.settings"].data.dataset == tiny_dataset.id
    assert at.selectbox(key="data.chosen").value == tiny_dataset.id


def counts_of(at):
    """The table of pictures by class and part."""
    return next(table.value for table in at.dataframe if "train" in table.value.columns)


def tables_of_files(at):
    """The tables of files that were left out."""
    return [table.value for table in at.dataframe if "reason" in table.value.columns]


def test_skipped_normalised_and_ignored_files_are_reported(start, tmp_path):
    files = drawn_classes(6) | {"discs/:red[x].png": b"no picture at all, sorry", "discs/notes.txt": b"x"}
    files["squares/clear.png"] = encoded(Image.new("RGBA", (40, 40), (9, 9, 9, 90)))
    dataset = ingest(write_files(tmp_path / "mixed", files)).dataset
    at = start("data.py", data=dataset.id)

    assert not at.exception
    assert "2 files skipped: not a picture (2)." in said(at) and "1 picture was normalised" in said(at)
    tables = tables_of_files(at)
    assert tables[0]["file"].tolist() == ["discs/:red[x].png"] and tables[0]["code"].tolist() == ["IMG_FORMAT"]
    assert "transparency became white" in said(at)


def test_a_data_set_goes_only_after_a_question_and_not_while_a_run_needs_it(start, tiny_dataset):
    run = RunStore().submit([RunSettings(data=DataSettings(dataset=tiny_dataset.id))], "tiny")[0]
    at = start("data.py", data=tiny_dataset.id)
    at.button(key="data.delete").click().run()
    assert "Stop that run first" in said(at)

    RunStore().cancel(run)
    at.button(key="data.delete").click().run()

    assert not at.exception and "30 pictures, will be deleted, with its files" in said(at)
    assert tiny_dataset.folder.exists()
    at.button(key="data.delete.really").click().run()
    assert not at.exception and not tiny_dataset.folder.exists()
    assert at.session_state["chosen.settings"].data.dataset == "builtin"


def test_a_pipeline_of_ones_own_comes_back_after_a_preset(start, tiny_dataset):
    at = start("augment.py", data=tiny_dataset.id)
    at.pills(key="augment.changes").set_value(["RandomVerticalFlip"]).run()
    own = at.session_state["chosen.settings"].augment
    at.pills(key="augment.preset").set_value("strong").run()

    at.pills(key="augment.preset").set_value("custom").run()
    assert at.session_state["chosen.settings"].augment == own

    at.switch_page("train.py").run()
    at.selectbox(key="train.augment").set_value("tutorial").run()
    at.selectbox(key="train.augment").set_value("custom").run()
    assert not at.exception and at.session_state["chosen.settings"].augment == own


def test_the_photos_are_refused_with_a_sentence_when_offline(start, tiny_dataset, monkeypatch):
    monkeypatch.setenv("THAW_OFFLINE", "1")
    at = start("data.py", data=tiny_dataset.id)
    at.radio(key="data.source").set_value("photos").run()
    assert "licence is unconfirmed" in said(at)

    at.button(key="data.photos").click().run()

    assert not at.exception and "Downloads are switched off" in at.error[0].value.replace("\\", "")


def test_pictures_can_be_brought_class_by_class_and_their_uploads_are_let_go(start, tiny_dataset):
    at = start("data.py", data=tiny_dataset.id)
    at.radio(key="data.source").set_value("classes").run()
    assert at.button(key="data.class.use").disabled

    for row, kind in enumerate(("discs", "squares")):
        at.text_input(key=f"data.class.{row}").set_value(f"my {kind}").run()
        files = [(f"{n}.png", drawn(kind, 300 + n), "image/png") for n in range(4)]
        at.file_uploader(key=f"data.class.{row}.files").set_value(files).run()
    at.button(key="data.class.use").click().run()

    now = load_stored(at.session_state["chosen.settings"].data.dataset)
    assert not at.exception and not at.error
    assert now.class_names == ("my discs", "my squares") and len(now.pictures) == 8
    assert [box.key for box in at.text_input if str(box.key).startswith("data.class.")] == [
        "data.class.2",
        "data.class.3",
    ]


def test_photo_after_photo_is_taken_for_a_class_and_the_last_can_be_removed(start, tiny_dataset):
    at = start("data.py", data=tiny_dataset.id)
    at.radio(key="data.source").set_value("classes").run()
    at.text_input(key="data.class.0").set_value("squares").run()
    at.toggle(key="data.class.0.camera").set_value(True).run()

    for number in range(3):
        photo = encoded(draw_picture("squares", 300 + number), "JPEG")
        at.camera_input(key=f"data.class.0.shot.{number}").upload("photo.jpg", photo, "image/jpeg").run()
        assert f"{number + 1} from the camera" in said(at)
    at.button(key="data.class.0.remove").click().run()
    assert "2 from the camera" in said(at)
    at.text_input(key="data.class.1").set_value("discs").run()
    files = [(f"{n}.png", drawn("discs", 300 + n), "image/png") for n in range(4)]
    at.file_uploader(key="data.class.1.files").set_value(files).run()
    at.button(key="data.class.use").click().run()

    now = load_stored(at.session_state["chosen.settings"].data.dataset)
    assert not at.exception and not at.error
    assert now.class_names == ("discs", "squares") and len(now.pictures) == 6


def day_and_night() -> dict[str, bytes]:
    return {f"{name}/{time}/{n}.png": drawn(name, n + 20 * (time == "day")) for name in ("discs", "squares")
            for time in ("day", "night") for n in range(6)}  # fmt: skip


def test_what_was_understood_of_folders_is_said(start, tiny_dataset, tmp_path):
    at = start("data.py", data=tiny_dataset.id)
    files = drawn_classes(8, prefix="training_set/") | drawn_classes(4, prefix="test_set/", first=50)

    upload(at, files, tmp_path)

    assert "Read as parts train and test (training_set and test_set), classes discs, squares and stripes." in said(at)


def test_folders_that_can_be_read_in_two_ways_are_asked_about(start, tiny_dataset, tmp_path):
    at = start("data.py", data=tiny_dataset.id)
    upload(at, day_and_night(), tmp_path)
    assert not at.exception and "How are these folders to be read?" in said(at)
    assert at.session_state["chosen.settings"].data.dataset == tiny_dataset.id

    at.radio(key="data.layout.zip").set_value("folders").run()
    at.button(key="data.layout.zip.use").click().run()

    now = load_stored(at.session_state["chosen.settings"].data.dataset)
    assert not at.exception and now.class_names == ("discs", "squares") and now.title == "mine"
    assert "How are these folders to be read?" not in said(at)


def test_a_folder_is_asked_about_in_the_same_way(start, tiny_dataset, tmp_path):
    at = start("data.py", data=tiny_dataset.id)
    at.radio(key="data.source").set_value("folder").run()
    at.text_input(key="data.folder").set_value(str(write_files(tmp_path / "times", day_and_night()))).run()
    at.button(key="data.read").click().run()

    at.radio(key="data.layout.folder").set_value("subfolders").run()
    at.button(key="data.layout.folder.use").click().run()

    assert load_stored(at.session_state["chosen.settings"].data.dataset).class_names == ("day", "night")


def test_a_class_of_which_nothing_can_be_used_is_told_until_another_upload_has_none(start, tiny_dataset, tmp_path):
    at = start("data.py", data=tiny_dataset.id)
    worms = {f"worms/{n}.txt": b"no picture" for n in range(3)}
    upload(at, drawn_classes(5, first=50) | worms, tmp_path, "first.zip")
    first, counts = at.session_state["chosen.settings"].data.dataset, counts_of(at)
    assert counts.loc["worms", "all"] == 0 and counts.loc["worms", "left out"] == "3 files: not a picture"
    assert counts.loc["discs", "all"] == 5 and counts.loc["discs", "left out"] == ""
    key = next(uploader.key for uploader in at.file_uploader if str(uploader.key).startswith("data.zip"))

    path = write_zip(tmp_path / "second.zip", drawn_classes(5, first=50))
    at.file_uploader(key=key).upload("second.zip", path.read_bytes(), "application/zip").run()

    assert at.session_state["chosen.settings"].data.dataset == first
    assert titles(at) == ["second"]
    assert "worms" not in counts_of(at).index


def test_of_many_findings_the_first_are_listed_and_the_others_when_they_are_asked_for(start, tmp_path):
    files = {
        f"{kind}/g{n}/{m}.png": noise(place, n, m) for place, kind in enumerate("ab") for n in range(6) for m in "01"
    }
    files |= {f"c{kind:02}/g{kind}/{n}.png": noise(50 + kind, n) for kind in range(20) for n in range(3)}
    dataset = ingest(write_files(tmp_path / "many", files), layout="folders").dataset
    dataset = set_groups(dataset, find_groups(dataset, "folder"))
    at = start("data.py", data=dataset.id)

    def listed():
        return [one.label for one in at.expander if "are of one group" in one.label]

    first = len(listed())
    at.checkbox(key=f"data.findings.{dataset.id}").check().run()

    assert not at.exception and first < 13 < len(listed()) <= 20


def test_a_picture_in_two_classes_is_offered_one_of_the_two(start, tmp_path):
    files = {f"{kind}/{n}.png": noise(place, n) for place, kind in enumerate("abc") for n in range(12)}
    files |= {"b/same.png": noise(99), "c/same.png": noise(99)}
    dataset = ingest(write_files(tmp_path / "torn", files)).dataset

    at = start("data.py", data=dataset.id)

    offered = at.selectbox(key=f"data.health.0.target.{dataset.id}")
    assert (offered.value, offered.options) == ("b", ["b", "c", "a"])


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "x" * 5000, "nosuch"])
def test_a_path_at_which_nothing_can_be_is_said_to_be_none(start, tiny_dataset, path):
    at = start("data.py", data=tiny_dataset.id)
    at.radio(key="data.source").set_value("folder").run()

    at.text_input(key="data.folder").set_value(path).run()
    at.button(key="data.read").click().run()

    assert "There is no folder or zip" in at.error[0].value and at.error[0].proto.title.startswith("These pictures")
