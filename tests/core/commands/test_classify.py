"""`classify`: the same answers as on the test part, for files and folders, with sets and heat maps."""

from pathlib import Path

import numpy as np
import pytest
from helpers import Asked, FinishedRace, Refused, drawn, write_files
from PIL import Image

from core.__main__ import main
from core.errors import DatasetError
from core.runs.record import load_predictions, load_record


def test_classify_gives_the_stored_test_predictions(asked: Asked, finished_race: FinishedRace):
    for scenario in ("frozen", "finetuned"):
        run = finished_race.run(scenario)
        stored = load_predictions(run).probabilities
        files = [str(finished_race.folder / name) for name in load_record(run).test_names]

        values = asked("classify", run, *files)

        names = values["class_names"]
        given = np.array([[row["probabilities"][name] for name in names] for row in values["pictures"]])
        assert np.abs(given - stored).max() <= 1e-5
        assert [row["predicted"] for row in values["pictures"]] == [names[i] for i in stored.argmax(1)]
        assert [row["file"] for row in values["pictures"]] == files


def test_classify_names_what_it_cannot_read_and_answers_the_rest(
    asked: Asked, finished_race: FinishedRace, tmp_path: Path
):
    (tmp_path / "letter.jpg").write_text("dear aunt, this is a letter")
    files = [str(finished_race.folder / "discs" / "0.png"), str(tmp_path / "letter.jpg"), "nosuch.jpg"]
    values = asked("classify", finished_race.run("frozen")[:6], *files, "--top", "1", code=1)

    first, second, third = values["pictures"]
    assert len(first["top"]) == 1 and first["top"][0]["class"] == first["predicted"]
    assert second["error"] == "is not a picture (text file)" and "is not there" in third["error"]


def test_classify_refuses_what_makes_no_sense(refused: Refused, finished_race: FinishedRace):
    run, picture = finished_race.run("frozen"), str(finished_race.folder / "discs" / "0.png")

    assert "nosuch.jpg: skipped, it is not there" in refused("classify", run, "nosuch.jpg")
    for top in ("0", "-1"):
        assert "top" in refused("classify", run, picture, "--top", top)


def test_classify_names_classes_for_a_coverage_and_says_what_it_promises(
    asked: Asked, refused: Refused, capsys: pytest.CaptureFixture[str], finished_race: FinishedRace
):
    run, picture = finished_race.run("frozen"), str(finished_race.folder / "discs" / "0.png")
    val = load_record(run).split.val

    (answer,) = (told := asked("classify", run, picture, "--coverage", "0.5"))["pictures"]
    impossible = asked("classify", run, picture, "--coverage", "0.99")

    assert told["sets"] == {"coverage": 0.5, "possible": True, "val_pictures": val}
    assert set(answer["named"]) <= set(told["class_names"])
    assert not impossible["sets"]["possible"] and set(impossible["pictures"][0]["named"]) == set(told["class_names"])
    assert main(["classify", run, picture, "--coverage", "0.99"]) == 0
    assert f"With {val} val pictures no coverage of 99 % can be promised" in capsys.readouterr().out
    assert "between 0 and 1" in refused("classify", run, picture, "--coverage", "90")


def test_classify_writes_a_heat_map_for_each_picture_it_can_read(
    asked: Asked, refused: Refused, finished_race: FinishedRace, tmp_path: Path
):
    folder, broken = tmp_path / "new" / "maps", tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    pictures = [str(finished_race.folder / kind / "0.png") for kind in ("discs", "squares")]  # of the same name
    command = ("classify", finished_race.run("finetuned"), pictures[0], str(broken), pictures[1], "--explain")

    told = asked(*command, str(folder), code=1)["pictures"]

    assert sorted(path.name for path in folder.iterdir()) == ["001-0.png", "003-0.png"]
    assert [row.get("heat_map") for row in told] == [str(folder / "001-0.png"), None, str(folder / "003-0.png")]
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert image.size == (224, 224)
    assert "no picture can be written there (File exists)." in refused(*command, str(broken))


def test_a_folder_is_classified_picture_by_picture(
    asked: Asked, refused: Refused, finished_race: FinishedRace, tmp_path: Path
):
    folder = write_files(
        tmp_path / "new", {"a/1.png": drawn("discs", 70), "2": drawn("squares", 71), "notes.txt": b"x"}
    )

    values = asked("classify", finished_race.run("frozen"), str(folder))

    assert [row["file"] for row in values["pictures"]] == [str(folder / "2"), str(folder / "a/1.png")]
    (tmp_path / "empty").mkdir()
    assert "There is no picture in 'empty'" in refused("classify", finished_race.run("frozen"), str(tmp_path / "empty"))
    assert "empty name" in refused("classify", finished_race.run("frozen"), "")


def test_classify_says_of_what_it_has_never_seen_that_it_is_none_of_these(
    asked: Asked, capsys: pytest.CaptureFixture[str], finished_race: FinishedRace, monkeypatch: pytest.MonkeyPatch
):
    from core.inference import known
    from core.inference.out_of_distribution import Detector, OodLimit

    run, picture = finished_race.run("finetuned"), str(finished_race.folder / "discs" / "0.png")
    assert asked("classify", run, picture)["unknown_images"]["detected"] is False, "val is too small here"
    limit = OodLimit(farthest=-1.0, turned_away=0.02, val_pictures=60)
    monkeypatch.setattr(known, "fit_detector", lambda train, val: Detector(train=train, limit=limit))

    told = asked("classify", run, picture)
    assert told["pictures"][0]["none_of_these"] is True
    assert told["unknown_images"] == {"detected": True, "turned_away": 0.02, "val_pictures": 60}
    assert main(["classify", run, picture]) == 0
    assert "0.png: none of these (closest: " in capsys.readouterr().out
    told = asked("classify", run, picture, "--no-detect-unknown")
    assert "none_of_these" not in told["pictures"][0] and "unknown_images" not in told


def test_classify_answers_without_the_pictures_it_learnt_from(
    asked: Asked, finished_race: FinishedRace, monkeypatch: pytest.MonkeyPatch
):
    def gone(dataset_id: str) -> None:
        raise DatasetError("The data set is not here any more.")

    monkeypatch.setattr("core.commands.classify.load_stored", gone)
    told = asked("classify", finished_race.run("frozen"), str(finished_race.folder / "discs" / "0.png"))

    assert told["pictures"][0]["predicted"] == "discs"
    assert "is not here any more" in told["unknown_images"]["why"]
