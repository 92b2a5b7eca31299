"""The process that reads strangers' bytes, from outside: started with limits, watched, and started again.

A picture that ends it twice, or keeps it busy for too long, is found by going on one by one, costs its own line in
the report and nothing else. Once is not enough: where memory is short, the system ends the reader, whatever it reads.
Where a system has no limits for processes, the watching alone must do.
"""

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, Final

from core.data.reading import limits
from core.data.reading.intake import Emit, Request
from core.errors import DatasetError, LayoutQuestion

PROJECT: Final = Path(__file__).resolve().parents[3]
_log = logging.getLogger(__name__)


class _Ended(Exception):
    """The process ended, or was ended, before it had finished."""

    def __init__(self, reason: str, culprit: str | None, suddenly: bool) -> None:
        super().__init__(reason)
        self.reason, self.culprit, self.suddenly = reason, culprit, suddenly


def take_in_contained(request: Request, emit: Emit) -> None:
    """As `core.data.reading.intake.take_in`, in a process of its own, as many times as it takes.

    Raises:
        DatasetError: the whole cannot be used, or too many files ended the process.
    """
    suspect = None
    while True:
        try:
            _run(request, emit)
            return
        except _Ended as ended:
            if not request.one_by_one:
                request = replace(request, one_by_one=True)
                continue
            if ended.suddenly and ended.culprit not in (None, suspect):
                suspect = ended.culprit
                continue
            if ended.culprit is None or len(request.culprits) >= limits.MAX_CULPRITS:
                raise DatasetError(
                    f"Reading these pictures was given up: the reader {ended.reason}. Nothing was stored; try again "
                    "with fewer or smaller pictures."
                ) from ended
            _log.warning("a picture was contained: the reader %s", ended.reason)
            culprit = (ended.culprit, f"could not be read: the reader {ended.reason}; re-export it")
            request = replace(request, culprits=(*request.culprits, culprit))


def _run(request: Request, emit: Emit) -> None:
    """One process from start to end; raises _Ended or DatasetError."""
    process = subprocess.Popen(
        [sys.executable, "-m", "core.data.reading.intake"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders in C complain there, and nobody asked them
        env=_environment(),
        cwd=PROJECT,
    )
    assert process.stdin and process.stdout
    lines: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True).start()
    current: str | None = None
    try:
        process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
        process.stdin.flush()  # and open for as long as we live: the process ends with us
        while True:
            try:
                line = lines.get(timeout=limits.PICTURE_S if request.one_by_one else limits.SILENCE_S)
            except queue.Empty:
                raise _Ended("took too long", current, suddenly=False) from None
            if line is None:
                raise _ended(process.wait(), current)
            message: dict[str, Any] = json.loads(line)
            if "refused" in message:
                raise DatasetError(message["refused"])
            if "question" in message:
                raise LayoutQuestion(message["question"], [(layout, what) for layout, what in message["offers"]])
            current = message.get("next", current)
            if "next" not in message:
                emit(message)
            if "listed" in message:
                return
    except BrokenPipeError:
        raise _ended(process.wait(), current) from None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()


def _pass_on(stream: IO[bytes], lines: "queue.Queue[bytes | None]") -> None:
    try:
        for line in stream:
            lines.put(line)
    except ValueError:  # closed meanwhile
        pass
    lines.put(None)


def _ended(code: int, culprit: str | None) -> _Ended:
    if code == -getattr(signal, "SIGXCPU", 0):
        return _Ended("took too much processor time", culprit, suddenly=False)
    return _Ended("crashed" if code < 0 else "failed", culprit, suddenly=True)


def _environment() -> dict[str, str]:
    """One arena and no pools of threads: address space is limited."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    few = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "PYTHONPATH": os.pathsep.join(paths)}
    return {**os.environ, **few}
