"""What becomes of a run whose worker is lost: it begins anew, or ends with its cause."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from core.training.history import Progress

if TYPE_CHECKING:
    from core.runs.store import Run

MAX_CRASHES: Final = 2
ENDED_UNEXPECTEDLY: Final = "The process that trained this run ended unexpectedly (out of memory, or killed)"
STOPPED_ANSWERING: Final = "The process that trained this run stopped answering"
RESTARTED: Final = "The machine was restarted"


def after_loss(run: "Run", loss: str) -> dict[str, Any]:
    """What becomes of a run whose worker is lost."""
    gone: dict[str, Any] = {"worker": None, "progress": None}
    again: dict[str, Any] = {"state": "queued", "started": None, "epochs": [], **gone}
    if run.cancel:
        return {"state": "cancelled", "ended": time.time(), **gone}
    if run.stopping:
        return again
    if loss == RESTARTED:
        return {**again, "cause": f"{loss}; it starts again from the beginning."}
    further, reached = _further(run.progress, run.reached)
    crashes = 1 if further else run.crashes + 1
    counted = {"crashes": crashes, "reached": reached and asdict(reached)}
    if crashes <= MAX_CRASHES:
        return {**again, **counted, "cause": f"{loss}; it starts again from the beginning."}
    cause = f"{loss}, {crashes} times without getting further. Try a smaller batch size or backbone."
    return {"state": "failed", "ended": time.time(), "cause": cause, **gone, **counted}


def _further(now: Progress | None, before: Progress | None) -> tuple[bool, Progress | None]:
    """Whether a run was lost further on than ever before, and the furthest place.

    Progress is written now and then, so a little more of the same pass is the same place: a run that meets its end
    there each time would else be tried for ever.
    """
    if now is None or before is None:
        return now is not None, now or before
    if now.fraction <= before.fraction:
        return False, before
    return (now.phase, now.epoch) != (before.phase, before.epoch), now
