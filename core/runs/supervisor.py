"""Keeps one worker process alive beside a server, and takes it along when the server goes."""

import atexit
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

from core.home import home_folder

RESTART_AFTER_S = 2.0
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
                self._process = self._spawn()
            self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
            if not self._stopping.is_set():
                _log.warning("the worker ended with code %s and is started again", self._process.returncode)
                self._stopping.wait(max(0.0, RESTART_AFTER_S - (time.monotonic() - started)))

    def _spawn(self) -> subprocess.Popen[bytes]:
        log = home_folder("logs") / "worker.log"
        with log.open("ab") as file:
            # the pipe is how the worker notices our death; a session of its own keeps the terminal's Ctrl-C away
            return subprocess.Popen(
                [sys.executable, "-m", "core.runs.worker", str(NICENESS)],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                cwd=_PROJECT,
                start_new_session=True,
            )
