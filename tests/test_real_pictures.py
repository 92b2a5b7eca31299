"""Real training on real pictures, end to end through the command line: `python -m pytest -m slow`, some minutes."""

import json
import zipfile
from pathlib import Path

import pytest
from helpers import on_all_cores, shared_file
from safetensors.numpy import load_file

pytestmark = pytest.mark.slow


def by_scenario(race: dict) -> dict[str, dict]:
    return {run["scenario"]: run for run in race["runs"]}


@pytest.mark.takes(75)
def test_on_the_photos_frozen_and_finetuned_reach_what_we_promise(raced_photos: Path):
    runs = by_scenario(json.loads((raced_photos / "race.json").read_text()))

    assert runs["frozen"]["test_accuracy"] >= 0.92
    assert runs["finetuned"]["test_accuracy"] >= 0.90
    assert runs["frozen"]["freeze_audit"]["bit_identical"]
    assert runs["frozen"]["work"]["pictures_forward"] == 2 * 195 + 49 + 153
    assert runs["frozen"]["split"]["hash"] == runs["finetuned"]["split"]["hash"]


@pytest.mark.long
def test_on_the_drawings_more_thawing_is_better_and_from_scratch_is_behind(tmp_path):
    race = on_all_cores(tmp_path, "race", "--data", "builtin", "--scenarios", "frozen,finetuned,scratch")

    runs = by_scenario(race)
    frozen, finetuned, scratch = (runs[name]["test_accuracy"] for name in ("frozen", "finetuned", "scratch"))
    assert 0.65 < frozen < 0.95, "clearly above chance, clearly below perfect"
    assert finetuned > frozen > scratch
    better = {(pair["a"], pair["b"]): pair["outcome"] for pair in race["verdict"]["pairs"]}
    assert set(better) == {("frozen", "finetuned"), ("frozen", "scratch"), ("finetuned", "scratch")}


def test_classify_gives_the_stored_test_predictions_on_the_photos(raced_photos: Path, tmp_path: Path):
    run = by_scenario(json.loads((raced_photos / "race.json").read_text()))["frozen"]["run"]
    record = json.loads((raced_photos / "runs" / run / "record.json").read_text())
    stored = load_file(raced_photos / "runs" / run / "predictions.safetensors")["probabilities"]
    with zipfile.ZipFile(shared_file("data", "hymenoptera_data.zip")) as archive:
        files = [archive.extract(name, tmp_path / "photos") for name in record["test_names"]]

    answers = on_all_cores(raced_photos, "classify", run, *files)["pictures"]

    given = [list(answer["probabilities"].values()) for answer in answers]
    assert given == [pytest.approx(row, abs=1e-5) for row in stored.tolist()]
