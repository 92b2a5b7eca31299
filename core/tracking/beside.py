"""The process beside a server that exports, and what keeps it alive: apart from the worker, and behind everything.

Started as `python -m core.tracking.beside` with a pipe as standard input; its end means that the server is gone.
"""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from core.errors import StorageError, ThawError
from core.home import server_folder
from core.storage import explained
from core.tracking.address import checked_address, tracking_address

LOOK_S: Final = 5.0
PATIENCE_S: Final = (10.0, 30.0, 60.0, 300.0)
"""After so many failures in a row, until it is tried again."""
NICENESS: Final = 19
_PROJECT: Final = Path(__file__).resolve().parents[2]
_log = logging.getLogger(__name__)


class Exporter:
    """Starts the process where `THAW_MLFLOW` asks for it, starts it again if it dies, and takes it along."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if tracking_address():
            threading.Thread(target=self._keep_alive, daemon=True, name="exporter").start()

    def stop(self) -> None:
        """End it, whatever it is sending: what was not noted is gone on with at the next start."""
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _keep_alive(self) -> None:
        while not self._stopping.is_set():
            try:
                self._process = _spawn()
                self._process.wait()
            except (OSError, StorageError):
                _log.exception("the exporter could not be started, and is tried again")
            self._stopping.wait(PATIENCE_S[-2])


def _spawn() -> "subprocess.Popen[bytes]":
    with explained(), (server_folder("logs") / "mlflow.log").open("ab") as log:
        command = [sys.executable, "-m", "core.tracking.beside"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=_PROJECT, env=_modest())


def _modest() -> dict[str, str]:
    """One thread: cores are for training."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def follow(stop: threading.Event, look_s: float = LOOK_S) -> None:
    """Export what ends, as soon as the server takes it; whatever fails is tried again later."""
    from core.tracking.export import export_missing  # not where the process is only kept alive

    failures = 0
    while not stop.is_set():
        try:
            sent = export_missing(checked_address(), should_stop=stop.is_set)
            failures = 0
            if sent.exported:
                _log.info("exported: %s", ", ".join(sent.exported))
        except ThawError as error:
            if not failures:
                _log.warning("%s", error)
            failures += 1
        except Exception:  # a tracker must end nothing; the log has it
            _log.exception("an export failed")
            failures += 1
        stop.wait(PATIENCE_S[min(failures, len(PATIENCE_S)) - 1] if failures else look_s)


def main() -> None:
    """Export until the server is gone."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s exporter %(levelname)s %(message)s")
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    follow(threading.Event())


def _end_with_parent() -> None:
    while os.read(0, 1024):  # blocks until the other end is closed, by intent or by death
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
