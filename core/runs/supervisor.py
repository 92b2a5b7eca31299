"""Keeps one worker process alive beside a server, and takes it along when the server goes."""

import atexit
import logging
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from core.errors import StorageError
from core.home import home_folder
from core.storage import explained

RESTART_AFTER_S = 2.0
RETRY_S = 5.0
STOP_WITHIN_S = 5.0
NICENESS = 10  # pages answer first; on an idle machine this costs training nothing
_PROJECT = Path(__file__).resolve().parents[2]
_log = logging.getLogger(__name__)


class Supervisor:
    """Starts the worker, starts it again if it dies, stops it. Its log goes to `THAW_HOME/logs/worker.log`."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # a worker that has just been started is not missed by `stop`
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_alive, daemon=True, name="worker-supervisor")

    def start(self) -> None:
        self._thread.start()
        atexit.register(self.stop)  # the server's own hook and this one each cover a case that the other misses

    def stop(self) -> None:
        """End the worker: it gives its run back to the queue and goes; if it does not, it is killed."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

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
            self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
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

    def _spawn(self) -> subprocess.Popen[bytes]:
        with _log_file() as file:
            # the pipe is how the worker notices our death; a session of its own keeps the terminal's Ctrl-C away
            return subprocess.Popen(
                [sys.executable, "-m", "core.runs.worker", str(NICENESS)],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                cwd=_PROJECT,
                start_new_session=True,
            )


def _log_file() -> AbstractContextManager[IO[bytes] | int]:
    """Where the worker's log goes: nowhere, if it cannot be written."""
    try:
        with explained():
            return (home_folder("logs") / "worker.log").open("ab")
    except StorageError as error:
        _log.error("the worker goes without a log: %s", error)
        return nullcontext(subprocess.DEVNULL)
