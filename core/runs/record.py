"""What a finished run keeps in its folder: `record.json`, `predictions.safetensors`, `weights.safetensors`.

The record holds its own hash and those of the other two: damage is noticed whenever one of them is read.
Everything a page, a comparison or a predictor needs is here; torch is not needed to read the first two.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from msgspec import Meta
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from core.augment.preprocessing import Preprocessing
from core.comparison.metrics import balanced_accuracy
from core.data.parts import find_lacks
from core.data.reading.limits import MAX_CLASS_NAME, MAX_CLASSES, MAX_NAME_BYTES, MIN_CLASSES
from core.errors import RunError, SettingsError, shown
from core.home import folder_in_the_making, home_folder, ordinary, sealed, unsealed, write_atomically
from core.machine.devices import DeviceUse
from core.machine.facts import Machine
from core.machine.speeds import Engine, Precision
from core.models.download import file_sha256
from core.models.records import FreezeAudit, LayerChange, ParameterCount
from core.objects.cache import fetch_again, forget, here
from core.records import MOST, Amount, Count, Hash, Number, Share, typed
from core.settings.schema import RunSettings
from core.settings.versions import from_dict, to_dict
from core.training.history import EpochRecord

RECORD, PREDICTIONS, WEIGHTS = "record.json", "predictions.safetensors", "weights.safetensors"
RECORD_VERSION: Final = 1
"""Raised when older Thaws must not read it; a field that has a default is only a later minor version."""
RECORD_MINOR: Final = 1
RECORDED: Final = Path(__file__).parent / "recorded"
RECORDED_PREFIX: Final = "recorded-"
_ID: Final = re.compile("[0-9A-Za-z-]{1,64}")
_IN_SUMMARY: Final = (
    *("test_accuracy", "val_accuracy", "best_epoch", "duration_s", "timings", "work", "freeze_audit", "parameters"),
    *("weights", "split", "machine", "threads", "precision", "engine", "device", "imported"),
)

Counts = Annotated[tuple[Count, ...], Meta(max_length=MAX_CLASSES)]
"""A number for each class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRecord:
    """The data set that was trained on, as it was called then."""

    id: Annotated[str, Meta(pattern=r"\A[0-9a-z]{1,64}\Z")]
    title: Annotated[str, Meta(max_length=255)]
    kind: Annotated[str, Meta(pattern=r"\A[a-z]{1,20}\Z")]
    fingerprint: Hash
    class_names: Annotated[
        tuple[Annotated[str, Meta(max_length=MAX_CLASS_NAME)], ...],
        Meta(min_length=MIN_CLASSES, max_length=MAX_CLASSES),
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRecord:
    """How it was divided: what names the division, and the number of pictures in each part."""

    hash: Hash
    train: Count
    val: Count
    test: Count


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeRecord:
    """Seconds by phase, see `core.training.history.PHASES`."""

    decode: Amount = 0.0
    features: Amount = 0.0
    train: Amount = 0.0
    val: Amount = 0.0
    test: Amount = 0.0
    other: Amount = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsRecord:
    """Where the backbone's start came from."""

    origin: Annotated[str, Meta(max_length=200)]
    sha256: Hash | None
    """None for a random start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionRecord:
    """In what it was computed."""

    features: Precision = "fp32"
    """Train and val on their way through frozen stages."""
    train: Precision = "fp32"
    """Training steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadRecord:
    """How the head was solved for."""

    l2: Amount
    """The penalty."""
    path: Annotated[tuple[tuple[Number, Number], ...], Meta(max_length=1000)]
    """(penalty, held-out loss) of those that were tried; empty where it was given."""
    iterations: Count


@dataclass(frozen=True, kw_only=True, slots=True)
class CostRecord:
    """What the run takes to be used and kept; None where it was not measured, and in older runs."""

    prediction_ms: Amount | None = None
    """Per picture, in batches, on the machine it was trained on."""
    peak_memory_bytes: Count | None = None
    """Of the training process."""
    changed_bytes: Count | None = None
    """Of parameters and buffers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One finished run, complete. Accuracies are fractions, times seconds."""

    run: Annotated[str, Meta(pattern=rf"\A{_ID.pattern}\Z")]
    settings: RunSettings
    dataset: DataRecord
    split: SplitRecord
    test_pictures: Annotated[tuple[Count, ...], Meta(max_length=MOST)]
    """Indices into the data set's pictures, in the order of the predictions."""
    test_contents: Annotated[tuple[Hash, ...], Meta(max_length=MOST)]
    """SHA-256 of their files: what two runs must share to be compared."""
    test_names: Annotated[tuple[Annotated[str, Meta(max_length=MAX_NAME_BYTES)], ...], Meta(max_length=MOST)]
    history: Annotated[tuple[EpochRecord, ...], Meta(min_length=1, max_length=100_000)]
    best_epoch: Count
    test_accuracy: Share
    val_accuracy: Share
    """At the best epoch."""
    confusion: Annotated[tuple[Counts, ...], Meta(max_length=MAX_CLASSES)]
    """Rows: true class; columns: predicted."""
    duration_s: Amount
    """From the run's start to its complete record, decoding done for it included."""
    timings: TimeRecord
    work: Annotated[dict[Annotated[str, Meta(pattern=r"\A[a-z_]{1,40}\Z")], Count], Meta(max_length=20)]
    """Pictures sent forward, optimiser steps and so on, counted where they happen."""
    freeze_audit: FreezeAudit
    parameters: ParameterCount
    weights: WeightsRecord
    head_hash: Hash
    """Of the head before the first step."""
    preprocessing: Preprocessing
    machine: Machine
    threads: Count
    precision: PrecisionRecord = PrecisionRecord()
    engine: Engine = "torch"
    """What computed the test part, and other forward passes in fp32 through a backbone that stood still."""
    head: HeadRecord | None = None
    """None where the head was trained."""
    layers: Annotated[tuple[LayerChange, ...], Meta(max_length=10_000)] = ()
    """How far each layer moved, from input to output; empty in older runs."""
    costs: CostRecord = CostRecord()
    temperature: Annotated[float, Meta(gt=0, le=100)] | None = None
    """What calibrates its probabilities, fitted on val; None where val is too small, and in runs of earlier versions.
    Kept predictions are raw."""
    files: Annotated[dict[Annotated[str, Meta(pattern=r"\A[a-z.]{1,40}\Z")], Hash], Meta(max_length=10)] = field(
        default_factory=dict
    )
    """Of the files beside the record, checked whenever one is read; empty in older runs."""
    class_counts: dict[Annotated[str, Meta(pattern=r"\A(train|val|test)\Z")], Counts] = field(default_factory=dict)
    """Pictures of each class in `train`, `val` and `test`; empty in older runs."""
    test_groups: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MOST)] = ()
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
        counts = self.class_counts or {"test": tuple(sum(row) for row in self.confusion)}
        return tuple(lack.sentence for lack in find_lacks(self.dataset.class_names, counts))


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


def checkpoint_path(run_id: str) -> Path:
    """Where it stands how far a run has come that is at work, or was when its worker was lost."""
    return home_folder("checkpoints") / f"{run_id}.safetensors"


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
        text = json.dumps(record_values(record), ensure_ascii=False, indent=1, allow_nan=False)
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
        return _load_record(run_id)
    except RunError:
        if is_recorded(run_id) or not fetch_again(run_folder(run_id)):
            raise
        return _load_record(run_id)


def _load_record(run_id: str) -> RunRecord:
    try:
        text, _ = unsealed(ordinary(here(run_folder(run_id), RECORD)).read_bytes())
        values = json.loads(text.decode("utf-8", "surrogatepass"))
        if isinstance(values["version"], int) and values["version"] != RECORD_VERSION:
            raise RunError(f"The run {run_id!r} was made by another version of Thaw.")
        record = record_from(values)
        if record.run != run_id:
            raise ValueError("it is another run's")
        return record
    except OSError as error:
        raise RunError(f"The run {run_id!r} has no record; it has not finished, or its files were deleted.") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, SettingsError) as error:
        raise RunError(f"The record of run {run_id!r} is damaged; delete the run and train again.") from error


def record_text(record: RunRecord) -> bytes:
    """A record's file as other programs and earlier versions read it: without its own hash.

    Raises:
        RunError: it is not there, or has changed since it was written.
    """
    try:
        return unsealed(ordinary(here(run_folder(record.run), RECORD)).read_bytes())[0]
    except (OSError, ValueError) as error:
        raise RunError(f"The record of run {record.run!r} is damaged; delete the run and train again.") from error


def record_from(values: dict[str, Any]) -> RunRecord:
    """A record from its JSON values.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, SettingsError: they are not those of a record.
    """
    epochs = sum(epoch["lr"] is not None for epoch in values["history"])  # all others are a solver's iterations
    record = typed({**values, "settings": from_dict(values["settings"], epochs)}, RunRecord)
    if {len(record.confusion), *map(len, record.confusion)} != {len(record.dataset.class_names)}:
        raise ValueError("confusion: not a row and a column for each class")
    if not (0 <= record.machine.cores <= MOST and 0 <= record.machine.memory_bytes <= MOST**3):
        raise ValueError("machine: more or less than there is")
    return record


def record_values(record: RunRecord) -> dict[str, Any]:
    """A record as JSON values, with what follows from it for people and programs that read the file."""
    audit, parameters = record.freeze_audit, record.parameters
    found = {"bit_identical": audit.bit_identical, "sentence": audit.sentence}
    return {
        "version": RECORD_VERSION,
        "minor": RECORD_MINOR,
        **asdict(record),
        "settings": to_dict(record.settings),
        "freeze_audit": {**asdict(audit), **found},
        "parameters": {**asdict(parameters), "trained_share": parameters.trained_share},
    }


def checked_file(record: RunRecord, name: str) -> Path:
    """The path of a file beside a record.

    Raises:
        RunError: it is not there, or not the one that was written.
    """
    path, what = here(run_folder(record.run), name), name.partition(".")[0]
    try:
        if not _is_as_written(record, path) and not (
            fetch_again(path.parent) and _is_as_written(record, here(path.parent, name))
        ):
            raise RunError(f"The {what} of run {record.run!r} have changed since training; train again.")
        return ordinary(path)
    except OSError as error:
        raise RunError(f"The {what} of run {record.run!r} are missing or damaged; train again.") from error


def _is_as_written(record: RunRecord, path: Path) -> bool:
    return path.name not in record.files or file_sha256(path) == record.files[path.name]


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
    """Remove a run's folder and its checkpoint, if it has any, as far as the system lets us."""
    if not is_recorded(run_id):
        forget(run_folder(run_id))
        shutil.rmtree(run_folder(run_id), ignore_errors=True)
        with suppress(OSError):
            checkpoint_path(run_id).unlink()


def summary_of(record: RunRecord) -> dict[str, object]:
    """What lists of runs show without opening a folder; also what the command line prints."""
    settings, values = record.settings, record_values(record)
    return {
        "run": record.run,
        "scenario": settings.model.scenario,
        "backbone": settings.model.backbone,
        "seed": settings.seed,
        "balanced_accuracy": balanced_accuracy(np.array(record.confusion)),
        "class_weights": settings.optim.class_weights,
        "epochs": len(record.history),
        "dataset": {name: values["dataset"][name] for name in ("id", "title", "fingerprint")},
        "lacks": list(record.lacks),
        **{name: values[name] for name in _IN_SUMMARY},
    }
