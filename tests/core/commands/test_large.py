"""Large data sets on the command line."""

from pathlib import Path

from helpers import Asked, Refused


def test_a_large_set_from_its_pictures_to_its_test_accuracy(few_folder: Path, asked: Asked):
    added = asked("large", "add", str(few_folder), "--size", "4", "--processes", "1")
    assert (added["pictures"], added["shards"], added["taken_in_now"]) == (15, 4, 4)
    assert asked("large", "list")["sets"][0]["id"] == added["id"]

    result = asked("large", "train", added["id"], "--processes", "1", "--l2", "0.1", "--views", "1")
    assert result["test"]["total"] == sum(result["counts"]["test"])
    assert asked("large", "features", added["id"], "--processes", "1", "--views", "1")["computed_now"] == 0


def test_what_is_not_here_is_said(tmp_path: Path, refused: Refused):
    assert "no large data set 'abc'" in refused("large", "train", "abc")
    assert "There is no folder or tar called 'nothing'" in refused("large", "add", str(tmp_path / "nothing"))
