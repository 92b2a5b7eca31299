"""What a finished run keeps in its folder: `record.json`, `predictions.safetensors`, `weights.safetensors`.

The record holds its own hash and those of the other two: damage is noticed whenever one of them is read.
Everything a page, a comparison or a predictor needs is here; torch is not needed to read the first two.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from core.comparison.metrics import balanced_accuracy
from core.data.parts import find_lacks
from core.errors import RunError, SettingsError, shown
from core.home import folder_in_the_making, home_folder, ordinary, sealed, unsealed, write_atomically
from core.json_types import fits_fields
from core.machine.devices import DeviceUse
from core.models.download import file_sha256
from core.settings.schema import RunSettings
from core.settings.versions import from_dict, to_dict

RECORD, PREDICTIONS, WEIGHTS = "record.json", "predictions.safetensors", "weights.safetensors"
RECORD_VERSION = 1
RECORDED: Final = Path(__file__).parent / "recorded"
RECORDED_PREFIX: Final = "recorded-"
_ID: Final = re.compile("[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One finished run, complete. Accuracies are fractions, times seconds."""

    run: str
    settings: RunSettings
    dataset: dict[str, Any]
    """`id`, `title`, `kind`, `fingerprint`, `class_names`."""
    split: dict[str, Any]
    """`hash` and the number of pictures in `train`, `val`, `test`."""
    test_pictures: tuple[int, ...]
    """Indices into the data set's pictures, in the order of the predictions."""
    test_contents: tuple[str, ...]
    """SHA-256 of their files: what two runs must share to be compared."""
    test_names: tuple[str, ...]
    history: tuple[dict[str, Any], ...]
    best_epoch: int
    test_accuracy: float
    val_accuracy: float
    """At the best epoch."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows: true class; columns: predicted."""
    duration_s: float
    """From the run's start to its complete record, decoding done for it included."""
    timings: dict[str, float]
    work: dict[str, int]
    """Pictures sent forward, optimiser steps and so on, counted where they happen."""
    freeze_audit: dict[str, Any]
    parameters: dict[str, Any]
    weights: dict[str, Any]
    """Where the backbone's start came from: `origin`, `sha256` (None for a random start)."""
    head_hash: str
    """SHA-256 of the head before the first step."""
    preprocessing: dict[str, Any]
    machine: dict[str, Any]
    threads: int
    precision: dict[str, str] = field(default_factory=lambda: {"features": "fp32", "train": "fp32"})
    """In what train and val went through frozen stages (`features`), and training steps were done (`train`)."""
    engine: str = "torch"
    """What computed the test part, and other forward passes in fp32 through a backbone that stood still."""
    head: dict[str, Any] | None = None
    """Where the head was solved for: the penalty `l2`, the `path` of (penalty, held-out loss), `iterations`."""
    layers: tuple[dict[str, Any], ...] = ()
    """How far each layer moved (`core.models.drift.LayerChange`), from input to output; empty in older runs."""
    costs: dict[str, Any] = field(default_factory=dict)
    """`prediction_ms` per picture, in batches, on the machine it was trained on; `peak_memory_bytes` of the training
    process; `changed_bytes` of parameters and buffers. Empty in older runs."""
    temperature: float | None = None
    """What calibrates its probabilities, fitted on val; None where val is too small, and in runs of earlier versions.
    Kept predictions are raw."""
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the files beside the record, checked whenever one is read; empty in older runs."""
    class_counts: dict[str, list[int]] = field(default_factory=dict)
    """Pictures of each class in `train`, `val` and `test`; empty in older runs."""
    test_groups: tuple[str, ...] = ()
    """A name for what each test picture stands together with, which tells nothing else: pictures of one group are no
    independent evidence. Empty where the data set has no groups, and in older runs."""
    device: DeviceUse = field(default_factory=DeviceUse)
    """What it was computed on."""
    imported: bool = False
    """Trained elsewhere and brought here as a zip: what it says about its training was not seen here."""

    @property
    def test_part(self) -> str:
        """Names the set of test pictures, whatever their order: runs that share it were tested on the same ones."""
        return hashlib.sha256("".join(sorted(self.test_contents)).encode()).hexdigest()

    @property
    def lacks(self) -> tuple[str, ...]:
        """Which classes its parts lack, in sentences that belong beside its accuracy; of older runs, the test part."""
        counts = self.class_counts or {"test": [sum(row) for row in self.confusion]}
        return tuple(lack.sentence for lack in find_lacks(self.dataset["class_names"], counts))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Predictions:
    """What a run says about pictures it did not train on; M test pictures, V val pictures, K classes."""

    probabilities: np.ndarray
    """(M, K) float32, in the order of the record's `test_pictures`."""
    targets: np.ndarray
    """(M,) int64."""
    val_probabilities: np.ndarray | None = None
    """(V, K) float32, of the epoch that was kept, in the order of val; None in runs of earlier versions."""
    val_targets: np.ndarray | None = None
    """(V,) int64."""


def run_folder(run_id: str) -> Path:
    """Where a run's files are: in the home folder, or with Thaw's own code for a recorded one.

    Raises:
        RunError: this is no run's id.
    """
    if not _ID.fullmatch(run_id):
        raise RunError(f"There is no run {shown(run_id)}.")
    return RECORDED / run_id if is_recorded(run_id) else home_folder("runs") / run_id


def is_recorded(run_id: str) -> bool:
    """Whether a run is one of the example that ships with Thaw."""
    return run_id.startswith(RECORDED_PREFIX) and _ID.fullmatch(run_id) is not None


def save_run(
    record: RunRecord,
    predictions: Predictions,
    save_weights: Callable[[Path], object],
    finish: Callable[[RunRecord], RunRecord] = lambda record: record,
    while_ours: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> RunRecord:
    """Write a run's folder, all or nothing.

    Args:
        save_weights: called with the path the weights go to.
        finish: called when all large files are written, for the timings that include their writing.
        while_ours: entered to put the folder in its place; raises where the run is another worker's by now.

    Returns:
        The record as it was written.
    """
    final = run_folder(record.run)
    with ExitStack() as until_it_is_there, folder_in_the_making(final) as folder:
        arrays = {"probabilities": predictions.probabilities, "targets": predictions.targets}
        if predictions.val_probabilities is not None and predictions.val_targets is not None:
            arrays |= {"val_probabilities": predictions.val_probabilities, "val_targets": predictions.val_targets}
        save_file(arrays, folder / PREDICTIONS)
        save_weights(folder / WEIGHTS)
        files = {name: file_sha256(folder / name) for name in (PREDICTIONS, WEIGHTS)}
        record = finish(replace(record, files=files))
        values = {"version": RECORD_VERSION, **asdict(record), "settings": to_dict(record.settings)}
        text = json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False)
        write_atomically(folder / RECORD, sealed(text.encode("utf-8", "surrogatepass")))
        until_it_is_there.enter_context(while_ours())
        if final.exists():  # left by an attempt that died between the files and the database
            shutil.rmtree(final)
    return record


def load_record(run_id: str) -> RunRecord:
    """The record of a finished run.

    Raises:
        RunError: it is not there or damaged.
    """
    try:
        text, whole = unsealed(ordinary(run_folder(run_id) / RECORD).read_bytes())
        values = json.loads(text.decode("utf-8", "surrogatepass"))
        if isinstance(values["version"], int) and values["version"] != RECORD_VERSION:
            raise RunError(f"The run {run_id!r} was made by another version of Thaw.")
        record = record_from(values)
        if record.run != run_id or not (whole or _fits(record)):
            raise ValueError("something in it is not what it should be")
        return record
    except OSError as error:
        raise RunError(f"The run {run_id!r} has no record; it has not finished, or its files were deleted.") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, SettingsError) as error:
        raise RunError(f"The record of run {run_id!r} is damaged; delete the run and train again.") from error


def _fits(record: RunRecord) -> bool:
    """Whether a record without a hash of its own says what it can say."""
    values = {spec.name: getattr(record, spec.name) for spec in fields(record) if spec.name != "settings"}
    return fits_fields({**values, "settings": record.settings}, RunRecord)


def record_text(record: RunRecord) -> bytes:
    """A record's file as other programs and earlier versions read it: without its own hash.

    Raises:
        RunError: it is not there, or has changed since it was written.
    """
    path = run_folder(record.run) / RECORD
    try:
        return unsealed(ordinary(path).read_bytes())[0]
    except (OSError, ValueError) as error:
        raise RunError(f"The record of run {record.run!r} is damaged; delete the run and train again.") from error


def record_from(values: dict[str, Any]) -> RunRecord:
    """A record from its JSON values.

    Raises:
        ValueError, KeyError, TypeError, SettingsError: they are not those of a record.
    """
    values = {name: value for name, value in values.items() if name != "version"}
    for name in ("test_pictures", "test_contents", "test_names", "test_groups", "history", "layers"):
        values[name] = tuple(values.get(name, ()))
    values["confusion"] = tuple(map(tuple, values["confusion"]))
    values["device"] = DeviceUse(**values.get("device", {}))
    epochs = sum(epoch["lr"] is not None for epoch in values["history"])  # all others are a solver's iterations
    return RunRecord(**{**values, "settings": from_dict(values["settings"], epochs)})


def checked_file(record: RunRecord, name: str) -> Path:
    """The path of a file beside a record.

    Raises:
        RunError: it is not there, or not the one that was written.
    """
    path, what = run_folder(record.run) / name, name.partition(".")[0]
    try:
        if name in record.files and file_sha256(path) != record.files[name]:
            raise RunError(f"The {what} of run {record.run!r} have changed since training; train again.")
        return ordinary(path)
    except OSError as error:
        raise RunError(f"The {what} of run {record.run!r} are missing or damaged; train again.") from error


def load_predictions(run_id: str) -> Predictions:
    """What a finished run says about its test and val pictures.

    Raises:
        RunError: they are not there or damaged.
    """
    try:
        return predictions_from(load_file(checked_file(load_record(run_id), PREDICTIONS)))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"The predictions of run {run_id!r} are missing or damaged; train again.") from error


def predictions_from(arrays: dict[str, np.ndarray]) -> Predictions:
    """Predictions as their file has them by name.

    Raises:
        KeyError: those about the test part are not there.
    """
    return Predictions(
        probabilities=arrays["probabilities"],
        targets=arrays["targets"],
        val_probabilities=arrays.get("val_probabilities"),
        val_targets=arrays.get("val_targets"),
    )


def delete_files(run_id: str) -> None:
    """Remove a run's folder, if it has one."""
    if not is_recorded(run_id):
        shutil.rmtree(run_folder(run_id), ignore_errors=True)


def summary_of(record: RunRecord) -> dict[str, object]:
    """What lists of runs show without opening a folder; also what the command line prints."""
    settings = record.settings
    return {
        "run": record.run,
        "scenario": settings.model.scenario,
        "backbone": settings.model.backbone,
        "weights": record.weights,
        "seed": settings.seed,
        "test_accuracy": record.test_accuracy,
        "balanced_accuracy": balanced_accuracy(np.array(record.confusion)),
        "class_weights": settings.optim.class_weights,
        "val_accuracy": record.val_accuracy,
        "best_epoch": record.best_epoch,
        "epochs": len(record.history),
        "duration_s": record.duration_s,
        "timings": record.timings,
        "work": record.work,
        "freeze_audit": record.freeze_audit,
        "parameters": record.parameters,
        "dataset": {name: record.dataset[name] for name in ("id", "title", "fingerprint")},
        "split": record.split,
        "lacks": list(record.lacks),
        "machine": record.machine,
        "threads": record.threads,
        "precision": record.precision,
        "engine": record.engine,
        "device": asdict(record.device),
        "imported": record.imported,
    }
