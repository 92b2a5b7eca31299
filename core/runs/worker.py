"""The process that trains: one run at a time from the queue, until it is asked to stop or its parent is gone.

Started as `python -m core.runs.worker [NICENESS]` with a pipe as standard input; its end means that the server is gone.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from functools import cache, partial
from math import inf
from typing import TypeVar

from core.errors import StorageError
from core.machine import imports_exempt_from_gc, keep_freed_memory, prepare_process
from core.runs.store import RunStore
from core.settings import ModelSettings
from core.speeds import load_peaks, load_speeds

POLL_S = 0.3
STORAGE_S = 2.0
GRACE_S = 20.0  # from the parent's end to ours: the batch at work is finished and the run given back

T = TypeVar("T")


def work_off(
    store: RunStore, should_stop: Callable[[], bool], only: Collection[str] | None = None, **options: float
) -> bool:
    """Train the next queued run, if there is one and nothing else is at work; whether there was.

    Args:
        options: of `core.runs.execute.execute`.
    """
    run = store.claim(only)
    if run is None:
        return False
    _training()(store, run, should_stop, **options)
    return True


def preload() -> None:
    """Load what trains, once, for as long as the process lives."""
    with imports_exempt_from_gc():
        _training()


@cache
def _training() -> Callable[..., None]:
    """What trains a run; the first call takes seconds, since it brings torch and the networks' libraries."""
    import timm  # noqa: F401  # the default backbone asks for it

    from core.runs.execute import execute

    return execute


def main() -> None:
    """Work until SIGTERM or the end of standard input. Ctrl-C in the server's terminal is the server's business."""
    prepare_process()
    keep_freed_memory()
    if len(sys.argv) > 1 and hasattr(os, "nice"):
        os.nice(int(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s worker %(levelname)s %(message)s")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, args=(stop,), daemon=True).start()
    store = _patiently(RunStore, stop)
    preload()  # while nobody waits
    _patiently(_measure_once, stop)
    while store is not None and not stop.is_set():
        if not _patiently(partial(work_off, store, stop.is_set, patience_s=inf), stop):
            stop.wait(POLL_S)


def _patiently(work: Callable[[], T], stop: threading.Event) -> T | None:
    """What `work` gives, once the storage lets it: whoever makes room on a full disk need not start Thaw again."""
    said = ""
    while not stop.is_set():
        try:
            return work()
        except StorageError as error:
            if str(error) != said:
                said = str(error)
                logging.error("waiting for the storage: %s", said)
            stop.wait(STORAGE_S)
    return None


def _measure_once() -> None:
    """On a machine that has never trained, time the default backbone, so that the first estimate is a measured one."""
    if load_peaks() is None or load_speeds(ModelSettings().backbone) is None:
        from core.training.probe import known_peaks, known_speeds

        known_peaks()
        known_speeds(ModelSettings().backbone)


def _follow_parent(stop: threading.Event) -> None:
    while os.read(0, 1024):  # blocks until the other end is closed, by intent or by death; sys.stdin would lock at exit
        pass
    stop.set()
    threading.Event().wait(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    main()
