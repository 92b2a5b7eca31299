"""A zip that was packed here or elsewhere becomes a run of this Thaw again.

In this order: which files, their hashes; the record's shape; tensors by name, type and shape; finite numbers; scores as
the predictions give them; at last the network itself, which must answer the golden pictures as it did where it was
packed. Nothing in the zip is ever run, and no pickle is opened.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.augment.catalogue import steps_of
from core.comparison.metrics import confusion_matrix
from core.data.reading.class_names import check_class_name
from core.errors import DatasetError, ImageError, PackageError, RunError, SettingsError
from core.inference.predictor import Predictor
from core.models.build import describe_model, restore_model
from core.models.catalogue import check_model
from core.objects.cache import share
from core.records import unknown_field
from core.runs.record import (
    RECORD_MINOR,
    RECORD_VERSION,
    Predictions,
    RunRecord,
    load_record,
    predictions_from,
    record_from,
    record_values,
    run_folder,
    save_run,
    summary_of,
)
from core.runs.store import Run, RunStore
from core.takehome import package
from core.takehome.export import TOLERANCE, golden_logits, model_values
from core.takehome.package import Package, open_package
from core.takehome.plain import classifier_of, from_plain, plain_shapes
from core.takehome.tensors import read_header, read_json, read_tensors

MOST_TEXT: Final = 200
"""Characters of what a machine is called."""
ROUNDING: Final = 1e-3
"""By how much probabilities may fail to add up to one."""
_PACKED_ID: Final = re.compile("[0-9a-f]{10}")
_TOLD_TWICE: Final = ("library", "network", "class_names", "preprocessing", "temperature", "run")

OnProgress = Callable[[str], None]


def import_run(store: RunStore, path: Path, on_progress: OnProgress = lambda step: None) -> Run:
    """Bring a zip in; the run it holds, now finished here. The same zip a second time changes nothing.

    Raises:
        PackageError: the zip cannot be trusted or used; nothing was kept.
        WorkspaceError: it would be more than the visitor's share of a shared server.
    """
    on_progress("checking the files")
    with open_package(path) as packed:
        record = _read_record(packed)
        here = _already_here(store, record)
        if here is not None:
            return here
        store.check_share(1)
        predictions = _read_predictions(packed, record)
        _check_scores(record, predictions)
        on_progress("checking the weights")
        state = _read_weights(packed, record)
        on_progress("asking the golden pictures")
        _check_goldens(packed, record, state)
    kept = {name: tensor.contiguous() for name, tensor in state.items()}
    record = save_run(record, predictions, lambda target: save_file(kept, target))
    share(run_folder(record.run), generation=1)  # the first attempt, as the store of runs has it
    store.adopt(record.run, record.settings, record.dataset.title, summary_of(record), record.test_part)
    return store.get(record.run)


def _read_record(packed: Package) -> RunRecord:
    """The record, if it has the shape of one and its parts agree; what follows from others is worked out anew."""
    values = read_json(packed.read(package.RECORD), package.RECORD)
    record = _checked_shape(values)
    names, audit, claimed = record.dataset.class_names, record.freeze_audit, values["freeze_audit"]
    try:
        check_model(record.settings)
        steps_of(record.settings.augment)
        for name in names:
            check_class_name(name)
        parameters, _ = describe_model(record.settings.model, len(names))
    except (TypeError, SettingsError, DatasetError) as error:  # what is no text where the settings have names
        said = "" if isinstance(error, TypeError) else f": {error}"
        raise PackageError(f"The zip's record holds what this Thaw cannot use{said}") from error
    if len(set(names)) != len(names) or record.dataset.id != record.settings.data.dataset:
        raise PackageError("The zip's record contradicts itself (classes or data set).")
    told = read_json(packed.read(package.MODEL), package.MODEL)
    known = model_values(record)
    if not isinstance(told, dict) or any(told.get(name) != known[name] for name in _TOLD_TWICE):
        raise PackageError("The zip's model.json and record.json are about different networks.")
    same = audit.hash_before == audit.hash_after
    if claimed.get("bit_identical") != audit.bit_identical or same == bool(audit.changed):
        raise PackageError("The freeze audit in the zip contradicts itself.")
    return replace(record, parameters=parameters, files={}, imported=True)


def _checked_shape(values: Any) -> RunRecord:
    """A stranger's record: every value has its kind, range and length, and nothing stands there that we do not know.

    What is wrong is named by its place, never by what stands there.
    """
    try:
        record = record_from(values)
        known = record_values(record)
        json.dumps(known, allow_nan=False)
        place = None if values.get("minor", 0) > RECORD_MINOR else _unknown_place(values, known)
        place = "version" if values["version"] != RECORD_VERSION else place
    except SettingsError as error:
        raise PackageError(f"The zip's record holds what this Thaw cannot use: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        place = str(error) if isinstance(error, ValueError) else "the whole"
    if place is None and not _PACKED_ID.fullmatch(record.run):
        place = "run"
    if place is None:
        texts = ((name, value) for name, value in asdict(record.machine).items() if isinstance(value, str))
        place = next((f"machine.{name}" for name, value in texts if len(value) > MOST_TEXT), None)
    if place is not None:
        raise PackageError(f"The zip's record is not as Thaw writes it ({place}).")
    return record


def _unknown_place(values: dict[str, Any], known: dict[str, Any]) -> str | None:
    place = unknown_field({**values, "settings": None}, {**known, "minor": 0})  # settings have checks of their own
    return f"{place.removeprefix('the whole.')}: unknown field" if place else None


def _already_here(store: RunStore, record: RunRecord) -> Run | None:
    """The run with this id, if it is this one."""
    try:
        run = store.get(record.run)
    except RunError:
        return None
    if run.state != "finished" or replace(load_record(run.id), files={}, imported=True) != record:
        raise PackageError(f"Another run with the id {record.run} is here already; delete it first.")
    return run


def _read_predictions(packed: Package, record: RunRecord) -> Predictions:
    classes, split = len(record.dataset.class_names), record.split
    expected = {
        "probabilities": (torch.float32, (split.test, classes)),
        "targets": (torch.int64, (split.test,)),
    }
    data = packed.read(package.PREDICTIONS)
    if "val_targets" in read_header(data, package.PREDICTIONS):  # runs of earlier versions kept nothing about val
        expected["val_probabilities"] = torch.float32, (split.val, classes)
        expected["val_targets"] = torch.int64, (split.val,)
    arrays = read_tensors(data, expected, package.PREDICTIONS)
    return predictions_from({name: tensor.numpy() for name, tensor in arrays.items()})


def _check_scores(record: RunRecord, predictions: Predictions) -> None:
    """What the record says about the test part must be what its predictions say."""
    _check_probabilities(predictions.probabilities, predictions.targets)
    if predictions.val_probabilities is not None and predictions.val_targets is not None:
        _check_probabilities(predictions.val_probabilities, predictions.val_targets)
    if {len(record.test_pictures), len(record.test_contents), len(record.test_names)} != {record.split.test}:
        raise PackageError("The zip's record does not name every test picture once.")
    if len(record.test_groups) not in (0, record.split.test):
        raise PackageError("The zip's record does not say the group of every test picture.")
    confusion = confusion_matrix(predictions.targets, predictions.probabilities)
    if confusion.tolist() != [list(row) for row in record.confusion]:
        raise PackageError("The scores in the zip's record are not those of its predictions.")
    for part, numbers in record.class_counts.items():
        if len(numbers) != len(confusion) or sum(numbers) != getattr(record.split, part):
            raise PackageError("The zip's record contradicts itself (pictures by class).")
    if list(record.class_counts.get("test", confusion.sum(1))) != confusion.sum(1).tolist():
        raise PackageError("The zip's record contradicts itself (test pictures by class).")
    if abs(record.test_accuracy - np.trace(confusion) / max(1, confusion.sum())) > ROUNDING / 10:
        raise PackageError("The accuracy in the zip's record is not that of its predictions.")


def _check_probabilities(probabilities: np.ndarray, targets: np.ndarray) -> None:
    """Probabilities (N, K) and classes (N,) that can be; they are known to be finite."""
    classes = (targets >= 0) & (targets < probabilities.shape[1])
    sums = abs(probabilities.sum(1) - 1) <= ROUNDING
    if not (classes.all() and sums.all() and (probabilities >= 0).all()):
        raise PackageError("The zip's predictions are not probabilities over its classes.")


def _read_weights(packed: Package, record: RunRecord) -> dict[str, Tensor]:
    """A `TransferModel`'s state."""
    backbone, classes = record.settings.model.backbone, len(record.dataset.class_names)
    data, what = packed.read(package.WEIGHTS), package.WEIGHTS
    _, head = read_header(data, what).get(f"{classifier_of(backbone)}.weight", (None, ()))
    if head and head[0] != classes:
        raise PackageError(f"{what} has {head[0]} outputs but its class list names {classes}.")
    shapes = {name: (empty.dtype, tuple(empty.shape)) for name, empty in plain_shapes(backbone, classes).items()}
    return from_plain(read_tensors(data, shapes, what), backbone)


def _check_goldens(packed: Package, record: RunRecord, state: dict[str, Tensor]) -> None:
    """The network must work, and say about the golden pictures what it said where it was packed."""
    classes = len(record.dataset.class_names)
    shape = torch.float32, (len(package.GOLDEN_PICTURES), classes)
    expected = read_tensors(packed.read(package.GOLDENS), {"logits": shape}, package.GOLDENS)["logits"]
    try:
        model = restore_model(record.settings.model.backbone, state, num_classes=classes)
        found = golden_logits(Predictor(record, model), [packed.read(name) for name in package.GOLDEN_PICTURES])
    except ImageError as error:
        raise PackageError(f"A golden picture in the zip {error}.") from error
    except (RunError, RuntimeError, AssertionError) as error:  # of torch and torchvision: sizes, memory
        raise PackageError("The network in the zip does not work with its preprocessing.") from error
    difference = (found - expected).abs().max().item() / max(1.0, expected.abs().max().item())
    if not difference <= TOLERANCE:
        raise PackageError(
            f"The golden pictures do not reproduce: they differ by {difference:.2g} of the largest logit. "
            "The zip was changed on purpose, or this computer's libraries compute differently."
        )
