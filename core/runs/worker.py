"""The process that trains: one run at a time from the queue, until it is asked to stop or its parent is gone.

With `THAW_ENGINE=ray` it hands out runs instead, as many at a time as the cluster has room for.

Started as `python -m core.runs.worker [NICENESS]` with a pipe as standard input; its end means that the server is gone.
On standard output it gives signs of life, whatever it is doing: a byte each second, another one when it is ready.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from math import inf
from typing import TypeVar

from core.errors import SettingsError, StorageError
from core.home import sweep_staging
from core.machine.cluster import engine_name
from core.machine.devices import devices
from core.machine.process import keep_freed_memory, prepare_process, wake_with_parent
from core.machine.speeds import load_peaks, load_speeds
from core.runs.engine import Dispatcher, Engine, Local, preload
from core.runs.everybody import Everybody, stores_of_all, sweep
from core.runs.life import BEAT, BEAT_S, GRACE_S, READY, repeated
from core.runs.on_ray import ray_engine
from core.runs.store import RunStore
from core.settings.schema import ModelSettings

POLL_S = 0.3
STORAGE_S = 2.0
RECENT = 20  # runs whose backbones are worth measuring
_log = logging.getLogger(__name__)

T = TypeVar("T")


def main() -> None:
    """Work until SIGTERM or the end of standard input. Ctrl-C in the server's terminal is the server's business."""
    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print belongs into the log
    threading.Thread(target=_tell_parent, args=(out,), daemon=True).start()
    prepare_process()
    keep_freed_memory()
    if len(sys.argv) > 1 and hasattr(os, "nice"):
        os.nice(int(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s worker %(levelname)s %(message)s")
    wake_with_parent()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, args=(stop,), daemon=True).start()
    store = _patiently(stores_of_all, stop)
    _patiently(sweep_staging, stop)
    engine = _engine(store, stop) if store else None
    with suppress(OSError):
        os.write(out, READY)
    if store and engine:
        _work(store, engine, stop)


def _work(store: RunStore | Everybody, engine: Engine, stop: threading.Event) -> None:
    dispatcher = Dispatcher(store, engine)
    more = worked = True  # whether there may be something left to measure, and to sweep
    while not stop.is_set():
        if _patiently(dispatcher.step, stop):
            more = worked = True
            continue
        if not engine.alone and not dispatcher.is_busy:
            _patiently(partial(store.tell_waiting, "cluster"), stop)  # what still waits finds no room there
        if worked and not dispatcher.is_busy:
            _patiently(partial(sweep, store), stop)
            worked = False
        more = more and bool(_patiently(partial(_measure_next, store, stop), stop))
        stop.wait(POLL_S)
    dispatcher.close()


def _engine(store: RunStore | Everybody, stop: threading.Event) -> Engine | None:
    """What trains, once it is there; None if the end comes first."""
    said = ""
    while not stop.is_set():
        try:
            if engine_name() == "ray":
                with _telling(store, "cluster"):
                    return ray_engine(store)
            with _telling(store, "torch"):
                preload()  # while nobody waits, as a rule
            return Local(store, stop.is_set, when_lost=_leave, patience_s=inf)
        except SettingsError as error:
            if str(error) != said:
                said = str(error)
                logging.error("nothing can be trained: %s", said)
            stop.wait(STORAGE_S)
    return None


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


@contextmanager
def _telling(store: RunStore | Everybody | None, phase: str) -> Iterator[None]:
    """Let whoever waits for the queue's next run know what is done first."""

    def tell() -> None:
        with suppress(StorageError):
            if store is not None:
                store.tell_waiting(phase)

    tell()
    with repeated(tell, POLL_S):
        yield


def _tell_parent(out: int) -> None:
    """Signs of life for the supervisor, from the first moment on."""
    while True:
        try:
            os.write(out, BEAT)
        except OSError:  # it is gone; standard input tells the same
            return
        time.sleep(BEAT_S)


def _leave() -> None:
    """End here and now: the run was given up or stopped, nothing of it is kept, and others wait."""
    _log.warning("the run at work was taken away and does not end; the worker does")
    os._exit(1)


def _measure_next(store: RunStore | Everybody, stop: threading.Event) -> bool:
    """On a machine where it never was, time what estimates are made of, one backbone at a time; whether there is more.

    The default backbone, and those of finished runs, on every device that is here. Only while nothing trains or waits:
    then it ends, and begins anew in the next pause.
    """
    used = [run.settings.model.backbone for run in store.runs(["finished"], limit=RECENT)]
    names = dict.fromkeys([ModelSettings().backbone, *used])
    pairs = [(name, device.kind) for name in names for device in devices()]
    unknown = [(name, kind) for name, kind in pairs if load_speeds(name, kind) is None]
    if load_peaks() is not None and not unknown:
        return False

    def busy() -> bool:
        return stop.is_set() or bool(store.runs(["queued", "running"], limit=1))

    if busy():  # asked before a network is built: beside another process's run that would be done again and again
        return True
    from core.training.history import Cancelled
    from core.training.probe import known_peaks, known_speeds

    try:
        with _telling(store, "timing"):
            known_peaks(should_stop=busy)
            for name, kind in unknown[:1]:
                known_speeds(name, should_stop=busy, device=kind)
    except Cancelled:
        pass
    except Exception:  # runs start with what is safe
        _log.warning("this machine could not be measured", exc_info=True)
        return False
    return True


def _follow_parent(stop: threading.Event) -> None:
    while os.read(0, 1024):  # blocks until the other end is closed, by intent or by death; sys.stdin would lock at exit
        pass
    stop.set()
    threading.Event().wait(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    main()
