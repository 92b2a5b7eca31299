"""Keeps one worker process alive beside a server, and takes it along when the server goes.

While it waits for the worker's end it looks after the runs, and ends a worker that gives no sign of life.
"""

import atexit
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from core.errors import StorageError
from core.home import server_folder, within
from core.runs.life import GRACE_S, READY, Watch
from core.storage import explained

if TYPE_CHECKING:
    from core.runs.everybody import Everybody
    from core.runs.store import RunStore

RESTART_AFTER_S = 2.0
RETRY_S = 5.0
TICK_S = 1.0
SILENCE_S = 60.0
STARTING_S = 600.0  # until it is ready: a cold disk takes long to load torch, and no sign can be given meanwhile
NICENESS = 10  # pages answer first; on an idle machine this costs training nothing
_PROJECT = Path(__file__).resolve().parents[2]
_log = logging.getLogger(__name__)


class Supervisor:
    """Starts the worker, starts it again if it dies, stops it. Its log goes to `THAW_HOME/logs/worker.log`."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # a worker that has just been started is not missed by `stop`
        self._process: subprocess.Popen[bytes] | None = None
        self._store: RunStore | Everybody | None = None
        self._thread = threading.Thread(target=self._keep_alive, daemon=True, name="worker-supervisor")
        self._healer: threading.Thread | None = None
        self._heard_at = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since a worker that can train gave a sign of life; since we are here, if none has yet."""
        return time.monotonic() - self._heard_at

    def start(self) -> None:
        self._thread.start()
        atexit.register(self.stop)  # the server's own hook and this one each cover a case that the other misses

    def stop(self) -> None:
        """End the worker: it gives its run back to the queue and goes; if it does not, it is killed.

        That it is asked to is on record before it is, so this is never taken for a crash of the run.
        """
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is None or process.poll() is not None:
            return
        self._tell_within(GRACE_S, lambda store: store.ask_to_stop(process.pid))
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._tell(lambda store: store.ask_to_stop(process.pid))  # again: it may have held the database until now
        self._tell(lambda store: store.heal())

    def _tell(self, message: "Callable[[RunStore | Everybody], object]") -> None:
        """Write something into the database; that it cannot be written must keep nobody from starting or stopping."""
        from core.runs.everybody import stores_of_all  # the server has started when it is loaded

        try:
            with within(""):
                self._store = self._store or stores_of_all()
                message(self._store)
        except Exception:
            _log.exception("the database of runs could not be used")

    def _tell_within(self, seconds: float, message: "Callable[[RunStore | Everybody], object]") -> threading.Thread:
        """The same, not waited for longer: a worker that was halted while it wrote keeps the database locked."""
        thread = threading.Thread(target=self._tell, args=(message,), daemon=True)
        thread.start()
        thread.join(seconds)
        return thread

    def _keep_alive(self) -> None:
        while True:
            started = time.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = self._try_to_spawn()
            if self._process is None:
                self._stopping.wait(RETRY_S)
                continue
            self._attend(self._process)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            if not self._stopping.is_set():
                _log.warning("the worker ended with code %s and is started again", self._process.returncode)
                self._stopping.wait(max(0.0, RESTART_AFTER_S - (time.monotonic() - started)))

    def _try_to_spawn(self) -> subprocess.Popen[bytes] | None:
        """A worker, or none yet where the system has no process left: the server goes on without."""
        try:
            return self._spawn()
        except OSError as error:
            _log.error("the worker could not be started, and is tried again: %s", error.strerror)
            return None

    def _attend(self, process: "subprocess.Popen[bytes]") -> None:
        """Until the worker has ended: look after the runs, and kill it when it gives no sign of life."""
        assert process.stdout
        pulse, watch = _Pulse(process.stdout), Watch()
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(TICK_S)
                pulse.join()
                return
            self._heal_aside()
            silent_s = watch.look(None, process.pid, pulse.beats).silent_s
            if pulse.is_ready:
                self._heard_at = time.monotonic() - silent_s
            if silent_s > (SILENCE_S if pulse.is_ready else STARTING_S):
                _log.warning("the worker gave no sign of life for %.0f seconds and is killed", silent_s)
                self._tell_within(GRACE_S, lambda store: store.give_up(process.pid))
                process.kill()

    def _heal_aside(self) -> None:
        """Look after the runs, one look at a time."""
        if self._healer is None or not self._healer.is_alive():
            self._healer = self._tell_within(0.0, lambda store: store.heal())

    def _spawn(self) -> subprocess.Popen[bytes]:
        with _log_file() as file:
            # the pipe is how the worker notices our death; a session of its own keeps the terminal's Ctrl-C away
            return subprocess.Popen(
                [sys.executable, "-m", "core.runs.worker", str(NICENESS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=_PROJECT,
                start_new_session=True,
            )


def _log_file() -> AbstractContextManager[IO[bytes] | int]:
    """Where the worker's log goes: nowhere, if it cannot be written."""
    try:
        with explained():
            return (server_folder("logs") / "worker.log").open("ab")
    except StorageError as error:
        _log.error("the worker goes without a log: %s", error)
        return nullcontext(subprocess.DEVNULL)


class _Pulse(threading.Thread):
    """Counts the signs of life that come through a pipe, until its end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True, name="worker-pulse")
        self.beats, self.is_ready, self._pipe = 0, False, pipe
        self.start()

    def run(self) -> None:
        while heard := os.read(self._pipe.fileno(), 64):
            self.beats += len(heard)
            self.is_ready = self.is_ready or READY in heard
