"""Processes to be killed: forked from one in which torch is loaded, so that a thousand of them start in a moment.

What such a process runs is the worker's own `main`, or one call into `core`. That it was forked and not started anew is
the one difference from the worker that a server has; those are killed, too, in `proving.servers`.
"""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

WORKED: Final = 0
RAISED: Final = 3
"""Exit codes of a forked process."""
_PR_SET_PTRACER: Final = 0x59616D61
_open: set[int] = set()  # our ends of the standard inputs of all of them: none is inherited


@dataclass(slots=True)
class Child:
    """A process of ours, and the other end of its standard input."""

    pid: int
    stdin: int
    status: int | None = None
    """As `os.waitpid` gives it; None while it lives."""

    def ended(self) -> bool:
        """Whether it has; it is reaped then."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._over(status)
        return self.status is not None

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Until it has ended or something else has happened, at most so long; whether it has ended."""
        end = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < end and not until():
            time.sleep(0.01)
        return self.ended()

    def send(self, number: int) -> None:
        if not self.ended():
            os.kill(self.pid, number)

    def kill(self) -> bool:
        """End it here and now; whether it still lived."""
        if self.ended():
            return False
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self._over(status)
        return True

    def go(self) -> None:
        """Let it begin that waits for that."""
        os.write(self.stdin, b"!")

    @property
    def was_killed(self) -> bool:
        return self.status is not None and os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    @property
    def code(self) -> int | None:
        """Its exit code, if it ended by itself."""
        return os.WEXITSTATUS(self.status) if self.status is not None and os.WIFEXITED(self.status) else None

    def _over(self, status: int) -> None:
        self.status = status
        _open.discard(self.stdin)
        with suppress(OSError):
            os.close(self.stdin)


def forked(work: Callable[[], object], log: Path, prepare: Callable[[], object] = lambda: None) -> Child:
    """A process that does `prepare`, then `work`, and ends. What it prints goes into a log."""
    theirs, ours = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        _open.add(ours)
        return Child(pid=pid, stdin=ours)
    code = RAISED
    try:
        for handle in (*_open, ours):
            os.close(handle)
        os.setsid()
        os.dup2(theirs, 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        prepare()
        work()
        code = WORKED
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def waiting_for_go() -> None:
    """To be called first thing in a forked process that somebody wants to attach to: goes on when a byte comes."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1))  # by anybody, where Yama is careful
    select.select([0], [], [])
    os.read(0, 1)


@dataclass(slots=True)
class Tally:
    """What a campaign counts, and what went wrong in it, in sentences."""

    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def most(self, what: str, number: int) -> None:
        """Keep the largest of some numbers."""
        self.counts[what] = max(self.counts.get(what, 0), number)

    def of(self, what: str) -> int:
        return self.counts.get(what, 0)
