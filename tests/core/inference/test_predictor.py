"""A run's model says the same about a picture wherever it is asked."""

import threading

import numpy as np
import pytest
import torch
from helpers import FinishedRace, draw_picture, encoded

from core.data.dataset import load_stored
from core.data.loaders import EVAL_BATCH
from core.data.reading.decode import decode_picture
from core.errors import ImageError, RunError
from core.inference.predictor import Predictor
from core.runs.record import WEIGHTS, delete_files, load_predictions, load_record, run_folder

SCENARIOS = ["frozen", "finetuned"]


@pytest.fixture(scope="module")
def predictors() -> dict[str, Predictor]:
    """Loaded once for each scenario."""
    return {}


@pytest.fixture
def predictor(finished_race: FinishedRace, predictors: dict[str, Predictor]) -> Predictor:
    if "frozen" not in predictors:
        predictors["frozen"] = Predictor.load(finished_race.run("frozen"))
    return predictors["frozen"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_stored_test_predictions_come_out_again_from_the_stored_pixels(finished_race: FinishedRace, scenario: str):
    run = finished_race.run(scenario)
    record, predictions = load_record(run), load_predictions(run)
    dataset = load_stored(record.dataset.id)

    again = Predictor.load(run).predict([dataset.pixels[index] for index in record.test_pictures])

    assert np.abs(again - predictions.probabilities).max() <= 1e-5
    assert [dataset.pictures[index].target for index in record.test_pictures] == predictions.targets.tolist()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_stored_test_predictions_come_out_again_from_the_original_files(finished_race: FinishedRace, scenario: str):
    run = finished_race.run(scenario)
    record, stored = load_record(run), load_predictions(run).probabilities
    predictor = Predictor.load(run)

    again = [predictor.predict_file((finished_race.folder / name).read_bytes()) for name in record.test_names]

    assert np.abs(np.stack(again) - stored).max() <= 1e-5


def test_rows_are_probabilities_in_the_order_of_the_class_names(predictor: Predictor):
    pictures = [np.asarray(draw_picture("discs", 100 + n)) for n in range(3)]

    rows = predictor.predict(pictures)

    assert rows.shape == (3, 3) and rows.dtype == np.float32
    assert np.abs(rows.sum(1) - 1).max() < 1e-6
    assert predictor.class_names == ("discs", "squares", "stripes")


def test_a_picture_gets_the_same_answer_alone_and_in_company(predictor: Predictor):
    pictures = [np.asarray(draw_picture(kind, n)) for kind in ("discs", "stripes") for n in range(EVAL_BATCH)]
    pictures.append(np.asarray(draw_picture("squares", 1)))  # two full batches and one that is not

    together = predictor.predict(pictures)

    for index in (0, EVAL_BATCH - 1, EVAL_BATCH, 2 * EVAL_BATCH):
        assert np.abs(predictor.predict([pictures[index]])[0] - together[index]).max() < 1e-5


def test_no_picture_is_no_row(predictor: Predictor):
    assert predictor.predict([]).shape == (0, 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (2000, 30)])
def test_any_shape_of_picture_gets_an_answer(predictor: Predictor, size: tuple[int, int]):
    row = predictor.predict_file(encoded(draw_picture("discs", 1).resize(size)))

    assert row.shape == (3,) and row.sum() == pytest.approx(1.0)


def test_what_is_no_picture_is_refused_with_its_reason(predictor: Predictor):
    with pytest.raises(ImageError, match="text file"):
        predictor.predict_file(b"dear aunt, this is a letter")


def test_threads_get_the_same_answers(predictor: Predictor):
    pictures = [decode_picture(encoded(draw_picture("squares", n))) for n in range(4)]
    expected, found = predictor.predict(pictures), {}

    def ask(number: int) -> None:
        found[number] = predictor.predict(pictures)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(np.array_equal(found[number], expected) for number in range(4))


def test_asking_leaves_the_model_and_the_global_generator_alone(predictor: Predictor):
    state = torch.get_rng_state()
    picture = [np.asarray(draw_picture("discs", 1))]

    assert np.array_equal(predictor.predict(picture), predictor.predict(picture))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_without_files_is_named(thaw_home):
    with pytest.raises(RunError, match="'nosuch'"):
        Predictor.load("nosuch")


@pytest.mark.parametrize("damage", ["missing", "cut off", "empty"])
def test_damaged_weights_are_refused_by_the_runs_name(finished_race: FinishedRace, monkeypatch, tmp_path, damage: str):
    run = finished_race.run("frozen")
    content = {path.name: path.read_bytes() for path in run_folder(run).iterdir()}
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "copy"))
    run_folder(run).mkdir()
    for name, data in content.items():
        (run_folder(run) / name).write_bytes(data)
    path = run_folder(run) / WEIGHTS
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[WEIGHTS][: 1000 if damage == "cut off" else 0])

    with pytest.raises(RunError, match=f"weights of run {run!r} (are missing or damaged|have changed)"):
        Predictor.load(run)
    delete_files(run)
