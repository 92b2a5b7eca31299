"""Whoever looks, heals: runs whose worker or owner is lost go back into the queue, or end with their cause.

A lost process of this machine is known at once; one that is silent, or elsewhere, by looking again and again. Its run
always begins anew if it had been asked to stop, else up to `MAX_CRASHES` times without getting further; one that was
ended for want of memory does not.
"""

import time
from dataclasses import asdict
from typing import Any, Final

import sqlalchemy as sa

from core.runs.database import ACTIVE, RUNS, Database, Run, is_held
from core.runs.life import Identity, Signs, Watch, identity, is_from_before, is_gone, is_here, was_out_of_memory
from core.training.history import Progress

SILENCE_S: Final = 60.0  # without a sign of life, and a worker is given up; it beats each second, whatever it does
CANCEL_WITHIN_S: Final = 30.0  # a worker that does not end a run that was cancelled is no longer waited for
STILL_S: Final = 600.0  # alive but without progress: said, never acted upon, for a batch may really take so long
MAX_CRASHES: Final = 2
ENDED_UNEXPECTEDLY: Final = "The process that trained this run ended unexpectedly (out of memory, or killed)"
OUT_OF_MEMORY: Final = "The kernel ended the process that trained this run for want of memory"
STOPPED_ANSWERING: Final = "The process that trained this run stopped answering"
RESTARTED: Final = "The machine was restarted"
DRIVER_GONE: Final = "The process that hands runs to the cluster ended"
OWNER_GONE: Final = "The command that trained it was ended, and the run with it."
_watch = Watch()


def heal(database: Database) -> list[str]:
    """Take runs from whoever is lost; the runs that it changed something for."""
    owned = sa.select(RUNS).where(RUNS.c.state.in_(ACTIVE), RUNS.c.owner.is_not(None), ~RUNS.c.cancel)
    waiting = database.read(owned)
    healed = [run.id for run in waiting if _is_orphan(database, run) and _end_orphan(database, run)]
    running = database.read(sa.select(RUNS).where(RUNS.c.state == "running"))
    for run in running:
        loss = _loss(database, run)
        if loss and take(database, run, after_loss(run, loss)):
            healed.append(run.id)
    names = [*((run.id, run.attempt) for run in running), *((run.id, "owner") for run in waiting)]
    _watch.keep_only(database.engine.url, names)
    return list(dict.fromkeys(healed))


def held_by(database: Database, pid: int) -> list[Run]:
    """The runs at work in a process of this machine."""
    running = database.read(sa.select(RUNS).where(RUNS.c.state == "running"))
    wanted = identity(pid)
    return [run for run in running if any(_is(wanted, one) for one in (run.worker or {}, driver_of(run)))]


def driver_of(run: Run) -> Identity:
    """The process that handed it to its worker, which ends with it; nobody's where the worker claimed it itself."""
    driver: Identity = (run.worker or {}).get("driver") or {}
    return driver


def has_begun(run: Run) -> bool:
    """Whether it is with the process that trains it, and not with the one that hands it out."""
    return not driver_of(run) or not _is(driver_of(run), run.worker or {})


def _is(wanted: Identity, known: Identity) -> bool:
    return all(known.get(name) == value for name, value in wanted.items())


def take(database: Database, run: Run, values: dict[str, Any]) -> bool:
    """Take a running run from its worker; False if it has ended, or its end has got a reason, since it was read."""
    return database.change(*is_held(run), RUNS.c.stopping == run.stopping, RUNS.c.cancel == run.cancel, **values)


def standstill(database: Database, run: Run) -> str | None:
    """What is odd about a running run that may well go on, for whoever watches it; None if nothing is."""
    if run.state != "running":
        return None
    signs = _look(database, run)
    if signs.silent_s > CANCEL_WITHIN_S:
        return f"no sign of life for {signs.silent_s:.0f} seconds; given up after {SILENCE_S:.0f}"
    if signs.still_s > STILL_S:
        return f"no progress for {signs.still_s / 60:.0f} minutes: very slow, or stuck. Stop ends it"
    return None


def _look(database: Database, run: Run) -> Signs:
    return _watch.look(database.engine.url, (run.id, run.attempt), run.beats, run.progress, run.cancel)


def _loss(database: Database, run: Run) -> str | None:
    """Why the worker of a running run is given up; None if it is not."""
    worker, signs = run.worker or {}, _look(database, run)
    if driver_of(run) and is_gone(driver_of(run)):
        return DRIVER_GONE
    if is_gone(worker):
        return reason(run)
    if database.is_file and is_from_before(worker):
        return RESTARTED
    cancelled_in_vain = signs.asked_s > CANCEL_WITHIN_S
    return STOPPED_ANSWERING if signs.silent_s > SILENCE_S or cancelled_in_vain else None


def reason(run: Run) -> str:
    """Why its process has ended, as far as it can be known here."""
    worker = run.worker or {}
    return OUT_OF_MEMORY if is_gone(worker) and was_out_of_memory(worker) else ENDED_UNEXPECTEDLY


def _is_orphan(database: Database, run: Run) -> bool:
    owner = run.owner or {}
    if is_here(owner):
        return is_gone(owner)  # one that was only halted may go on
    if database.is_file and is_from_before(owner):
        return True
    return _watch.look(database.engine.url, (run.id, "owner"), run.owner_beats).silent_s > SILENCE_S


def _end_orphan(database: Database, run: Run) -> bool:
    """A queued run ends here and now, one that another process trains as if it had been cancelled."""
    ended = {"state": "cancelled", "ended": time.time()} if run.state == "queued" else {}
    same = (RUNS.c.id == run.id, RUNS.c.state == run.state, RUNS.c.attempt == run.attempt)
    return database.change(*same, cancel=True, cause=OWNER_GONE, **ended)


def after_loss(run: Run, loss: str) -> dict[str, Any]:
    """What becomes of a run whose worker is lost."""
    gone: dict[str, Any] = {"worker": None, "progress": None}
    again: dict[str, Any] = {"state": "queued", "started": None, "epochs": [], "watched": None, **gone}
    if run.cancel:
        return {"state": "cancelled", "ended": time.time(), **gone}
    if run.stopping:
        return again
    if loss in (RESTARTED, DRIVER_GONE):
        return {**again, "cause": f"{loss}; it is taken up again."}
    if loss == OUT_OF_MEMORY:  # the same would come of it again
        from core.training.plan import out_of_memory  # only here: whoever lists runs waits for this module, too

        return {"state": "failed", "ended": time.time(), "cause": out_of_memory(run.settings), **gone}
    further, reached = _further(run.progress, run.reached)
    crashes = 1 if further else run.crashes + 1
    counted = {"crashes": crashes, "reached": reached and asdict(reached)}
    if crashes <= MAX_CRASHES:
        return {**again, **counted, "cause": f"{loss}; it is taken up again."}
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
