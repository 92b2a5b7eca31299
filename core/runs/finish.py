"""What a trained run leaves behind: its complete record, and its folder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.torch import save_model

from core.comparison.metrics import confusion_matrix
from core.comparison.temperature import fit_temperature
from core.data.dataset import Dataset
from core.data.parts import class_counts
from core.machine.facts import this_machine
from core.machine.process import peak_memory
from core.machine.speeds import load_speeds, remember_seen
from core.models.weights import weights_status
from core.runs.record import (
    CostRecord,
    DataRecord,
    HeadRecord,
    PrecisionRecord,
    Predictions,
    RunRecord,
    SplitRecord,
    TimeRecord,
    WeightsRecord,
    save_run,
)
from core.runs.store import Run, RunStore
from core.training.history import PHASES, Cancelled, Stopwatch
from core.training.scenarios import Trained

GROUP_NAME: Final = 16  # characters of a hash: what a person called the group stays with the data set
ENOUGH: Final = 64  # pictures from which a pace is worth remembering


def finish(store: RunStore, run: Run, dataset: Dataset, trained: Trained, start: float) -> RunRecord:
    """Write the folder of a run that has been trained.

    Args:
        start: when it began, in `perf_counter` seconds.

    Raises:
        Cancelled: the run is another worker's by now; that one's files stay.
    """
    _remember_paces(run.settings.model.backbone, trained)
    predictions = _predictions(dataset, trained)
    record = _record(run, dataset, trained, predictions)

    def save_weights(path: Path) -> None:
        save_model(trained.model, str(path))

    def with_timings(record: RunRecord) -> RunRecord:
        timings = _timings(run, trained.watch, time.perf_counter() - start + trained.watch.earlier_s)
        return replace(record, timings=TimeRecord(**timings), duration_s=sum(timings.values()))

    return save_run(record, predictions, save_weights, with_timings, partial(while_ours, store, run))


@contextmanager
def while_ours(store: RunStore, run: Run) -> Iterator[None]:
    """Within the block the run is this worker's, and stays so.

    Raises:
        Cancelled: it is another worker's by now.
    """
    with store.holding(run) as ours:
        if not ours:
            raise Cancelled
        yield


def _remember_paces(backbone: str, trained: Trained) -> None:
    for (work, precision), (number, seconds) in trained.watch.paces.items():
        if number >= ENOUGH:
            remember_seen(backbone, work, precision, number / seconds, trained.compute.device)


def _record(run: Run, dataset: Dataset, trained: Trained, predictions: Predictions) -> RunRecord:
    """All that a run's record says, but for its timings: they are known when everything else is written."""
    confusion = confusion_matrix(predictions.targets, predictions.probabilities)
    return RunRecord(
        run=run.id,
        settings=run.settings,
        dataset=_data(dataset),
        class_counts={part: tuple(row) for part, row in class_counts(dataset, trained.split).items()},
        **_parts(dataset, trained),
        history=tuple(trained.history),
        best_epoch=trained.best.epoch,
        test_accuracy=trained.test.accuracy,
        val_accuracy=trained.best.val_accuracy,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        duration_s=0.0,
        timings=TimeRecord(),
        work=dict(trained.watch.work),
        parameters=trained.parameters,
        weights=_weights(run, trained),
        freeze_audit=trained.audit,
        head_hash=trained.head_hash,
        preprocessing=trained.preprocessing,
        machine=this_machine(),
        threads=trained.compute.threads,
        precision=PrecisionRecord(features=trained.compute.features, train=trained.compute.train),
        engine=trained.compute.engine,
        device=trained.device,
        head=_head(trained),
        layers=trained.drift.layers,
        costs=_costs(run, trained),
        temperature=fit_temperature(predictions.val_targets, predictions.val_probabilities),
    )


def _parts(dataset: Dataset, trained: Trained) -> dict[str, Any]:
    """The split, and which pictures are in the test part."""
    split = trained.split
    pictures = [dataset.pictures[index] for index in split.test]
    return {
        "split": SplitRecord(hash=split.hash, train=len(split.train), val=len(split.val), test=len(split.test)),
        "test_pictures": split.test,
        "test_contents": tuple(picture.content for picture in pictures),
        "test_names": tuple(picture.name for picture in pictures),
        "test_groups": tuple(picture.side[:GROUP_NAME] for picture in pictures) if dataset.grouped_by else (),
    }


def _data(dataset: Dataset) -> DataRecord:
    return DataRecord(
        id=dataset.id,
        title=dataset.title,
        kind=dataset.kind,
        fingerprint=dataset.fingerprint,
        class_names=dataset.class_names,
    )


def _weights(run: Run, trained: Trained) -> WeightsRecord:
    """Where the backbone's start came from."""
    random_start = run.settings.model.start == "none"
    origin = "none (random start)" if random_start else weights_status(run.settings.model.backbone).badge
    return WeightsRecord(origin=origin, sha256=trained.model.weights_sha256)


def _predictions(dataset: Dataset, trained: Trained) -> Predictions:
    val = trained.best.val_probabilities

    def targets(part: str) -> np.ndarray:
        return np.array([dataset.pictures[index].target for index in trained.split.part(part)], dtype=np.int64)

    return Predictions(
        probabilities=trained.test.probabilities.numpy(),
        targets=targets("test"),
        val_probabilities=None if val is None else val.numpy(),
        val_targets=None if val is None else targets("val"),
    )


def _timings(run: Run, watch: Stopwatch, worked_s: float) -> dict[str, float]:
    """Seconds by phase. Decoding was done before the run was queued, and counts to the run it was for."""
    timings = dict.fromkeys(PHASES, 0.0) | watch.seconds | {"decode": run.decode_s}
    timings["other"] = max(0.0, worked_s - sum(watch.seconds.values()))
    return timings


def _costs(run: Run, trained: Trained) -> CostRecord:
    speeds = load_speeds(run.settings.model.backbone)
    return CostRecord(
        prediction_ms=1000 / speeds.rate("forward", "fp32") if speeds else None,
        peak_memory_bytes=peak_memory(),
        changed_bytes=trained.drift.changed_bytes,
    )


def _head(trained: Trained) -> HeadRecord | None:
    """How the head was solved for, where it was."""
    if trained.head is None:
        return None
    return HeadRecord(l2=trained.head.l2, path=trained.head.path, iterations=trained.head.iterations)
