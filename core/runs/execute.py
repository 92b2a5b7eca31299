"""One claimed run from start to complete record: trains, writes the folder, ends the row. The single job boundary."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
from safetensors.torch import save_model

from core.comparison.metrics import confusion_matrix
from core.comparison.temperature import fit_temperature
from core.data.dataset import Dataset, load_stored
from core.data.parts import class_counts
from core.errors import StorageError
from core.machine.facts import this_machine
from core.machine.process import forget_peak_memory, peak_memory
from core.machine.speeds import load_speeds, remember_seen
from core.models.accel.shelf import Shelf
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
    summary_of,
)
from core.runs.store import Run, RunStore
from core.storage import explain
from core.training.history import PHASES, Cancelled, EpochRecord, Progress, Stopwatch
from core.training.scenarios import Trained, train_run

REPORT_EVERY_S = 0.3
PATIENCE_S: Final = 20.0
RETRY_S: Final = 1.0
GROUP_NAME: Final = 16  # characters of a hash: what a person called the group stays with the data set
ENOUGH = 64  # pictures from which a pace is worth remembering
_shelf = Shelf()
_log = logging.getLogger(__name__)


def execute(store: RunStore, run: Run, asked_to_stop: Callable[[], bool], *, patience_s: float = PATIENCE_S) -> None:
    """Train a claimed run and write down how it ended, whatever happens.

    Args:
        asked_to_stop: the worker is to go away; the run goes back into the queue.
        patience_s: so long it is tried to write down the end while the database cannot be written.

    Raises:
        StorageError: it could not be written down until then.
    """
    forget_peak_memory()
    reporter = _Reporter(store, run, asked_to_stop)
    state, values = _train(store, run, reporter)

    def write_down() -> None:
        if state == "queued":
            store.give_back(run)
        else:
            store.end(run, state, **values)

    _insist(write_down, asked_to_stop, patience_s)


def _train(store: RunStore, run: Run, reporter: "_Reporter") -> tuple[str, dict[str, Any]]:
    """Train a run and write its folder; the state it ends in, and what is to be said about that."""
    start = time.perf_counter()
    try:
        dataset = load_stored(run.settings.data.dataset)
        trained = train_run(
            run.settings,
            dataset,
            on_progress=reporter.progress,
            on_epoch=reporter.epoch,
            should_stop=reporter.should_stop,
            shelf=_shelf,
        )
        reporter.flush()
        if reporter.cancelled:  # or given to another worker, while this one did not answer
            raise Cancelled
        record = _finish(store, run, dataset, trained, start)
    except Cancelled:
        return ("cancelled" if reporter.cancelled else "queued"), {}
    except MemoryError:
        return "failed", {"cause": "The machine ran out of memory. Try a smaller batch size or backbone."}
    except Exception as error:  # the job boundary: whatever a run dies of is its cause, and the worker lives on
        expected = explain(error)
        if expected is None:
            _log.exception("run %s failed", run.id)
            return "failed", {"cause": f"An error that Thaw did not expect ({type(error).__name__}). The log has it."}
        return "failed", {"cause": str(expected)}
    return "finished", {"test_part": record.test_part, "summary": summary_of(record)}


def _insist(write_down: Callable[[], None], asked_to_stop: Callable[[], bool], patience_s: float) -> None:
    """Try until it works: a run that has ended and is not known to have ended would be trained again."""
    last = time.monotonic() + patience_s
    while True:
        try:
            return write_down()
        except StorageError as error:
            if asked_to_stop() or time.monotonic() > last:
                raise
            _log.warning("how a run ended cannot be written down yet: %s", error)
        time.sleep(RETRY_S)


class _Reporter:
    """Writes progress at most every `REPORT_EVERY_S`; with each writing learns whether to go on."""

    def __init__(self, store: RunStore, run: Run, asked_to_stop: Callable[[], bool]) -> None:
        self._store, self._run, self._asked_to_stop = store, run, asked_to_stop
        self._epochs: list[dict[str, object]] = []
        self._start, self._last = time.monotonic(), 0.0
        self.cancelled = False

    def progress(self, progress: Progress) -> None:
        if time.monotonic() - self._last >= REPORT_EVERY_S:
            self._write(progress=asdict(replace(progress, worked_s=time.monotonic() - self._start)))

    def epoch(self, record: EpochRecord) -> None:
        self._epochs.append(asdict(record))
        if time.monotonic() - self._last >= REPORT_EVERY_S or record.lr is not None:
            self._write(epochs=self._epochs)

    def flush(self) -> None:
        """Write the epochs, for those that came too fast to be written one by one."""
        self._write(epochs=self._epochs)

    def should_stop(self) -> bool:
        return self.cancelled or self._asked_to_stop()

    def _write(self, **values: object) -> None:
        """As well as it can be done: training goes on while nothing can be written, and the next time may do."""
        try:
            self.cancelled = not self._store.report(self._run, **values)
        except StorageError as error:
            _log.warning("progress was not written: %s", error)
        self._last = time.monotonic()


def _finish(store: RunStore, run: Run, dataset: Dataset, trained: Trained, start: float) -> RunRecord:
    pictures = [dataset.pictures[index] for index in trained.split.test]
    predictions = _predictions(dataset, trained)
    weights = weights_status(run.settings.model.backbone)
    random_start = run.settings.model.start == "none"
    for (work, precision), (number, seconds) in trained.watch.paces.items():
        if number >= ENOUGH:
            remember_seen(run.settings.model.backbone, work, precision, number / seconds)
    record = RunRecord(
        run=run.id,
        settings=run.settings,
        dataset=DataRecord(
            id=dataset.id,
            title=dataset.title,
            kind=dataset.kind,
            fingerprint=dataset.fingerprint,
            class_names=dataset.class_names,
        ),
        split=SplitRecord(
            hash=trained.split.hash,
            train=len(trained.split.train),
            val=len(trained.split.val),
            test=len(trained.split.test),
        ),
        class_counts={part: tuple(row) for part, row in class_counts(dataset, trained.split).items()},
        test_pictures=trained.split.test,
        test_contents=tuple(picture.content for picture in pictures),
        test_names=tuple(picture.name for picture in pictures),
        test_groups=tuple(picture.side[:GROUP_NAME] for picture in pictures) if dataset.grouped_by else (),
        history=tuple(trained.history),
        best_epoch=trained.best.epoch,
        test_accuracy=trained.test.accuracy,
        val_accuracy=trained.best.val_accuracy,
        confusion=tuple(
            tuple(map(int, row)) for row in confusion_matrix(predictions.targets, predictions.probabilities)
        ),
        duration_s=0.0,  # known when everything else is written
        timings=TimeRecord(),
        work=dict(trained.watch.work),
        freeze_audit=trained.audit,
        parameters=trained.parameters,
        weights=WeightsRecord(
            origin="none (random start)" if random_start else weights.badge, sha256=trained.model.weights_sha256
        ),
        head_hash=trained.head_hash,
        preprocessing=trained.preprocessing,
        machine=this_machine(),
        threads=trained.compute.threads,
        precision=PrecisionRecord(features=trained.compute.features, train=trained.compute.train),
        engine=trained.compute.engine,
        head=_head_record(trained),
        layers=trained.drift.layers,
        costs=_costs(run, trained),
        temperature=fit_temperature(predictions.val_targets, predictions.val_probabilities),
    )

    def with_timings(record: RunRecord) -> RunRecord:
        _check_still_ours(store, run)
        timings = _timings(run, trained.watch, time.perf_counter() - start)
        return replace(record, timings=TimeRecord(**timings), duration_s=sum(timings.values()))

    _check_still_ours(store, run)
    return save_run(record, predictions, lambda path: save_model(trained.model, str(path)), with_timings)


def _check_still_ours(store: RunStore, run: Run) -> None:
    """A worker that slept may find that another one has finished its run: that one's files stay."""
    if not store.beat(run):
        raise Cancelled


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


def _head_record(trained: Trained) -> HeadRecord | None:
    """How the head was solved for, where it was."""
    if trained.head is None:
        return None
    return HeadRecord(l2=trained.head.l2, path=trained.head.path, iterations=trained.head.iterations)
