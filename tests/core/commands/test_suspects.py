"""`suspects`: pictures that may be mislabelled, of a data set or of a run's."""

from pathlib import Path

from helpers import Asked, FinishedRace, Refused, drawn, drawn_classes, write_files

from core.__main__ import main
from core.data.dataset import load_stored
from core.data.labels import keep_labels


def test_a_disc_among_squares_is_named_and_once_kept_it_is_only_counted(asked: Asked, tmp_path: Path, capsys):
    folder = write_files(tmp_path / "mixed", drawn_classes(12) | {"squares/odd.png": drawn("discs", 99)})

    values = asked("suspects", "--data", str(folder))

    (row,) = values["suspects"]
    assert (row["file"], row["given"], row["suggested"]) == ("squares/odd.png", "squares", "discs")
    assert values["pictures"] == 37 and row["margin"] == row["suggested_probability"] - row["given_probability"] > 0.5
    keep_labels(load_stored(values["dataset"]), [row["picture"]])
    assert main(["suspects", "--data", str(folder)]) == 0
    assert "0 of 37 pictures may be mislabelled, 1 more was kept as it is" in capsys.readouterr().out


def test_a_run_is_asked_by_its_own_backbone(asked: Asked, finished_race: FinishedRace):
    values = asked("suspects", "--data", finished_race.run("frozen"))

    assert values["pictures"] == 30 and values["suspects"] == [] and values["accuracy"] > 0.8


def test_what_is_neither_data_nor_a_run_is_refused(refused: Refused):
    assert "There is no file or folder called" in refused("suspects", "--data", "nothing-here")
