"""Classify: the same answers as the command line, unreadable files named and the others answered."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pytest
from helpers import draw_picture, drawn, encoded
from on_page import headline, words

from core.comparison.experiments import experiment_key
from core.data.dataset import load_stored
from core.runs.record import load_predictions, load_record
from core.runs.store import RunStore

PNG = "image/png"


@pytest.fixture
def page(start, finished_race):
    at = start("classify.py", run=finished_race.run("frozen"))
    assert not at.exception and not at.error
    return at


def upload(at, **files: bytes):
    """Bring files by name; an underscore stands for the dot."""
    brought = [(name.replace("_", "."), data, PNG) for name, data in files.items()]
    return at.file_uploader(key="classify.files").set_value(brought)


def table(at):
    """The answers, with fractions where the page shows per cent."""
    shown = at.dataframe[0].value
    return shown.assign(**{name: shown[name] / 100 for name in shown if name == "probability" or name.startswith("p(")})


def compare_with(at, run: str):
    """Ask a second network, too."""
    at.pills(key="classify.next").set_value(["second"]).run()
    return at.selectbox(key="classify.second").set_value(run).run()


def test_without_a_finished_run_the_page_says_where_to_get_one(start):
    at = start("classify.py")

    assert not at.exception and not at.error
    assert "no network to ask yet" in words(at)
    assert at.button(key="classify.to_home").label == "Train one on Home"
    assert [each.key for each in at.file_uploader] == ["classify.zip.0"]

    at.button(key="classify.to_home").click().run()
    assert not at.exception and at.title[0].value != "Classify"


def test_the_answers_are_those_of_the_command_line(page, finished_race, tmp_path):
    from core.__main__ import main

    files = {f"{kind}.png": drawn(kind, 77) for kind in ("discs", "squares", "stripes")}
    paths = [tmp_path / name for name in files]
    for path in paths:
        path.write_bytes(files[path.name])
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["classify", finished_race.run("frozen"), *map(str, paths), "--json"]) == 0
    upload(page, **{name.replace(".", "_"): data for name, data in files.items()}).run()

    shown = table(page)
    for row, told in zip(shown.to_dict("records"), json.loads(printed.getvalue())["pictures"], strict=True):
        assert row["predicted"] == told["predicted"]
        assert ("none of these" in row) == ("none_of_these" in told)
        assert {f"p({name})": p for name, p in told["probabilities"].items()} == pytest.approx(
            {name: value for name, value in row.items() if name.startswith("p(")}, abs=1e-12
        )


def test_unreadable_files_are_named_and_the_others_answered(page):
    upload(page, good_png=drawn("discs", 5), note_png=b"just a few words of text", empty_png=b"").run()

    assert not page.exception and not page.error
    (warning,) = page.warning
    assert "note\\.png" in warning.value and "text file" in warning.value.replace("\\", "")
    assert "empty\\.png" in warning.value and "0 bytes" in warning.value.replace("\\", "")
    assert list(table(page)["picture"]) == ["good.png", "note.png", "empty.png"]
    assert table(page)["predicted"].notna().tolist() == [True, False, False]
    images = [image.proto.imgs[0].alt for image in page.get("image")]
    assert images == ["good.png"] and page.header[0].value.startswith(table(page)["predicted"][0])

    assert "classify.next" in [pills.key for pills in page.pills]

    upload(page, note_png=b"just a few words of text").run()
    assert not page.exception and list(table(page)["picture"]) == ["note.png"]
    assert "classify.next" not in [pills.key for pills in page.pills], "there is no answer to give reasons for"
    assert len(page.warning) == 1 and not page.get("image"), "no empty cards"


def test_nothing_is_computed_twice(page, monkeypatch):
    from core.inference.predictor import Predictor

    upload(page, one_png=drawn("discs", 5), two_png=drawn("discs", 6)).run()
    before = table(page)
    monkeypatch.setattr(Predictor, "predict", None)
    monkeypatch.setattr("components.classify.answers.decode_picture", None)
    page.slider(key="classify.top").set_value(1).run()

    assert not page.exception
    assert table(page).equals(before)


def test_two_runs_stand_side_by_side_and_disagreements_come_first(page, finished_race):
    page.pills(key="classify.source").set_value("tests").run()
    compare_with(page, finished_race.run("finetuned"))

    assert not page.exception and not page.error
    shown = table(page)
    pairs = shown.groupby("picture", sort=False)["predicted"].nunique()
    odd = int((pairs > 1).sum())
    assert f"disagree on **{odd} of {len(pairs)}** pictures" in words(page)
    order = [image.proto.imgs[0].alt for image in page.get("image")]
    assert len(order) == len(pairs)
    assert [pairs[name] > 1 for name in order] == sorted(pairs > 1, reverse=True)


def network_key(run: str) -> str:
    return experiment_key(RunStore().get(run).settings)


def test_the_address_names_the_run_and_follows_the_choice(page, finished_race):
    frozen, finetuned = finished_race.run("frozen"), finished_race.run("finetuned")
    assert page.selectbox(key="classify.network").value == network_key(frozen)

    page.selectbox(key="classify.network").set_value(network_key(finetuned)).run()

    assert page.query_params["run"] == finetuned
    assert page.selectbox(key="classify.network").value == network_key(finetuned)
    assert words(page).startswith("**Fine\\-tuned \\(2 epochs\\, 96 px\\, batches of 8\\)**, validation accuracy")


def test_an_address_with_another_run_is_explained(start, finished_race):
    at = start("classify.py", run="[x](y)")

    assert not at.exception
    assert at.selectbox(key="classify.network").value in {
        network_key(finished_race.run(scenario)) for scenario in ("frozen", "finetuned")
    }
    assert "is not here any more" in at.warning[0].value and "[x](y)" not in words(at)


def test_pictures_that_another_run_may_have_learnt_from_are_pointed_out(page, finished_race, monkeypatch):
    monkeypatch.setattr("components.resources.load_record", lambda run: replace(load_record(run), test_contents=()))
    page.pills(key="classify.source").set_value("tests").run()
    compare_with(page, finished_race.run("finetuned"))

    count = len(set(table(page)["picture"]))
    assert f"was not tested on {count} of these {count} and may have trained on some" in words(page)


def test_many_pictures_come_in_pages_and_one_table(page):
    upload(page, **{f"{number}_png": drawn("discs", number) for number in range(30)}).run()
    assert len(page.get("image")) == 24 and len(table(page)) == 30

    page.session_state["classify.page_number"] = 2
    page.run()
    assert len(page.get("image")) == 6


def test_the_camera_asks_for_nothing_until_it_is_wanted(page):
    assert not page.get("camera_input")

    page.pills(key="classify.source").set_value("camera").run()
    for place in range(2):  # it goes on: the next photo is one click away
        photo = encoded(draw_picture("squares", place), "JPEG")
        page.camera_input(key=f"classify.camera.{place}").upload("photo.jpg", photo, "image/jpeg").run()

        assert not page.exception
        assert len(table(page)) == 1 and page.camera_input(key=f"classify.camera.{place + 1}").value is None


def test_too_large_a_file_is_refused_on_the_server_too(page, monkeypatch):
    monkeypatch.setattr("components.classify.answers.MAX_MEGABYTES", 0)
    upload(page, big_png=drawn("discs", 9)).run()

    assert "larger than 0 MB" in page.warning[0].value


@pytest.fixture
def drawn_tests(page):
    """The run's own test pictures, answered."""
    return page.pills(key="classify.source").set_value("tests").run()


def test_test_pictures_come_with_true_class_and_recorded_answer_and_nothing_is_explained_unasked(
    drawn_tests, finished_race, monkeypatch
):
    record, said = (f(finished_race.run("frozen")) for f in (load_record, load_predictions))
    by_name = dict(zip(record.test_names, said.probabilities, strict=True))
    for row in table(drawn_tests).to_dict("records"):
        told = [row[f"p({name})"] for name in record.dataset.class_names]
        assert row["true class"] == row["picture"].split("/")[0]
        assert np.allclose(told, by_name[row["picture"]], atol=1e-4)

    monkeypatch.setattr("core.inference.explain.heat_map", None)
    drawn_tests.slider(key="classify.top").set_value(1).run()
    assert not drawn_tests.exception
    assert len(drawn_tests.get("image")) == len(table(drawn_tests))


def test_each_answer_comes_with_its_reasons_when_they_are_wanted(drawn_tests, finished_race):
    pictures = len(table(drawn_tests))
    drawn_tests.pills(key="classify.next").set_value(["why", "second"]).run()
    drawn_tests.selectbox(key="classify.second").set_value(finished_race.run("finetuned")).run()
    drawn_tests.pills(key="classify.explanations").set_value(["input", "heat", "nearest"]).run()

    assert not drawn_tests.exception and not drawn_tests.error
    alts = [image.proto.imgs[0].alt for image in drawn_tests.get("image")]
    assert sum(alt.startswith("Heat map of ") for alt in alts) == 2 * pictures
    assert sum(alt.endswith("as the model input") for alt in alts) == 2 * pictures
    assert "one scale" in words(drawn_tests) and "does not prove" in words(drawn_tests)
    assert words(drawn_tests).count("most like, of what it learnt from") == 2 * pictures


def test_the_named_classes_follow_the_coverage_and_stand_in_the_table(drawn_tests, finished_race):
    from core.inference.prediction_sets import fewest_pictures

    said = load_predictions(finished_race.run("frozen"))
    assert len(said.val_targets) < fewest_pictures(0.9)
    assert f"no coverage of 90 % can be promised (it takes {fewest_pictures(0.9)})" in words(drawn_tests).replace(
        "\\", ""
    )
    assert "named" not in table(drawn_tests)

    drawn_tests.slider(key="classify.coverage").set_value(60).run()

    rows = table(drawn_tests)
    assert set(" or ".join(rows["named"]).split(" or ")) <= {"discs", "squares", "stripes", ""}
    assert words(drawn_tests).count("Not sure: ") == (rows["named"] != rows["predicted"]).sum()


def test_a_calibrated_run_shows_calibrated_probabilities_and_says_by_what(start, finished_race, monkeypatch):
    monkeypatch.setattr("components.resources.load_record", lambda run: replace(load_record(run), temperature=2.0))
    at = start("classify.py", run=finished_race.run("frozen"))
    at.pills(key="classify.source").set_value("tests").run()

    record, said = (f(finished_race.run("frozen")) for f in (load_record, load_predictions))
    by_name = dict(zip(record.test_names, said.probabilities, strict=True))
    for row in table(at).to_dict("records"):
        raw = by_name[row["picture"]]
        softened = np.sqrt(raw) / np.sqrt(raw).sum()
        assert np.allclose([row[f"p({name})"] for name in record.dataset.class_names], softened, atol=1e-3)
    assert f"calibrated on {record.split.val} val pictures" in words(at)


def test_unknown_images_are_rendered_and_a_small_val_part_turns_none_away(page):
    page.pills(key="classify.source").set_value("unknown").run()

    assert not page.exception and not page.error
    assert len(table(page)) == 14 and "Unknown images are not detected: there are" in words(page).replace("\\", "")
    assert headline(page).startswith("14 pictures: ") and "none of these" not in headline(page)
    assert sum("Unknown images not detected." in caption.value for caption in page.caption) == 1


@pytest.fixture
def turning_away(monkeypatch):
    """Every picture is taken for something else, as if val were large enough to say so."""
    from core.inference.out_of_distribution import Detector, OodLimit

    limit = OodLimit(farthest=-1.0, turned_away=0.02, val_pictures=60)
    monkeypatch.setattr("core.inference.known.fit_detector", lambda train, val: Detector(train=train, limit=limit))


def test_that_it_is_none_of_these_is_the_whole_answer_and_the_closest_class_is_folded(page, turning_away):
    upload(page, one_png=drawn("discs", 5)).run()

    assert headline(page) == ":material/help: None of these"
    (closest,) = [each for each in page.expander if each.label == "Closest class"]
    assert not closest.proto.expanded and "%" in closest.markdown[0].value
    assert "Also possible" not in words(page)
    assert set(table(page)["none of these"]) == {"yes"}

    upload(page, one_png=drawn("discs", 5), two_png=drawn("discs", 6)).run()
    assert headline(page) == "2 pictures: none of these"
    assert words(page).count("**:material/help: None of these**") == 2

    upload(page, one_png=drawn("discs", 5)).run()
    page.toggle(key="classify.detect").set_value(False).run()
    assert headline(page).endswith(" %") and "none of these" not in table(page)


def test_an_answer_stands_there_before_the_training_pictures_were_looked_at(page, turning_away, monkeypatch):
    import components.classify.output as output

    seen = []
    monkeypatch.setattr(output, "is_known", lambda record: False)
    monkeypatch.setattr(output, "wait_until_known", lambda records: seen.append(len(records)))
    drawn_before = []
    show = output.show_answers
    monkeypatch.setattr(output, "show_answers", lambda *a: (drawn_before.append(a[2][0].rules.detector), show(*a)))
    upload(page, one_png=drawn("discs", 5)).run()

    assert not page.exception and seen == [1]
    assert len(drawn_before) == 2 and drawn_before[0] is None and drawn_before[1] is not None


def test_a_click_on_a_test_picture_asks_about_it_until_a_file_is_brought(page, finished_race):
    record = load_record(finished_race.run("frozen"))
    examples = [button for button in page.button if button.key.startswith("classify.example.")]
    assert len(examples) == 6 and all("![Test picture of " in button.label for button in examples)

    examples[2].click().run()
    (row,) = table(page).to_dict("records")
    assert row["picture"] == record.test_names[int(examples[2].key.rpartition(".")[2])]
    assert row["true class"] in examples[2].label

    upload(page, mine_png=drawn("discs", 5)).run()
    assert list(table(page)["picture"]) == ["mine.png"]


def test_without_the_training_pictures_answers_are_given_all_the_same(start, finished_race, monkeypatch):
    from core.errors import DatasetError

    def gone(dataset_id: str) -> None:
        raise DatasetError("The data set is not here any more.")

    monkeypatch.setattr("components.resources.load_stored", gone)
    at = start("classify.py", run=finished_race.run("frozen"))
    assert "No examples: The data set is not here any more" in words(at).replace("\\", "")
    upload(at, one_png=drawn("discs", 5)).run()
    at.pills(key="classify.next").set_value(["why"]).run()

    assert not at.exception and not at.error
    said = words(at).replace("\\", "")
    assert len(table(at)) == 1 and "Unknown images are not detected: The data set is not here any more" in said


def test_test_pictures_are_the_runs_where_the_data_set_came_back_in_another_order(page, finished_race, monkeypatch):
    run = finished_race.run("frozen")
    dataset = load_stored(load_record(run).dataset.id)
    turned = replace(dataset, pictures=dataset.pictures[::-1])  # places in the pixel file go along
    monkeypatch.setattr("components.resources.load_stored", lambda dataset_id: turned)

    page.pills(key="classify.source").set_value("tests").run()

    assert not page.exception
    assert set(table(page)["picture"]) <= set(load_record(run).test_names)


def test_a_network_of_other_pictures_than_the_chosen_ones_says_which(start, finished_race):
    run = load_record(finished_race.run("frozen"))

    other, own = start("classify.py"), start("classify.py", data=run.dataset.id)

    assert f"trained on {run.dataset.title}" in words(other) and "trained on" not in words(own)
