"""A zip that was packed comes back as the same run, from earlier versions too."""

import json
import random
import zipfile
from pathlib import Path

import pytest
from helpers import FinishedRace, write_zip
from safetensors.torch import load, save

from core.__main__ import main
from core.data.reading.decode import decode_picture
from core.errors import PackageError, ThawError
from core.inference.predictor import Predictor
from core.runs.record import load_predictions, load_record, run_folder
from core.runs.results import load_outcome
from core.runs.store import RunStore
from core.takehome import package
from core.takehome.import_run import import_run
from core.takehome.package import open_package, write_package

Members = dict[str, bytes]


def test_a_packed_run_comes_back_and_says_the_same(
    packed: Path, _race: FinishedRace, capsys: pytest.CaptureFixture[str]
):
    run_id = _race.run("finetuned")

    assert main(["import", str(packed), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["run"] == run_id and told["imported"] is True and told["state"] == "finished"
    here, picture = (
        Predictor.load(run_id),
        decode_picture((_race.folder / load_record(run_id).test_names[0]).read_bytes()),
    )
    mine, outcome = load_record(run_id), load_outcome(run_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THAW_HOME", str(_race.home))
        there, theirs, their_outcome = Predictor.load(run_id), load_record(run_id), load_outcome(run_id)
    assert (here.predict([picture]) == there.predict([picture])).all()
    assert (outcome.probabilities == their_outcome.probabilities).all()
    assert mine.imported and not theirs.imported and mine.confusion == theirs.confusion
    assert mine.freeze_audit == theirs.freeze_audit and mine.parameters == theirs.parameters
    assert RunStore().evaluations(mine.test_part) == 1


def test_the_same_zip_twice_is_one_run_and_where_it_was_trained_it_changes_nothing(
    packed: Path, finished_race: FinishedRace
):
    before = load_record(finished_race.run("finetuned"))

    run = import_run(RunStore(), packed)

    assert run.id == before.run and load_record(run.id) == before and len(RunStore().runs()) == 2


def test_a_run_that_comes_back_after_it_was_deleted_has_looked_at_the_test_part_once(packed: Path):
    store = RunStore()
    run = import_run(store, packed)
    again = import_run(store, packed)
    store.delete(run.id)

    assert again.number == run.number and import_run(store, packed).id == run.id
    assert store.evaluations(load_record(run.id).test_part) == 1


@pytest.mark.slow
def test_what_came_back_can_be_packed_again_and_is_the_same(
    packed: Path, members: Members, tmp_path: Path, quick_translation: None
):
    run = import_run(RunStore(), packed)

    assert main(["export", run.id, str(tmp_path / "again.zip")]) == 0

    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        for name in (package.WEIGHTS, package.PREDICTIONS, package.GOLDENS):
            assert archive.read(name) == members[name]
        # its pictures are not here, so there is no script that would train on them
        card = [line for line in members[package.CARD].splitlines() if b"train.py" not in line]
        assert package.TRAIN not in archive.namelist() and archive.read(package.CARD).splitlines() == card
        assert b"train.py" not in archive.read(package.REQUIREMENTS)


@pytest.mark.parametrize("folder", ["", "thaw-run/"])
def test_unpacked_and_packed_again_by_hand_it_is_still_the_run(
    packed: Path, members: Members, tmp_path: Path, folder: str
):
    with zipfile.ZipFile(packed) as archive:
        files = {f"{folder}{name}": archive.read(name) for name in archive.namelist()}
    litter = {f"{folder}.DS_Store": b"x", f"__MACOSX/{folder}._model.json": b"x"}

    again = write_zip(tmp_path / "again.zip", {**files, **litter}, zipfile.ZIP_STORED)
    assert import_run(RunStore(), again).state == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("flips", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_every_flipped_bit_in_the_weights_is_caught_by_the_zip_and_where_the_run_is_kept(
    members: Members, packed: Path, tmp_path: Path, flips: int
):
    with zipfile.ZipFile(packed) as archive:
        sums = archive.read(package.SUMS)
    weights, dice = bytearray(members[package.WEIGHTS]), random.Random(2)
    run = import_run(RunStore(), packed)
    stored = run_folder(run.id) / package.WEIGHTS
    for _ in range(flips):
        place, bit = dice.randrange(len(weights)), 1 << dice.randrange(8)
        weights[place] ^= bit
        small = {name: data for name, data in members.items() if name != package.ONNX}
        lines = b"".join(line for line in sums.splitlines(keepends=True) if package.ONNX.encode() not in line)
        path = write_zip(
            tmp_path / "flip.zip", {**small, package.WEIGHTS: bytes(weights), package.SUMS: lines}, zipfile.ZIP_STORED
        )
        with pytest.raises(PackageError, match="has changed since it was packed"), open_package(path):
            pass
        weights[place] ^= bit
        with stored.open("r+b") as file:
            file.seek(place)
            old = file.read(1)
            file.seek(place)
            file.write(bytes([old[0] ^ bit]))
        with pytest.raises(ThawError, match="have changed since training"):
            Predictor.load(run.id)
        with stored.open("r+b") as file:
            file.seek(place)
            file.write(old)
    assert Predictor.load(run.id)


def test_a_run_whose_predictions_were_changed_is_not_shown(packed: Path):
    run = import_run(RunStore(), packed)
    path = run_folder(run.id) / "predictions.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(ThawError, match="have changed since training"):
        load_predictions(run.id)


def test_the_onnx_file_is_never_opened(members: Members, tmp_path: Path):
    write_package(tmp_path / "odd.zip", {**members, package.ONNX: b"external_data ../../etc/passwd"})

    assert import_run(RunStore(), tmp_path / "odd.zip").state == "finished"


def test_a_run_of_an_earlier_version_comes_back_without_val(members: Members, tmp_path: Path):
    arrays = load(members[package.PREDICTIONS])
    older = {name: array for name, array in arrays.items() if not name.startswith("val_")}
    write_package(tmp_path / "older.zip", {**members, package.PREDICTIONS: save(older)})

    run = import_run(RunStore(), tmp_path / "older.zip")

    assert load_predictions(run.id).val_probabilities is None


def test_a_zip_of_an_earlier_version_whose_script_read_pictures_itself_comes_back(members: Members, tmp_path: Path):
    model = json.loads(members[package.MODEL])
    model["decoding"] = {"formats": ["JPEG", "PNG"], "max_pixels": 50_000_000, "max_aspect": 4, "short_side": 256}
    older = {name: data for name, data in members.items() if not name.startswith("reading/")}
    assert len(members) - len(older) == 1 + len(package.READING)
    write_package(tmp_path / "older.zip", {**older, package.MODEL: json.dumps(model).encode()})

    assert import_run(RunStore(), tmp_path / "older.zip").state == "finished"
