"""One claimed run from start to end: trains, has its folder written, ends the row. The single job boundary."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final, TypeVar

from core.data.dataset import Dataset, dataset_folder, load_stored
from core.data.pixels import FILE_NAME as PIXELS
from core.errors import DatabaseAway, StorageError, StoreError
from core.machine.process import forget_peak_memory
from core.models.accel import Shelf
from core.objects.cache import here, in_use, share
from core.runs.elsewhere import KeptElsewhere
from core.runs.finish import finish, while_ours
from core.runs.label_check import check_after
from core.runs.life import BEAT_S, GRACE_S, repeated
from core.runs.record import checkpoint_path, run_folder, summary_of
from core.runs.shifted import shift_after
from core.runs.store import Run, RunStore
from core.storage import explain
from core.training.checkpoint import Checkpoint
from core.training.history import Cancelled, EpochRecord, Progress
from core.training.plan import out_of_memory
from core.training.scenarios import train_run
from core.training.watched import Watched

REPORT_EVERY_S = 0.3
PASSES: Final = ("train", "val")  # which take turns, often many times a second
PATIENCE_S: Final = 20.0
RETRY_S: Final = 1.0
STORE_S: Final = 900.0  # a run that has been trained is worth waiting for
_shelf = Shelf()
_log = logging.getLogger(__name__)

T = TypeVar("T")


def execute(
    store: RunStore,
    run: Run,
    asked_to_stop: Callable[[], bool],
    *,
    when_lost: Callable[[], None] = lambda: None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Train a claimed run and write down how it ended, whatever happens.

    Args:
        asked_to_stop: the worker is to go away; the run goes back into the queue.
        when_lost: called if the run was taken from us, as one that did not answer is, and we are still busy with it.
        patience_s: so long it is tried to write down the end while the database cannot be written.

    Raises:
        StorageError: it could not be written down until then.
    """
    forget_peak_memory()
    reporter = _Reporter(store, run, asked_to_stop, when_lost)
    with repeated(reporter.beat, BEAT_S):
        kept = KeptElsewhere(run)
        checkpoint = Checkpoint(checkpoint_path(run.id), partial(while_ours, store, run), kept.put)
        with in_use(dataset_folder(run.settings.data.dataset)):
            state, values = _train(store, run, reporter, checkpoint, kept, patience_s)
        ended = partial(store.end, run, state, **values)
        over: Callable[[], bool | None] = partial(store.give_back, run) if state == "queued" else ended
        if _insist(over, asked_to_stop, patience_s):  # else it is taken up again, here or elsewhere
            checkpoint.remove()
            kept.remove()
    if state == "finished":
        check_after(run.settings, asked_to_stop, _shelf)


def _train(
    store: RunStore, run: Run, reporter: "_Reporter", checkpoint: Checkpoint, kept: KeptElsewhere, patience_s: float
) -> tuple[str, dict[str, Any]]:
    """Train a run and write its folder; the state it ends in, and what is to be said about that."""
    start = time.perf_counter()
    reporter.progress(Progress(phase="pictures"))
    try:
        dataset = _brought(run, reporter.should_stop, kept)
        trained = train_run(
            run.settings,
            dataset,
            on_progress=reporter.progress,
            on_epoch=reporter.epoch,
            on_watched=reporter.watched,
            should_stop=reporter.should_stop,
            shelf=_shelf,
            checkpoint=checkpoint,
        )
        reporter.flush()
        if reporter.cancelled:  # or given to another worker, while this one did not answer
            raise Cancelled
        write_record = partial(finish, store, run, dataset, trained, start)
        record = _insist(write_record, reporter.should_stop, patience_s, DatabaseAway)
        shift_after(run, dataset, trained, reporter.should_stop)
        _while_store_is_silent(partial(share, run_folder(run.id), generation=run.attempt), reporter.should_stop)
    except (Cancelled, DatabaseAway):
        return ("cancelled" if reporter.cancelled else "queued"), {}
    except MemoryError:
        return "failed", {"cause": out_of_memory(run.settings)}
    except Exception as error:  # the job boundary: whatever a run dies of is its cause, and the worker lives on
        expected = explain(error)
        if expected is None:
            _log.exception("run %s failed", run.id)
            return "failed", {"cause": f"An error that Thaw did not expect ({type(error).__name__}). The log has it."}
        return "failed", {"cause": str(expected)}
    return "finished", {"test_part": record.test_part, "summary": summary_of(record)}


def _brought(run: Run, should_stop: Callable[[], bool], kept: KeptElsewhere) -> Dataset:
    """The run's data set with its pixels, and how far the run had come elsewhere, on this machine."""

    def bring() -> Dataset:
        dataset = load_stored(run.settings.data.dataset)
        here(dataset.folder, PIXELS)
        kept.bring()
        return dataset

    return _while_store_is_silent(bring, should_stop)


def _while_store_is_silent(work: Callable[[], T], should_stop: Callable[[], bool]) -> T:
    """What `work` gives, for which the store that machines share is asked again for `STORE_S`.

    Raises:
        Cancelled: the run was stopped meanwhile.
        StoreError: it does not answer.
    """
    try:
        return _insist(work, should_stop, STORE_S, StoreError)
    except StoreError as error:
        if should_stop():
            raise Cancelled from error
        raise


def _insist(
    work: Callable[[], T],
    asked_to_stop: Callable[[], bool],
    patience_s: float,
    passing: type[StorageError] = StorageError,
) -> T:
    """Try until it works: a run that has ended and is not known to have ended would be trained again.

    Args:
        passing: what is waited for.
    """
    last = time.monotonic() + patience_s
    while True:
        try:
            return work()
        except passing as error:
            if asked_to_stop() or time.monotonic() > last:
                raise
            _log.warning("tried again until it works: %s", error)
        time.sleep(RETRY_S)


class _Reporter:
    """What the store hears of a run, and what is heard of it there: that it was cancelled, or taken away.

    Progress is written at most every `REPORT_EVERY_S`, and whenever something else begins than the next pass; signs of
    life come from a thread of their own, however slowly the work goes on, so that Stop is heard in the midst of
    whatever asks `should_stop`.
    """

    def __init__(
        self, store: RunStore, run: Run, asked_to_stop: Callable[[], bool], when_lost: Callable[[], None]
    ) -> None:
        self._store, self._run, self._asked_to_stop, self._when_lost = store, run, asked_to_stop, when_lost
        self._epochs: list[dict[str, object]] = []
        self._watched: dict[str, object] | None = None
        self._phase = ""
        self._start, self._last, self._lost_s = time.monotonic(), 0.0, 0.0
        self.cancelled = False

    def progress(self, progress: Progress) -> None:
        begins = progress.phase != self._phase and progress.phase not in PASSES
        self._phase = progress.phase
        if begins or time.monotonic() - self._last >= REPORT_EVERY_S:
            worked_s = max(progress.worked_s or 0.0, time.monotonic() - self._start)
            self._write(progress=asdict(replace(progress, worked_s=worked_s)))

    def epoch(self, record: EpochRecord) -> None:
        self._epochs.append(asdict(record))
        if time.monotonic() - self._last >= REPORT_EVERY_S or record.lr is not None:
            self.flush()

    def watched(self, watched: Watched) -> None:
        """To be written with the epoch that it belongs to."""
        self._watched = asdict(watched)

    def flush(self) -> None:
        """Write the epochs, also those that came too fast to be written one by one."""
        self._write(epochs=self._epochs, watched=self._watched)

    def should_stop(self) -> bool:
        return self.cancelled or self._asked_to_stop()

    def beat(self) -> None:
        """Give a sign of life."""
        stopping = {"stopping": True} if self._asked_to_stop() else {}  # its end will be no crash
        try:
            goes_on = self._store.report(self._run, **stopping)
        except Exception:  # a full disk or a lost connection: the next beat may go through
            _log.warning("no sign of life could be written for run %s", self._run.id, exc_info=True)
            return
        self.cancelled = self.cancelled or not goes_on
        self._lost_s = self._lost_s + BEAT_S if goes_on is None else 0.0
        if self._lost_s > GRACE_S:
            self._when_lost()

    def _write(self, **values: object) -> None:
        """As well as it can be done: training goes on while nothing can be written, and the next time may do."""
        try:
            self.cancelled = not self._store.report(self._run, **values)
        except StorageError as error:
            _log.warning("progress was not written: %s", error)
        self._last = time.monotonic()
