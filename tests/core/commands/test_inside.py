"""`anatomy` and `inside`: what the pages show, as JSON and as files."""

from pathlib import Path

import numpy as np
import pytest
from helpers import Asked, FinishedRace, Refused, drawn
from PIL import Image


def test_a_backbone_is_shown_layer_by_layer(asked: Asked) -> None:
    found = asked("anatomy", "resnet18")

    assert found["parameters"] == 11_689_512 and found["gflop"] == pytest.approx(3.628, rel=0.01)
    assert [layer["name"] for layer in found["layers"] if "." not in layer["name"]][-1] == "fc"
    last = found["layers"][-1]
    assert (last["kind"], last["output"], last["parameters"]) == ("Linear", [1000], 513_000)
    assert "tensors" not in found and "changes" not in found and "code" not in found


def test_everything_of_a_run_can_be_asked_for(asked: Asked, finished_race: FinishedRace) -> None:
    found = asked("anatomy", finished_race.run("finetuned"), "--tensors", "--beside", "start", "--code")

    assert found["classes"] == 3 and found["trained"] == found["parameters"]
    assert found["tensors"][-1]["key"] == "classifier.bias" and found["tensors"][0]["mean"] is not None
    assert found["changes"][0]["change"] == "changed" and found["changes"][0]["relative"] > 0
    assert found["code"]["mistake"][-1]["printed"].startswith("torch.Size([1, 3])")


def test_a_recorded_run_has_layers_and_no_numbers(asked: Asked, refused: Refused) -> None:
    found = asked("anatomy", "recorded-0-frozen", "--tensors")

    assert found["layers"] and {row["mean"] for row in found["tensors"]} == {None}
    assert "numbers only" in refused("anatomy", "recorded-0-frozen", "--beside", "start")


def test_what_a_run_sees_is_written_as_pictures(asked: Asked, finished_race: FinishedRace, tmp_path: Path) -> None:
    (picture := tmp_path / "new.png").write_bytes(drawn("discs", 3))
    run, out = finished_race.run("finetuned"), tmp_path / "out"

    options = ["--out", str(out), "--channels", "2", "--patches", "3", "--beside", "start"]
    found = asked("inside", run, str(picture), *options)

    assert [stage["level"] for stage in found["stages"]] == ["low", "middle", "high"]
    rows = [row for stage in found["stages"] for row in stage["strongest"]]
    assert len(rows) == 6 and all(len(row["response"]) == 2 and len(row["patches"]) == 3 for row in rows)
    named = [*found["filters"], *(row["file"] for row in rows), *(p["file"] for row in rows for p in row["patches"])]
    assert sorted(map(Path, named)) == sorted(out.iterdir())
    assert all(np.asarray(Image.open(name)).std() > 0 for name in found["filters"])
    assert rows[0]["patches"][0]["class"] in {"discs", "squares", "stripes"}


def test_bad_input_is_refused_in_a_line(refused: Refused, finished_race: FinishedRace, tmp_path: Path) -> None:
    (broken := tmp_path / "broken.png").write_bytes(b"no picture")
    run, out = finished_race.run("frozen"), str(tmp_path / "out")

    assert "no backbone" in refused("anatomy", "nothing")
    assert "last_stages is 9" in refused("anatomy", "resnet18", "--scenario", "last-stages", "--last-stages", "9")
    assert "broken.png" in refused("inside", run, str(broken), "--out", out)
    (picture := tmp_path / "new.png").write_bytes(drawn("discs", 3))
    assert "--out" in refused("inside", run, str(picture), "--out", str(picture / "below"))
    assert "channels" in refused("inside", run, str(picture), "--out", out, "--channels", "0")
