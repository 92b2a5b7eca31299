"""Answers as cards, as a table and as downloads, of networks that need not exist."""

import csv
import io
import json
import re

import numpy as np
from helpers import draw_picture, drawn, encoded
from on_page import headline, words
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.runs.record import load_predictions, load_record


def test_the_picture_shown_is_made_anew_from_the_pixels():
    from core.data.reading.decode import decode_picture
    from pages.components.resources import square_jpeg

    note = "taken at my home"
    exif = draw_picture("discs", 1).getexif()
    exif[0x010E] = note
    data = encoded(draw_picture("discs", 1), "JPEG", exif=exif)
    thumbnail = square_jpeg(Image.fromarray(decode_picture(data)), 64)

    assert note.encode() in data and note.encode() not in thumbnail
    assert Image.open(io.BytesIO(thumbnail)).size == (64, 64)


def test_runs_of_different_classes_are_shown_without_a_judgement():
    from pages.components.classify.answers import Answer, InputPicture, as_table

    answer = Answer(
        picture=InputPicture(name="x.png", content="0"),
        probabilities=(np.array([0.25, 0.75], np.float32), np.array([0.5, 0.25, 0.25], np.float32)),
    )
    shown = as_table([answer], ["one", "two"], [("a", "b"), ("b", "c", "d")])

    assert shown["predicted"].tolist() == ["b", "b"]
    assert shown["p(a)"].isna().tolist() == [False, True] and shown["p(b)"].tolist() == [0.75, 0.5]


def cards(classes: tuple[tuple[str, ...], ...], rows: dict[str, tuple[float, ...]], coverage: float = 0.0):
    """Answers of as many runs as there are tuples of class names; the first class has the given probability."""
    from types import SimpleNamespace

    import numpy as np

    from core.inference.prediction_sets import SetRule
    from pages.components.classify.answer_cards import Speaker, in_order, show_answers
    from pages.components.classify.answers import Answer, InputPicture
    from pages.components.classify.uncertainty import UncertaintyRules

    rules = UncertaintyRules(
        rule=SetRule(coverage=coverage, lowest=1 - coverage, val_pictures=99) if coverage else None
    )
    speakers = [
        Speaker(
            label=f"Network {number}",
            record=SimpleNamespace(dataset=SimpleNamespace(class_names=names), temperature=None),  # type: ignore[arg-type]
            rules=rules,
        )
        for number, names in enumerate(classes, 1)
    ]
    given = []
    for name, said in rows.items():
        probabilities = tuple(np.array([p, 1 - p], np.float32) for p in said)
        picture = InputPicture(name=name, content=name, truth="ant")
        pixels = np.zeros((4, 4, 3), np.uint8)
        given.append(Answer(picture=picture, thumbnail=pixels, probabilities=probabilities, raw=probabilities))
    show_answers(in_order(given, speakers), given, speakers, 2)


THREE = {"one.png": (0.9, 0.8), "two.png": (0.9, 0.3), "three.png": (0.2, 0.1)}
"""On the second, two runs differ."""


def drawn_cards(*classes: tuple[str, ...], rows: dict[str, tuple[float, ...]] = THREE, coverage: float = 0.0):
    at = AppTest.from_function(cards, default_timeout=30, args=(classes, rows, coverage)).run()
    assert not at.exception
    return at


def test_the_picture_on_which_two_runs_differ_comes_first():
    at = drawn_cards(("ant", "bee"), ("ant", "bee"))

    assert [image.proto.imgs[0].alt for image in at.get("image")] == ["two.png", "one.png", "three.png"]
    assert headline(at) == "3 pictures: ant 2, bee 1"
    assert "disagree on **1 of 3** pictures" in words(at)
    assert words(at).count("-badge[:material/call_split:") == 1


def test_of_several_answers_it_is_said_once_what_they_are_worth():
    one, two = drawn_cards(("ant", "bee")), drawn_cards(("ant", "bee"), ("ant", "bee"))

    assert words(one).count("Not calibrated.") == 1 and words(two).count("Not calibrated.") == 2


def test_runs_of_different_classes_neither_agree_nor_are_wrong_about_a_class_they_do_not_know():
    at = drawn_cards(("ant", "bee"), ("cat", "dog"))

    assert [image.proto.imgs[0].alt for image in at.get("image")] == ["one.png", "two.png", "three.png"]
    assert "know different classes" in words(at) and "disagree on" not in words(at)
    assert words(at).count("material/check") + words(at).count("material/close") == 3


def test_the_same_classes_in_another_order_can_be_compared():
    at = drawn_cards(("ant", "bee"), ("bee", "ant"))

    assert "disagree on **2 of 3** pictures" in words(at)


def test_a_hostile_class_name_is_shown_literally():
    names = ("[x](http://a.example)", ":red[b]")
    shown = [drawn_cards(names, names), drawn_cards(names, rows={"one.png": (0.6,)})]
    texts = [text for at in shown for text in [*words(at).splitlines(), *(header.value for header in at.header)]]

    assert sum("a\\.example" in text for text in texts) > 6
    assert not any("[x](" in text or ":red[" in text for text in texts)


def test_the_answer_about_one_picture_is_its_class_and_what_else_is_possible_stands_below():
    sure = drawn_cards(("ant", "bee"), rows={"one.png": (0.984,)}, coverage=0.9)
    unsure = drawn_cards(("ant", "bee"), rows={"one.png": (0.6,)}, coverage=0.9)

    assert headline(sure) == "ant 98.4 %" and "right, true class: ant" in words(sure)
    assert "Also possible: bee 1.6 %. Not calibrated." in words(sure) and "Not sure" not in words(sure)
    assert headline(unsure) == "ant 60.0 %" and "Not sure: ant or bee for 90 % coverage." in words(unsure)
    shown = [sure.header[0].value, *(part.value for at in (sure, unsure) for part in at.markdown)]
    assert not any(re.search(r"\d %", text) for text in shown), "a number would part from its sign on a telephone"


def test_no_cell_of_the_download_is_a_formula():
    import pandas as pd

    from pages.components.classify.answers import as_csv

    names = ["=1+1", "+a", "-a", "@a", "\ta", "äpfel.png", "a=b"]
    rows = list(csv.reader(io.StringIO(as_csv(pd.DataFrame({"picture": names, "=p": 0.5})).decode("utf-8"))))

    assert rows[0] == ["picture", "'=p"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+a", "'-a", "'@a", "'\ta", "äpfel.png", "a=b"]
    assert {row[1] for row in rows[1:]} == {"0.5"}


def test_the_json_is_what_the_command_line_prints(finished_race, tmp_path, capsys):
    from core.__main__ import main
    from core.inference.prediction_sets import fit_sets
    from pages.components.classify.answers import Answer, InputPicture
    from pages.components.classify.uncertainty import UncertaintyRules, as_json

    run, path = finished_race.run("frozen"), tmp_path / "one.png"
    path.write_bytes(drawn("discs", 5))
    record, said = load_record(run), load_predictions(run)
    assert main(["classify", run, str(path), "--coverage", "0.6", "--top", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    raw = np.array([told["pictures"][0]["raw_probabilities"][name] for name in told["class_names"]], np.float32)
    rule = fit_sets(said.val_targets, said.val_probabilities, 0.6)
    answer = Answer(picture=InputPicture(name=str(path), content="0"), probabilities=(raw,), raw=(raw,))
    why = told["unknown_images"]["why"]
    assert "Unknown images are not detected: there are" in why

    rules = [UncertaintyRules(rule=rule, undetected=why)]
    assert json.loads(as_json([answer], [record], rules, 2, True)) == {"runs": [told]}
    del told["unknown_images"]
    assert json.loads(as_json([answer], [record], rules, 2, False)) == {"runs": [told]}
