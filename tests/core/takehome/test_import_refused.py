"""Zips that were changed or are something else: refused with the reason, or as good as what was packed."""

import copy
import io
import json
import os
import pickle
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ENDLESS, write_zip
from safetensors.torch import load, save

from core.__main__ import main
from core.errors import PackageError
from core.runs.record import RECORD_MINOR, load_record, run_folder
from core.runs.store import RunStore
from core.takehome import package
from core.takehome.import_run import import_run
from core.takehome.package import write_package

Members = dict[str, bytes]


def refused(tmp_path: Path, members: Members, reason: str) -> None:
    """The zip of these members is refused with this reason, and nothing is kept."""
    path = tmp_path / "changed.zip"
    write_package(path, members)
    refused_file(path, reason)


def refused_file(path: Path, reason: str) -> None:
    store = RunStore()
    with pytest.raises(PackageError, match=reason):
        import_run(store, path)
    runs = run_folder("0").parent
    assert store.runs() == [] and (not runs.exists() or list(runs.iterdir()) == [])


def edited(data: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    values = json.loads(data)
    edit(values)
    return json.dumps(values).encode()


def test_another_run_with_the_same_id_is_refused(packed: Path, members: Members, tmp_path: Path):
    store = RunStore()
    run = import_run(store, packed)
    members[package.RECORD] = edited(members[package.RECORD], lambda record: record.update(duration_s=1.0))
    write_package(tmp_path / "other.zip", members)

    with pytest.raises(PackageError, match=f"Another run with the id {run.id}"):
        import_run(store, tmp_path / "other.zip")


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/thaw-was-here",)


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_pkl", ".pkl").replace("_npy", ".npy"), data)
    return file.getvalue()


OTHER_FILES = {
    "D1 pickle": (pickle.dumps(Bomb()), "can run code"),
    "D1 pickle, protocol 2": (pickle.dumps(Bomb(), protocol=2), "can run code"),
    "D1 .pt": (zipped(model__data_pkl=pickle.dumps(Bomb()), model__version=b"3"), "can run code"),
    "D3 .pt bomb": (zipped(model__data_pkl=bytes(20 * 1024**2)), "can run code"),
    "D3 .npz bomb": (zipped(a_npy=bytes(20 * 1024**2)), r"\.npz"),
    "D2 safetensors": (save({"a": torch.zeros(2)}), "bring the whole zip"),
    "D12 ONNX": (b"\x08\x0a\x12\x07pytorch" + bytes(100), "an ONNX file"),
    "D13 HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "D13 Keras": (zipped(**{"config.json": b"{}", "model.weights.h5": b"x"}), "a Keras model"),
    "D13 GGUF": (b"GGUF\x03\0\0\0" + bytes(100), "GGUF"),
    "D13 TorchScript": (zipped(m__data_pkl=b"x", m__code=b"x", m__constants_pkl=b"x"), "can run code"),
    "D14 a web page": (b"  <!DOCTYPE html><html>404</html>", "a web page"),
    "D14 nothing": (b"", "empty"),
    "tar": (bytes(257) + b"ustar" + bytes(300), "tar file"),
    "pictures": (zipped(ants=b"x", bees=b"y"), "not packed by Thaw"),
    "text": (b"hello, this is text and no zip", "not a zip"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_rows_d1_to_d3_and_d12_to_d14_other_files_are_named_and_never_opened(tmp_path: Path, kind: str):
    data, reason = OTHER_FILES[kind]
    path = tmp_path / "model.zip"
    path.write_bytes(data)

    refused_file(path, reason)

    assert not Path("/tmp/thaw-was-here").exists()


def test_row_d14_cut_off_anywhere_it_is_refused_and_the_whole_still_comes_back(packed: Path, tmp_path: Path):
    data, dice = packed.read_bytes(), random.Random(0)
    part = tmp_path / "part.zip"

    for size in (*dice.sample(range(1, len(data)), 40), len(data) - 1):
        part.write_bytes(data[:size])
        refused_file(part, "zip")
    assert import_run(RunStore(), packed).state == "finished"


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["import", str(tmp_path / "none.zip")]) == 2
    assert capsys.readouterr().err == "python -m core import: There is no file 'none.zip'.\n"


def test_row_d11_one_bit_anywhere_is_caught_by_the_list_of_hashes(members: Members, packed: Path, tmp_path: Path):
    with zipfile.ZipFile(packed) as archive:
        sums, members[package.ONNX] = archive.read(package.SUMS), archive.read(package.ONNX)
    dice = random.Random(1)
    for name in sorted(members):
        changed = bytearray(members[name])
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        path = write_zip(
            tmp_path / "flip.zip", {**members, name: bytes(changed), package.SUMS: sums}, zipfile.ZIP_STORED
        )
        refused_file(path, f"{name} has changed since it was packed")


def test_a_file_too_many_too_few_or_a_link_is_refused(members: Members, tmp_path: Path):
    refused(tmp_path, {**members, "virus.exe": b"x"}, "did not pack: virus.exe")
    refused(tmp_path, {name: data for name, data in members.items() if name != package.RECORD}, "lacks record.json")
    path = tmp_path / "link.zip"
    write_package(path, {name: data for name, data in members.items() if name != package.CARD})
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(package.CARD)
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "../../etc/passwd")
    refused_file(path, "not about the files in it")


def test_a_file_that_is_too_large_is_not_read(members: Members, tmp_path: Path):
    refused(tmp_path, {**members, package.MODEL: members[package.MODEL] + bytes(1024**2)}, r"model\.json .* than 1 MB")


def test_golden_pictures_that_are_none_are_refused(members: Members, tmp_path: Path):
    refused(tmp_path, {**members, package.GOLDEN_PICTURES[0]: b"no picture"}, "A golden picture in the zip")


@pytest.mark.parametrize("error", [RuntimeError("sizes"), AssertionError("Wrong image height!")], ids=repr)
def test_a_network_that_cannot_take_what_its_preprocessing_gives_is_refused(
    members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def fail(*_args: object) -> None:
        raise error

    monkeypatch.setattr("core.takehome.import_run.golden_logits", fail)

    refused(tmp_path, members, "does not work with its preprocessing")


def changed_weights(members: Members, change: Callable[[dict[str, torch.Tensor]], object]) -> Members:
    state = load(members[package.WEIGHTS])
    change(state)
    return {**members, package.WEIGHTS: save(state)}


def test_rows_d8_to_d10_weights_that_do_not_fit_are_refused(members: Members, tmp_path: Path):
    head = "classifier.weight"

    def with_outputs(state: dict[str, torch.Tensor]) -> None:
        state[head], state["classifier.bias"] = torch.zeros(12, state[head].shape[1]), torch.zeros(12)

    for change, reason in (
        (with_outputs, "has 12 outputs but its class list names 3"),
        (lambda state: state.update({head: state[head].T.contiguous()}), "outputs but its class list"),
        (lambda state: state.update({"conv_stem.weight": torch.zeros(32, 3, 5, 5)}), "conv_stem.weight is"),
        (lambda state: state.pop("bn1.weight"), "lacks: bn1.weight"),
        (lambda state: state.update({"more": torch.zeros(1)}), "in addition: more"),
        (lambda state: state[head].fill_(float("nan")), "invalid numbers"),
    ):
        refused(tmp_path, changed_weights(members, change), reason)


def test_weights_that_answer_otherwise_are_refused_even_if_everything_fits(members: Members, tmp_path: Path):
    refused(tmp_path, changed_weights(members, lambda state: state["classifier.bias"].add_(0.1)), "do not reproduce")


def set_in(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Sets what stands at the path, its last item being the new value."""

    def edit(record: dict[str, Any]) -> None:
        *steps, last, value = path
        place: Any = record
        for step in steps:
            place = place[step]
        place[last] = value

    return edit


def count_otherwise(record: dict[str, Any]) -> None:
    """As many test pictures as before, of other classes."""
    counts = record["class_counts"]["test"]
    counts[0], counts[1] = counts[0] + 1, counts[1] - 1


BAD_RECORDS = {
    "another version": (set_in("version", 99), "version"),
    "no id": (set_in("run", "../../etc"), "run: expected"),
    "an id with an end of line": (set_in("run", "0123456789\n"), "run: expected"),
    "data set elsewhere": (set_in("dataset", "id", "../x"), "dataset.id: expected"),
    "data set contradicts": (set_in("dataset", "id", "abc"), "contradicts itself"),
    "unknown backbone": (set_in("settings", "model", "backbone", "resnet9000"), "resnet9000"),
    "unknown setting": (set_in("settings", "model", "hidden", 1), "hidden"),
    "unknown augmentation": (
        set_in("settings", "augment", {"preset": "custom", "steps": [{"name": "Explode", "values": []}]}),
        "'Explode' is unknown",
    ),
    "no history": (set_in("history", []), "history: expected array of length >= 1"),
    "settings of another time": (set_in("settings", "version", 77), "version 77"),
    "one class": (set_in("dataset", "class_names", ["a"]), "class_names: expected array of length >= 2"),
    "class twice": (set_in("dataset", "class_names", ["a", "a", "b"]), "contradicts itself"),
    "class without a name": (set_in("dataset", "class_names", ["a", " ", "b"]), "visible name"),
    "classes elsewhere": (set_in("dataset", "class_names", ["a", "b", "c"]), "different networks"),
    "huge picture": (set_in("preprocessing", "image_size", 10**9), "image_size"),
    "better scores": (set_in("confusion", 0, 0, 99), "not those of its predictions"),
    "better accuracy": (set_in("test_accuracy", 0.999), "not that of its predictions"),
    "accuracy above one": (set_in("test_accuracy", 1.5), "test_accuracy: expected float <= 1"),
    "audit that lies": (set_in("freeze_audit", "bit_identical", True), "audit in the zip contradicts"),
    "audit that runs": (set_in("freeze_audit", "changed", ["<script>"]), r"freeze_audit.changed\[0\]: expected"),
    "groups of some": (set_in("test_groups", ["a"]), "the group of every test picture"),
    "more pictures of a class": (set_in("class_counts", "train", 0, 99), r"contradicts itself \(pictures by class"),
    "other classes tested": (count_otherwise, r"contradicts itself \(test pictures by class"),
    "a test picture too few": (set_in("test_names", []), "every test picture"),
    "time of text": (set_in("timings", "train", "long"), "timings.train: expected float, got str"),
    "more than is known": (set_in("html", "<b>"), r"\(the whole: unknown field\)"),
    "another kind of id": (set_in("run", "recorded-1"), r"\(run\)"),
    "more in a list": (set_in("history", 0, "html", "<b>"), r"\(history\[0\]: unknown field\)"),
    "an engine of its own": (set_in("engine", "<b>"), "engine: another value than there is"),
    "a long text": (set_in("machine", "processor", "x" * 201), "machine.processor"),
    "temperature 0": (set_in("temperature", 0), "temperature"),
    "machine of numbers": (set_in("machine", "cores", "many"), "machine.cores: expected int, got str"),
}


@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_a_record_that_cannot_be_is_refused(members: Members, tmp_path: Path, kind: str):
    edit, reason = BAD_RECORDS[kind]

    refused(tmp_path, {**members, package.RECORD: edited(members[package.RECORD], edit)}, reason)


def test_a_number_that_is_too_large_for_one_is_refused(members: Members, tmp_path: Path):
    record = edited(members[package.RECORD], set_in("history", 0, "val_loss", "large")).replace(b'"large"', b"1e999")

    refused(tmp_path, {**members, package.RECORD: record}, "not as Thaw writes it")


def test_what_a_later_minor_version_tells_beside_what_we_know_is_let_through(members: Members, tmp_path: Path):
    def later(record: dict[str, Any]) -> None:
        record["minor"], record["energy_kwh"], record["machine"]["gpu"] = RECORD_MINOR + 1, 0.5, "none"

    write_package(tmp_path / "later.zip", {**members, package.RECORD: edited(members[package.RECORD], later)})

    assert import_run(RunStore(), tmp_path / "later.zip").state == "finished"


def test_what_the_record_claims_about_itself_is_worked_out_anew(members: Members, tmp_path: Path):
    def boast(record: dict[str, Any]) -> None:
        record["freeze_audit"]["sentence"] = "Everything is **perfect**."
        record["parameters"] = {"total": 1, "trained": 1, "trained_share": 1.0}

    write_package(tmp_path / "boast.zip", {**members, package.RECORD: edited(members[package.RECORD], boast)})
    record = load_record(import_run(RunStore(), tmp_path / "boast.zip").id)

    assert "perfect" not in record.freeze_audit.sentence and record.parameters.total > 3_000_000


def test_predictions_that_are_none_are_refused(members: Members, tmp_path: Path):
    def with_array(name: str, change: Callable[[np.ndarray], object]) -> Members:
        arrays = load(members[package.PREDICTIONS])
        change(arrays[name].numpy())
        return {**members, package.PREDICTIONS: save(arrays)}

    refused(tmp_path, with_array("probabilities", lambda rows: rows.fill(0.9)), "not probabilities")
    refused(tmp_path, with_array("val_probabilities", lambda rows: rows.fill(-1)), "not probabilities")
    refused(tmp_path, with_array("targets", lambda rows: rows.fill(99)), "not probabilities")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a JSON value, lists by their first and last item."""
    found = [path] if path else []
    if isinstance(value, dict):
        for name, item in value.items():
            found += leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for place in {0, len(value) - 1}:
            found += leaves(value[place], (*path, place))
    return found


@pytest.mark.parametrize(
    "odd", [None, True, -1, 10**400, "<b>x</b>", [], {}, [[]], {"a": None}], ids=lambda odd: repr(odd)[:12]
)
def test_anything_odd_anywhere_in_the_record_is_refused_or_harmless_and_never_an_accident(
    members: Members, odd: object, monkeypatch: pytest.MonkeyPatch
):
    from core.takehome import import_run as module

    counted = module.describe_model(module.record_from(json.loads(members[package.RECORD])).settings.model, 3)
    monkeypatch.setattr(module, "describe_model", lambda settings, classes: counted)  # the slow part, tested elsewhere
    values = json.loads(members[package.RECORD])

    class Stub:
        def __init__(self, record: bytes) -> None:
            self.files = {**members, package.RECORD: record}

        def read(self, name: str) -> bytes:
            return self.files[name]

    accepted = 0
    for path in leaves(values):
        changed = copy.deepcopy(values)
        set_in(*path, odd)(changed)
        try:
            module._read_record(Stub(json.dumps(changed).encode()))  # type: ignore[arg-type]
            accepted += 1
        except PackageError:
            pass
    assert accepted < 0.3 * len(leaves(values))


@pytest.mark.parametrize("make", ENDLESS, ids=lambda make: make.__name__)
def test_what_is_no_file_is_not_read(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "run.zip")

    with pytest.raises(PackageError, match=r"run\.zip cannot be read"):
        import_run(RunStore(), tmp_path / "run.zip")
