"""Data: pictures are dropped, relabelled, grouped and divided anew in copies, and Undo gives back what there was."""

from helpers import doubt, drawn, drawn_classes, write_files
from on_page import said, titles
from patients import patients

from core.data.dataset import load_stored, stored_datasets
from core.data.edit import set_groups
from core.data.groups import find_groups
from core.data.ingest import ingest
from core.data.labels import save_check


def edit_key(at, field: str, what: str = "edit") -> str:
    """The key of a field of the chosen data set: what was typed for one is not offered for another."""
    return f"data.{what}.{field}.{at.session_state['data.chosen']}"


def test_findings_open_their_pictures_and_dropping_them_makes_a_new_set(start, tmp_path):
    same = drawn("discs", 77)
    files = drawn_classes(12) | {"discs/same.png": same, "squares/same.png": same}
    dataset = ingest(write_files(tmp_path / "torn", files)).dataset
    at = start("data.py", data=dataset.id)
    assert not at.exception and "2 pictures stand in two classes at once" in said(at)

    at.button(key="data.health.0.drop").click().run()

    now = load_stored(at.session_state["chosen.settings"].data.dataset)
    assert not at.exception and len(now.pictures) == 36 and "two classes at once" not in said(at)


def test_what_is_left_as_it_is_is_not_told_again(start, tiny_dataset):
    at = start("data.py", data=tiny_dataset.id)
    before = [expander.label for expander in at.expander if "data.health" in str(expander.proto.id)] or said(at)
    assert "can be told by" in str(before)

    while keeps := [button for button in at.button if str(button.key).endswith(".keep")]:
        keeps[0].click().run()

    assert "No problems found." in said(at) and "left as they are" in said(at)


def test_every_edit_can_be_undone_and_leaves_nothing_behind(start, tiny_dataset):
    at = start("data.py", data=tiny_dataset.id)
    title = tiny_dataset.title

    at.text_input(key=f"data.title.{tiny_dataset.id}").set_value("another").run()
    at.button(key="data.rename").click().run()
    assert f"Renamed from “{title}”" in said(at)
    at.selectbox(key=edit_key(at, "class")).set_value("discs").run()
    at.button(key="data.edit.remove").click().run()
    assert "10 pictures fewer, class discs gone" in said(at)
    at.text_input(key=edit_key(at, "name")).set_value("stripes").run()
    at.selectbox(key=edit_key(at, "class")).set_value("squares").run()
    assert "At least 2 classes" not in said(at)

    at.button(key="data.undo").click().run()
    assert at.session_state["chosen.settings"].data.dataset == tiny_dataset.id
    assert load_stored(tiny_dataset.id).title == "another"
    at.button(key="data.undo").click().run()

    assert not at.exception and not at.error
    assert load_stored(tiny_dataset.id) == tiny_dataset
    kept = [dataset.id for dataset in stored_datasets() if dataset.kind != "builtin"]
    assert kept == [tiny_dataset.id], "the copies that were undone are gone"
    assert "data.undo" not in [button.key for button in at.button]


def test_drawing_the_parts_again_is_told_as_what_it_is(start, tmp_path):
    files = {f"{part}/{name}/{n}.png": drawn(name, n + 50 * len(part)) for part in ("train", "val", "test")
             for name in ("discs", "squares") for n in range(8) if (part, name) != ("test", "discs")}  # fmt: skip
    dataset = ingest(write_files(tmp_path / "parts", files)).dataset
    at = start("data.py", data=dataset.id)
    assert " Read as parts train, val and test" in said(at)

    at.button(key="data.health.0.draw-all").click().run()

    assert not at.exception and "Changed in a copy: all parts are drawn by Thaw." in said(at)
    assert "Before it was changed: read as parts train, val and test" in said(at)
    assert "Thaw draws the parts." in said(at) and "came without" not in said(at)


def test_an_edit_is_worked_with_at_once_and_data_sets_that_are_called_alike_can_be_told_apart(start, tiny_dataset):
    """A browser sends back what an option is called: of two that are called alike, the wrong one was chosen."""
    at = start("data.py", data=tiny_dataset.id)
    at.selectbox(key=edit_key(at, "class")).set_value("discs").run()
    at.text_input(key=edit_key(at, "name")).set_value("<script>alert(1)</script>").run()
    at.button(key="data.edit.rename").click().run()
    edited = at.session_state["chosen.settings"].data.dataset
    assert edited != tiny_dataset.id and load_stored(edited).title == tiny_dataset.title
    assert not at.exception and "<script>alert(1)</script>" in load_stored(edited).class_names
    assert "**<script>alert(1)</script>**" in said(at)

    options = at.selectbox(key="data.chosen").options
    alike = [option for option in options if option.startswith("tiny (30 pictures), version ")]
    (of_edited,) = (option for option in alike if option.endswith(", edited"))
    (of_tiny,) = {*alike} - {of_edited}
    called = {tiny_dataset.id: of_tiny, edited: of_edited}
    assert len(set(options)) == len(options)
    for wanted in (tiny_dataset, load_stored(edited)):
        option = called[wanted.id]
        at.selectbox(key="data.chosen").select_index(options.index(option)).run()
        assert at.session_state["chosen.settings"].data.dataset == wanted.id
    assert at.text_input(key=edit_key(at, "name")).value == "", "what was given to one set is not given to another"


def test_undo_keeps_an_edited_set_that_was_there_before_or_that_a_run_has_used(start, tiny_dataset, finish):
    at = start("data.py", data=tiny_dataset.id)
    at.button(key="data.edit.remove").click().run()
    edited = at.session_state["chosen.settings"].data.dataset
    finish(load_stored(edited))

    at.button(key="data.undo").click().run()
    assert load_stored(edited).id == edited, "a run has used it"
    at.button(key="data.edit.remove").click().run()
    at.button(key="data.undo").click().run()

    assert not at.exception and load_stored(edited).id == edited, "the second edit only found it"


def chosen_now(at):
    return load_stored(at.session_state["chosen.settings"].data.dataset)


def test_a_pattern_shows_its_groups_before_they_are_set_and_setting_can_be_undone(start, tmp_path):
    dataset = ingest(write_files(tmp_path / "patients", patients())).dataset
    at = start("data.py", data=dataset.id)

    at.text_input(key=edit_key(at, "pattern", "groups")).set_value("(nurse#)_*").run()
    assert not at.exception and "fits no file name" in at.error[0].value
    assert "data.groups.set" not in [button.key for button in at.button]
    assert "data.edit.rename" in [button.key for button in at.button], "what stands below is there all the same"

    at.text_input(key=edit_key(at, "pattern", "groups")).set_value("(patient#)_*").run()
    assert "6 groups of 54 pictures, the largest patient0 with 9" in said(at)
    shown = next(table.value for table in at.dataframe if "its group" in table.value)
    assert ("patient0_0.png", "patient0") in list(shown.itertuples(index=False, name=None))
    assert chosen_now(at) == dataset, "nothing is set by looking"
    at.button(key="data.groups.set").click().run()
    assert not at.exception and chosen_now(at).grouped_by == "the pattern (patient#)_*"
    assert "Changed in a copy: grouped by the pattern (patient#)_*." in said(at)
    assert said(at).count("Grouped by the pattern (patient#)_*: 6 groups") == 1
    at.button(key="data.undo").click().run()
    assert not at.exception and chosen_now(at) == dataset


def test_setting_the_groups_that_there_are_changes_and_claims_nothing_and_they_can_be_given_up(start, tmp_path):
    dataset = ingest(write_files(tmp_path / "patients", patients())).dataset
    grouped = set_groups(dataset, find_groups(dataset, "name:(patient#)_*"))
    at = start("data.py", data=grouped.id)

    at.text_input(key=edit_key(at, "pattern", "groups")).set_value("(*#)_*").run()
    at.button(key="data.groups.set").click().run()

    assert not at.exception and chosen_now(at) == grouped
    assert [toast.value for toast in at.toast] == ["Nothing was changed: it is like that already."]
    assert "data.undo" not in [button.key for button in at.button] and "Renamed" not in said(at)
    assert "Grouped by the pattern (patient#)_*: 6 groups" in said(at)

    at.button(key="data.groups.none").click().run()
    assert not at.exception and chosen_now(at) == dataset


def test_names_that_look_like_groups_are_grouped_by_one_click(start, tmp_path):
    dataset = ingest(write_files(tmp_path / "patients", patients())).dataset
    at = start("data.py", data=dataset.id)
    assert "Pictures look grouped by the pattern (*#)_*" in said(at)

    at.button(key="data.health.0.group").click().run()

    assert not at.exception and len({picture.subject for picture in chosen_now(at).pictures}) == 6
    assert "look grouped" not in said(at)


def test_a_table_and_sub_folders_say_the_groups_too(start, tmp_path):
    files = patients(folder="{kind}/anna {patient}/{view}.png")
    dataset = ingest(write_files(tmp_path / "folders", files), layout="folders").dataset
    at = start("data.py", data=dataset.id)

    at.radio(key=edit_key(at, "way", "groups")).set_value("folder").run()
    assert "By the sub-folder below the class: 6 groups of 54 pictures" in said(at)
    at.radio(key=edit_key(at, "way", "groups")).set_value("table").run()
    rows = "".join(f"{picture.name},ward {picture.target}\n" for picture in dataset.pictures[:40])
    at.file_uploader(key=edit_key(at, "table", "groups")).upload(
        "wards.csv", f"file,ward\n{rows}".encode(), "text/csv"
    ).run()
    assert not at.exception and "By the column ward of wards.csv: 3 groups of 40 pictures" in said(at)
    assert "14 pictures stand alone" in said(at)


def decide(at, dataset, **choices):
    for place, choice in choices.items():
        at.segmented_control(key=f"data.label.{dataset.id}.{place.removeprefix('at')}").set_value(choice)
    at.run()
    return at.button(key="data.labels.apply").click().run()


def test_suspected_labels_are_kept_mended_and_dropped_in_one_edit_that_can_be_undone(start, tiny_dataset):
    save_check(tiny_dataset, doubt(tiny_dataset, 3, 12, 14, 5))
    at = start("data.py", data=tiny_dataset.id)
    assert "4 pictures may be mislabelled" in said(at) and "**discs → stripes**" in said(at)

    decide(at, tiny_dataset, at3="relabel", at12="keep", at14="drop")

    now = chosen_now(at)
    assert not at.exception and len(now.pictures) == 29
    assert "1 picture fewer, 1 picture relabelled" in said(at) and "1 picture may be mislabelled" in said(at)
    assert {p.content: now.class_names[p.target] for p in now.pictures}[tiny_dataset.pictures[3].content] == "stripes"
    at.button(key="data.undo").click().run()
    assert chosen_now(at) == tiny_dataset and "3 pictures may be mislabelled" in said(at), "what was kept stays kept"


def test_all_suspected_labels_are_kept_at_once_and_can_be_asked_about_again(start, tiny_dataset):
    save_check(tiny_dataset, doubt(tiny_dataset, 3, 12))
    at = start("data.py", data=tiny_dataset.id)

    at.button(key="data.labels.all.keep").click().run()
    at.button(key="data.labels.apply").click().run()
    assert not at.exception and "No label looks wrong." in said(at) and chosen_now(at) == tiny_dataset

    at.button(key="data.labels.ask").click().run()
    assert "2 pictures may be mislabelled" in said(at)


def test_labels_are_checked_on_request_and_what_is_found_leads_here(start, tmp_path):
    dataset = ingest(write_files(tmp_path / "odd", drawn_classes(12) | {"squares/odd.png": drawn("discs", 99)})).dataset
    at = start("data.py", data=dataset.id)

    at.button(key="data.labels.check").click().run()

    assert not at.exception and not at.error and "1 picture may be mislabelled" in said(at)
    assert "**squares → discs**" in said(at) and "odd.png" in said(at)


def test_what_was_chosen_for_one_data_set_is_not_offered_for_the_next(start, tiny_dataset, tmp_path):
    other = ingest(write_files(tmp_path / "other", drawn_classes(9, first=200))).dataset
    at = start("data.py", data=tiny_dataset.id)
    at.segmented_control(key=f"data.part.{tiny_dataset.id}").set_value("test").run()
    at.text_input(key=edit_key(at, "pattern", "groups")).set_value("(#)").run()

    at.selectbox(key="data.chosen").set_value(other.id).run()

    assert at.segmented_control(key=f"data.part.{other.id}").value == "train"
    assert at.text_input(key=edit_key(at, "pattern", "groups")).value == "" and titles(at) == ["other"]
