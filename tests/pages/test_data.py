"""Data: what is uploaded is counted, what is left out is named, and the choice is kept."""

from helpers import draw_picture, drawn_classes, encoded, write_zip

from core.data.dataset import stored_datasets


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
    assert "mine" in [heading.value for heading in at.subheader]
    counts = at.dataframe[0].value
    assert counts["all"].tolist() == [5, 5, 5]
    assert (counts[["train", "val", "test"]].sum(axis=1) == counts["all"]).all()
    assert at.dataframe[1].value["file"].tolist() == ["wrapped/discs/broken.jpg"]


def test_a_zip_that_cannot_be_used_changes_nothing(start, tiny_dataset, tmp_path, thaw_home):
    at = start("data.py", data=tiny_dataset.id)
    before = {dataset.id for dataset in stored_datasets()}

    upload(at, {"a.png": b"not a picture"}, tmp_path)

    assert "No class folders" in at.error[0].value
    assert at.session_state["chosen.settings"].data.dataset == tiny_dataset.id
    assert {dataset.id for dataset in stored_datasets()} == before
    assert not list((thaw_home / "uploads").iterdir())


def test_a_folder_of_this_computer_can_be_read(start, tiny_dataset, tiny_folder):
    at = start("data.py", data=tiny_dataset.id)

    at.text_input(key="data.folder").set_value(str(tiny_folder)).run()
    at.button(key="data.read").click().run()

    assert not at.exception and not at.error
    assert at.session_state["chosen.settings"].data.dataset == tiny_dataset.id, "the same content is the same data set"


def test_a_hosted_server_does_not_read_its_own_folders(start, tiny_dataset, monkeypatch):
    monkeypatch.setenv("THAW_HOSTED", "1")

    at = start("data.py", data=tiny_dataset.id)

    assert "data.folder" not in [field.key for field in at.text_input]


def test_an_unknown_data_set_in_the_address_is_named_and_replaced(start, tiny_dataset):
    at = start("data.py", data="0123456789abcdef")

    assert not at.exception
    assert any("is not here any more" in error.value for error in at.error)
    assert at.session_state["chosen.settings"].data.dataset == "builtin"


def test_the_list_follows_an_upload_and_an_upload_does_not_hold_on_to_the_list(start, tiny_dataset, tmp_path):
    at = start("data.py", data=tiny_dataset.id)
    upload(at, drawn_classes(5, first=50), tmp_path)
    added = at.session_state["chosen.settings"].data.dataset
    assert at.selectbox(key="data.chosen").value == added != tiny_dataset.id

    at.selectbox(key="data.chosen").set_value(tiny_dataset.id).run()
    at.run()

    assert at.session_state["chosen.settings"].data.dataset == tiny_dataset.id
    assert at.selectbox(key="data.chosen").value == tiny_dataset.id


def test_the_choice_survives_a_look_at_another_page(start, tiny_dataset, tmp_path):
    at = start("data.py", data=tiny_dataset.id)
    upload(at, drawn_classes(5, first=50), tmp_path)
    added = at.session_state["chosen.settings"].data.dataset

    at.switch_page("train.py").run()
    at.switch_page("data.py").run()

    assert at.session_state["chosen.settings"].data.dataset == added
    assert at.selectbox(key="data.chosen").value == added
