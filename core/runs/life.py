"""Who lives: processes known beyond doubt, and signs of life that no clock can forge.

A process is known by its number and by its birth as the kernel counts it from the machine's start: the clock on the
wall may be set while it runs, and numbers are used again. What a process still does is told by its beats: a counter in
the database that whoever looks compares with what it saw before, by its own clock. Clocks are never compared.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

BEAT_S: Final = 1.0
GRACE_S: Final = 5.0
"""From being asked to stop to being killed, for the worker as for who asks. Nothing is lost by it: a run that is given
back begins anew, whether its batch was finished or not, and that it was asked is in the database before anything."""
BEAT: Final = b"."
READY: Final = b"!"
"""What a worker tells its supervisor through a pipe."""
LOOK_S: Final = 10.0
"""A watcher that did not look for longer (it was stopped itself, the machine slept) has seen no more than this."""

Identity = dict[str, Any]
"""`host`, `boot` (the machine's start), `space` (of process numbers), `pid`, `born` (ticks since the start)."""


@contextmanager
def repeated(beat: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call `beat` again and again, in a thread of its own, for as long as the block takes; it must not raise."""
    done = threading.Event()

    def beat_on() -> None:
        while not done.wait(every_s):
            beat()

    thread = threading.Thread(target=beat_on, daemon=True, name="beats")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def identity(pid: int | None = None) -> Identity:
    """This process, or a living one of this machine, so that it can be known again."""
    pid = os.getpid() if pid is None else pid
    return {"host": socket.gethostname(), "boot": _boot(), "space": _space(), "pid": pid, "born": _born(pid)}


def is_here(known: Identity) -> bool:
    """Whether its number can be looked up: it was given on this machine, since its start, in our space of numbers."""
    return (known.get("host"), known.get("boot"), known.get("space")) == (socket.gethostname(), _boot(), _space())


def is_from_before(known: Identity) -> bool:
    """Whether a machine of this name has been started anew since; unknown counts as no."""
    boots = known.get("boot"), _boot()
    return known.get("host") == socket.gethostname() and all(boots) and boots[0] != boots[1]


def is_gone(known: Identity) -> bool:
    """Whether a process of this machine has ended for certain; False also where that cannot be known."""
    if known.get("host") == socket.gethostname() and "boot" not in known:  # noted by an older Thaw
        return _born(known["pid"]) is None
    return is_here(known) and _born(known["pid"]) != known["born"]


def _born(pid: int) -> int | None:
    """When a process began: a number that stays the same as long as it lives; None if it has ended."""
    if not sys.platform.startswith("linux"):
        return _born_elsewhere(pid)
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])  # the 22nd of proc(5), in ticks since the machine's start


def _born_elsewhere(pid: int) -> int | None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        # psutil tells processes apart by number and by a birth that the clock does not change, and hashes the two
        return None if process.status() == psutil.STATUS_ZOMBIE else hash(process)
    return None


@cache
def _boot() -> str:
    """This start of the machine; empty where the system does not name it."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


@cache
def _space() -> str:
    """The space of process numbers: two containers may share a host's name and mean other processes by a number."""
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def memory_kills() -> tuple[str, int] | None:
    """How many processes the kernel has ended for want of memory, and where that stands; None where it is not told.

    Those of our control group, which a container is (`memory.events` of cgroup v2, `memory.oom_control` of v1), or of
    the whole machine (`/proc/vmstat`).
    """
    found = ((file, _memory_kills_in(file)) for file in _memory_files())
    return next(((file, count) for file, count in found if count is not None), None)


def was_out_of_memory(known: Identity) -> bool:
    """Whether, since a process was noted with `memory_kills` as its `memory`, the kernel ended one for memory there."""
    file, before = known.get("memory") or ("", 0)
    now = _memory_kills_in(file) if file else None
    return now is not None and now > before


def _memory_files() -> list[str]:
    groups: list[str] = []
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds:
                groups += [f"/sys/fs/cgroup{path}/memory.events", "/sys/fs/cgroup/memory.events"]
            elif "memory" in kinds.split(","):
                groups += [f"/sys/fs/cgroup/memory{here}/memory.oom_control" for here in (path, "")]
    return [*groups, "/proc/vmstat"]


def _memory_kills_in(file: str) -> int | None:
    with suppress(OSError, ValueError):
        for line in Path(file).read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


@dataclass(slots=True)
class Signs:
    """What this process has seen of another: seconds for which something has not changed, by its own clock."""

    beats: int
    progress: Any
    looked: float
    silent_s: float = 0.0
    """Without a beat."""
    still_s: float = 0.0
    """Without progress."""
    asked_s: float = 0.0
    """Since it was first seen that it shall stop."""


class Watch:
    """Remembers between two looks. A process that looks once knows nothing; one that keeps looking knows soon."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Hashable, Hashable], Signs] = {}
        self._lock = threading.Lock()

    def look(self, group: Hashable, name: Hashable, beats: int, progress: Any = None, asked: bool = False) -> Signs:
        """Compare with what was seen of it before, and remember."""
        now = time.monotonic()
        with self._lock:
            signs = self._seen.setdefault((group, name), Signs(beats, progress, now))
            passed = min(now - signs.looked, LOOK_S)
            signs.silent_s = signs.silent_s + passed if beats == signs.beats else 0.0
            signs.still_s = signs.still_s + passed if progress == signs.progress else 0.0
            signs.asked_s = signs.asked_s + passed if asked else 0.0
            signs.beats, signs.progress, signs.looked = beats, progress, now
            return signs

    def keep_only(self, group: Hashable, names: Collection[Hashable]) -> None:
        """Forget what else there is in a group."""
        with self._lock:
            for key in [key for key in self._seen if key[0] == group and key[1] not in names]:
                del self._seen[key]
