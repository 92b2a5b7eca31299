"""What the released code stored is read: a home folder and a zip that commit bff469e wrote, see `tests/fixtures`."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.data.dataset import MANIFEST, Dataset, load_stored, manifest_of, stored_datasets
from core.data.pixels import FILE_NAME, length_of
from core.data.reading.decode import decode_picture
from core.home import unsealed
from core.machine.devices import DeviceUse
from core.runs.experiments import names_of, stored_experiments
from core.runs.record import RECORD, RECORD_MINOR, load_predictions, load_record, record_values, run_folder
from core.runs.results import load_outcome
from core.runs.store import Label, RunStore
from core.settings.scenarios import SCENARIOS
from core.training.history import EpochRecord, Progress

FIXTURES = Path(__file__).parents[1] / "fixtures"
BUILTIN = "038bb4f6adca0127"


@pytest.fixture
def old_home(thaw_home: Path) -> Path:
    """This test's home, as the released code left it."""
    with zipfile.ZipFile(FIXTURES / "home-bff469e.zip") as archive:
        archive.extractall(thaw_home)
    manifest = thaw_home / "datasets" / BUILTIN / MANIFEST
    pixels = manifest.with_name(FILE_NAME)
    pixels.touch()
    os.truncate(pixels, length_of([picture["place"] for picture in json.loads(manifest.read_bytes())["pictures"]]))
    os.utime(pixels, (0, 0))
    return thaw_home


def values_in(path: Path) -> dict[str, Any]:
    """What a file says, without its seal."""
    text, whole = unsealed(path.read_bytes())
    assert whole
    return dict(json.loads(text))


def by_kind(datasets: list[Dataset]) -> dict[str, Dataset]:
    return {"grouped" if dataset.grouped_by else dataset.kind: dataset for dataset in datasets}


def test_data_sets_are_read_and_would_be_written_word_for_word(old_home: Path):
    datasets = list(stored_datasets())

    assert len(datasets) == 4
    for dataset in datasets:
        assert json.loads(unsealed(manifest_of(dataset))[0]) == values_in(dataset.folder / MANIFEST)
    found = by_kind(datasets)
    assert len(found["builtin"].pictures) == 470 and found["builtin"].class_names == ("ants", "bees")
    assert len({picture.subject for picture in found["grouped"].pictures}) == 3
    for name in ("folder", "grouped"):
        found[name].pixels.check()


def test_records_are_read_and_would_be_written_word_for_word(old_home: Path):
    runs = [path.parent.name for path in old_home.glob(f"runs/*/{RECORD}")]

    assert len(runs) == 10
    for run in runs:
        record, written = load_record(run), values_in(run_folder(run) / RECORD)
        assert written.pop("settings")["seed"] == record.settings.seed
        values = json.loads(json.dumps(record_values(record)))
        assert values.pop("minor") == RECORD_MINOR and DeviceUse(**values.pop("device")) == DeviceUse()  # new since
        assert {**values, "settings": None} == {**written, "settings": None}
        assert len(load_predictions(run).targets) == record.split.test
        assert load_outcome(run).fingerprint == load_stored(record.dataset.id).fingerprint
    assert {load_record(run).settings.model.scenario for run in runs} == set(SCENARIOS)


def test_runs_of_all_states_are_read_with_their_progress(old_home: Path):
    store = RunStore()
    runs = {run.state: run for run in reversed(store.runs())}

    assert sorted(run.state for run in store.runs()) == ["failed", *["finished"] * 10, "queued", "running"]
    assert sorted(run.settings.data.fold for run in store.runs() if run.settings.data.fold) == [1, 2, 3]
    running = runs["running"]
    assert running.progress == Progress(
        phase="train", done=1, total=2, epoch=2, epochs=5, loss=0.8, fraction=0.4, worked_s=2.5
    )
    assert running.epochs is not None and [type(epoch) for epoch in running.epochs] == [EpochRecord]
    assert runs["finished"].summary is not None
    assert runs["finished"].summary["test_accuracy"] == load_record(runs["finished"].id).test_accuracy


def test_experiments_of_an_old_database_can_be_named_and_archived(old_home: Path):
    store = RunStore()
    experiments = stored_experiments(store)
    assert sum(len(one.runs) for one in experiments) == 13 and not any(one.name for one in experiments)

    store.label(experiments[0].key, Label(name="mine"))
    store.label(experiments[1].key, Label(archived=True))

    assert names_of(stored_experiments(RunStore()))[0] == "mine"
    assert len(stored_experiments(store)) == len(experiments) - 1


def golden_pictures() -> Iterator[bytes]:
    """What the zip was packed with, as PNG: the first eight that the code of then drew."""
    with zipfile.ZipFile(FIXTURES / "goldens-bff469e.zip") as archive:
        for number in range(1, 9):
            file = io.BytesIO()
            Image.fromarray(decode_picture(archive.read(f"{number}.jpg"))).save(file, "PNG")
            yield file.getvalue()


def test_a_zip_is_brought_in(tmp_path: Path):
    from safetensors.torch import load, save

    from core.models.build import build_model
    from core.takehome import package
    from core.takehome.import_run import import_run
    from core.takehome.plain import to_plain

    with zipfile.ZipFile(FIXTURES / "package-bff469e.zip") as archive:
        members: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    network = json.loads(members[package.RECORD])["settings"]["model"]["backbone"]
    plain = to_plain(build_model(network, num_classes=3, start="imagenet", seed=0).state_dict(), network)
    plain |= load(members.pop("head.safetensors"))
    members[package.WEIGHTS] = save({name: tensor.contiguous() for name, tensor in plain.items()})
    members |= dict(zip(package.GOLDEN_PICTURES, golden_pictures(), strict=True))
    package.write_package(tmp_path / "old.zip", members)

    run = import_run(RunStore(), tmp_path / "old.zip")

    assert run.state == "finished" and load_record(run.id).imported
    assert load_record(run.id).freeze_audit.bit_identical
