"""Named places in a run at which a process kills itself, set up from outside: nothing in Thaw knows of them.

In the process that is to die, a function or method is replaced by one that does the same, and before or after its n-th
call sends SIGKILL to its own process.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_model
from torch.optim.lr_scheduler import LRScheduler

import core.runs.execute
import core.runs.finish
import core.runs.healing
import core.training.features
import core.training.scenarios
import core.training.ways
from core.runs.execute import _Reporter
from core.runs.store import RunStore
from core.training.loop import Stepper

Fits = Callable[..., bool]


@dataclass(frozen=True, slots=True)
class Point:
    """A place: before or after a call of `owner.name` that fits."""

    owner: Any
    name: str
    after: bool = False
    fits: Fits = lambda *args, **options: True
    most: int = 1
    """It may be the first to this call."""
    half: bool = False
    """In the middle of writing: when half of the bytes are there."""


def die() -> None:
    """As `kill -9`, and as the kernel does that has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def set_up(point: Point, count: int) -> None:
    """Let this process die at the count-th call."""
    function = getattr(point.owner, point.name)
    left = count

    def deadly(*args: Any, **options: Any) -> Any:
        nonlocal left
        hit = point.fits(*args, **options)
        left -= hit
        if hit and left == 0 and not point.after and not point.half:
            die()
        result = function(*args, **options)
        if hit and left == 0 and point.after:
            die()
        return _HalfWritten(result) if hit and left == 0 and point.half else result

    setattr(point.owner, point.name, deadly)


class _HalfWritten:
    """A file of which half is written when the process dies."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> "_HalfWritten":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        self._file.write(content[: len(content) // 2])
        self._file.flush()
        die()


def _handle_in(part: str) -> Fits:
    return lambda handle, *args, **options: part in os.readlink(f"/proc/self/fd/{handle}")


def _to(part: str) -> Fits:
    return lambda source, target, *args, **options: part in str(target)


def _half_tensors(model: Any, path: str) -> None:
    save_model(model, path)
    os.truncate(path, os.path.getsize(path) // 2)
    die()


_KEPT, _RUN = "/checkpoints/", "/runs/"
POINTS: Final[dict[str, Point]] = {
    "a lost run is found, not yet taken": Point(core.runs.healing, "take"),
    "a lost run is taken, not yet claimed": Point(core.runs.healing, "take", after=True),
    "claimed, nothing begun": Point(RunStore, "claim", after=True),
    "the network is built": Point(core.training.scenarios, "_build", after=True),
    "features half computed": Point(core.training.features, "save_file"),
    "features written, not yet named": Point(os, "replace", fits=_to("/features/")),
    "before a batch": Point(Stepper, "step", most=8),
    "after a batch": Point(Stepper, "step", after=True, most=8),
    "between optimiser and schedule": Point(LRScheduler, "step", most=9),
    "validation": Point(core.training.ways, "evaluate", most=4),
    "an epoch is told": Point(_Reporter, "flush", after=True, most=4),
    "checkpoint half written": Point(os, "fdopen", fits=_handle_in(_KEPT), half=True, most=3),
    "checkpoint written, not synced": Point(os, "fsync", fits=_handle_in(_KEPT), most=3),
    "checkpoint synced, not in place": Point(os, "replace", fits=_to(_KEPT), most=3),
    "checkpoint in place": Point(os, "replace", after=True, fits=_to(_KEPT), most=3),
    "trained, nothing written": Point(core.runs.execute, "finish"),
    "predictions written, no weights": Point(core.runs.finish, "save_model"),
    "weights half written": Point(core.runs.finish, "save_model", half=True),
    "the record half written": Point(os, "fdopen", fits=_handle_in("/record.json"), half=True),
    "the folder whole, not in place": Point(Path, "rename", fits=_to(_RUN)),
    "the folder in place, not in the database": Point(Path, "rename", after=True, fits=_to(_RUN)),
    "the end not yet in the database": Point(RunStore, "end"),
    "ended, its checkpoint not removed": Point(RunStore, "end", after=True),
    "given back": Point(RunStore, "give_back", after=True),
}


def die_at(name: str, count: int) -> None:
    """Let this process die at a point of that name."""
    point = POINTS[name]
    if name == "weights half written":
        setattr(core.runs.finish, "save_model", _half_tensors)  # noqa: B010  # a name that finish does not export
        return
    set_up(point, count)
