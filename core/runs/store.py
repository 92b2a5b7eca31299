"""The runs there are: one row each. Pages and worker meet only here.

Every write of a worker names the attempt it belongs to, so a worker that was given up for dead and wakes again cannot
disturb its successor. A run may belong to a process, as a command line's runs do; without it, it is ended.
"""

import time
import uuid
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Any

import sqlalchemy as sa

from core.comparison.experiments import experiment_key
from core.data.dataset import dataset_folder
from core.errors import DatabaseAway, RunError, SettingsError, shown
from core.home import megabytes_here, workspace
from core.objects.cache import share_unless_there
from core.runs import healing
from core.runs.database import ACTIVE as ACTIVE
from core.runs.database import (
    ENDED,
    EVALUATIONS,
    LABELS,
    LONGEST_ID,
    LONGEST_NAME,
    LONGEST_NOTE,
    PATIENCE_S,
    RUNS,
    Database,
    is_held,
    labels_of,
    one_at_a_time,
    runs_of,
)
from core.runs.database import NO_LABEL as NO_LABEL
from core.runs.database import Label as Label
from core.runs.database import Run as Run
from core.runs.life import Identity, identity, memory_kills
from core.settings.schema import RunSettings
from core.settings.versions import to_dict
from core.training.history import Progress
from core.visitors.fair_use import admit
from core.visitors.registry import Registry


class RunStore:
    """What pages, the command line and workers do with runs. Every call may raise a StorageError."""

    def __init__(self, url: str | None = None, *, patience_s: float = PATIENCE_S) -> None:
        """`url`: any SQLAlchemy URL; else `THAW_DATABASE`, else an SQLite file in the home folder.

        Args:
            patience_s: that is waited for a database on a server that does not answer.
        """
        self._database, self._workspace = Database(url, patience_s=patience_s), workspace()

    # -- what a page or the command line does

    def submit(
        self,
        plans: Sequence[RunSettings],
        dataset_title: str,
        *,
        race: str | None = None,
        decode_s: float = 0.0,
        owner: Identity | None = None,
    ) -> list[str]:
        """Queue runs in this order; the first one carries the decoding time. Returns their ids.

        Args:
            owner: the process that waits for them; when it is gone they are ended. None: they belong to the store.

        Raises:
            WorkspaceError: it would be more than the visitor's share of a shared server.
        """
        self.check_share(len(plans))
        admit("minutes", lambda: Registry().place(self._workspace).trained_s / 60, 1 / 60)
        for folder in {dataset_folder(plan.data.dataset) for plan in plans}:
            share_unless_there(folder)  # whoever trains may be another machine
        ids = [uuid.uuid4().hex[:10] for _ in plans]
        same = {"state": "queued", "race": race, "dataset_title": dataset_title, "owner": owner}
        rows = [
            {**_new(id_, plan), **same, "decode_s": decode_s if position == 0 else 0.0}
            for position, (id_, plan) in enumerate(zip(ids, plans, strict=True))
        ]
        with self._database.write() as connection:
            connection.execute(sa.insert(RUNS), rows)
            _unarchive(connection, plans)
        if self._workspace:
            Registry().ask(self._workspace)
        return ids

    def check_share(self, runs: int) -> None:
        """Whether so many more runs may be kept.

        Raises:
            WorkspaceError: it would be more than the visitor's share of a shared server.
        """
        admit("runs", self.count, runs)
        admit("megabytes", megabytes_here, 0)

    def count(self, states: Collection[str] | None = None) -> int:
        """How many runs there are, or how many in these states."""
        query = sa.select(sa.func.count()).select_from(RUNS)
        if states is not None:
            query = query.where(RUNS.c.state.in_(states))
        return self._database.ask(query, lambda found: int(found.scalar_one()))

    def is_busy(self) -> bool:
        """Whether anything waits or is at work."""
        return self.count(ACTIVE) > 0

    def adopt(
        self, run_id: str, settings: RunSettings, dataset_title: str, summary: dict[str, Any], test_part: str
    ) -> None:
        """Enter a finished run that was trained elsewhere; its files are in its folder already."""
        row = {**_new(run_id, settings), "state": "finished", "attempt": 1}
        row |= {"dataset_title": dataset_title, "summary": summary, "started": row["created"], "ended": row["created"]}
        with self._database.write() as connection:
            connection.execute(sa.insert(RUNS).values(**row))
            _unarchive(connection, [settings])
            known = connection.execute(sa.select(EVALUATIONS.c.run).where(EVALUATIONS.c.run == run_id)).first()
            if known is None:  # a run that was here before, was deleted and comes back has been counted
                connection.execute(sa.insert(EVALUATIONS).values(run=run_id, test_part=test_part))

    def get(self, run_id: str) -> Run:
        """A run by its id, or by the beginning of it if that is unique.

        Raises:
            RunError: there is none, or several.
        """
        query = sa.select(RUNS).where(RUNS.c.id.startswith(run_id, autoescape=True)).limit(2)
        found = self._runs(("get", run_id), query) if run_id.isalnum() and len(run_id) <= LONGEST_ID else []
        if len(found) != 1:
            raise RunError(f"There {'are several runs' if found else 'is no run'} {shown(run_id)}.")
        return found[0]

    def runs(
        self,
        states: Collection[str] | None = None,
        race: str | None = None,
        limit: int = 500,
        ids: Collection[str] | None = None,
        study: str | None = None,
    ) -> list[Run]:
        """Runs, newest first.

        Args:
            study: only those of studies of this kind, see `core.runs.studies`; then all of them.
        """
        query = sa.select(RUNS).order_by(RUNS.c.number.desc()).limit(limit)
        if states is not None:
            query = query.where(RUNS.c.state.in_(states))
        if race is not None:
            query = query.where(RUNS.c.race == race)
        if ids is not None:
            query = query.where(RUNS.c.id.in_(ids))
        if study is not None:
            query = query.where(RUNS.c.race.startswith(f"{study}-", autoescape=True)).limit(None)
        sets = (None if names is None else frozenset(names) for names in (states, ids))
        return self._runs(("runs", *sets, race, limit, study), query)

    def _runs(self, name: Hashable, query: sa.Select[Any]) -> list[Run]:
        return list(self._database.remembered(name, lambda: self._database.read(query)))

    def cancel(self, run_id: str, cause: str | None = None) -> None:
        """A queued run ends at once, a running one before its next batch; an ended one stays as it is."""
        update = sa.update(RUNS).where(RUNS.c.id == run_id)
        queued, running = update.where(RUNS.c.state == "queued"), update.where(RUNS.c.state == "running")
        with self._database.write() as connection:
            why = {"cause": cause} if cause else {}
            connection.execute(queued.values(state="cancelled", ended=time.time(), cancel=True, **why))
            connection.execute(running.values(cancel=True, **why))

    def delete(self, run_id: str) -> None:
        """Forget an ended run; its folder is the caller's to remove.

        Raises:
            RunError: it is queued or running.
        """
        with self._database.write() as connection:
            gone = connection.execute(sa.delete(RUNS).where(RUNS.c.id == run_id, RUNS.c.state.in_(ENDED)))
        if gone.rowcount == 0:
            raise RunError(f"The run {run_id!r} is still at work or unknown; stop it first.")

    def evaluations(self, test_part: str) -> int:
        """How many runs have been tested on these test pictures, deleted ones included."""
        query = sa.select(sa.func.count()).select_from(EVALUATIONS).where(EVALUATIONS.c.test_part == test_part)
        ask = partial(self._database.ask, query, lambda found: int(found.scalar_one()))
        return self._database.remembered(("evaluations", test_part), ask)

    def labels(self) -> dict[str, Label]:
        """What people have noted about experiments, by the experiment's key."""
        return dict(self._database.remembered("labels", partial(self._database.ask, sa.select(LABELS), labels_of)))

    def names(self) -> dict[str, str]:
        """The names that a person gave to experiments, by key."""
        return {key: label.name for key, label in self.labels().items() if label.name}

    def label(self, key: str, label: Label) -> None:
        """Note something about an experiment, in place of what was noted before. What cannot be printed is left out.

        Raises:
            SettingsError: the name or the note is too long.
        """
        name, note = _printable(" ".join(label.name.split())), _printable(label.note).strip()
        for what, text, longest in (("name", name, LONGEST_NAME), ("note", note, LONGEST_NOTE)):
            if len(text) > longest:
                raise SettingsError(f"The {what} has {len(text):,} characters; {longest:,} are the most.")
        values = {"name": name, "note": note, "archived": label.archived}
        with self._database.write() as connection:
            one_at_a_time(connection)
            connection.execute(sa.delete(LABELS).where(LABELS.c.key == key))
            if any(values.values()):
                connection.execute(sa.insert(LABELS).values(key=key, **values))

    # -- what a worker does

    @property
    def own(self) -> "RunStore":
        """The store that a claimed run is in."""
        return self

    @property
    def workspace(self) -> str:
        """Whose runs these are; empty for the server's own."""
        return self._workspace

    @property
    def is_file(self) -> bool:
        """Whether only one machine can use them."""
        return self._database.is_file

    def claim(
        self, only: Collection[str] | None = None, beside: Callable[[RunSettings], bool] | None = None
    ) -> Run | None:
        """Take the oldest queued run, unless another run is at work anywhere.

        One statement finds it, takes it and says what it has become: a run that was lost again since then is not
        mistaken for ours. Where several ask at once, each finds another run or none.

        Args:
            beside: whether one can begin beside those at work, where several may be.
        """
        self.heal()
        if beside is not None:
            only = self._first_that_fits(only, beside)
        others, queued = RUNS.alias(), RUNS.c.state == "queued"
        oldest = sa.select(RUNS.c.number).where(queued).order_by(RUNS.c.number).limit(1)
        if only is not None:
            oldest = oldest.where(RUNS.c.id.in_(only))
        number = oldest.with_for_update(skip_locked=True).scalar_subquery()  # SQLite has one writer at a time
        busy = sa.exists().where(others.c.state == "running")
        take = sa.update(RUNS).where(RUNS.c.number == number, queued, ~busy if beside is None else sa.true())
        with self._database.write() as connection:
            one_at_a_time(connection)
            claimed = runs_of(connection.execute(take.values(**_begun()).returning(RUNS)))
        return claimed[0] if claimed else None

    def _first_that_fits(self, only: Collection[str] | None, fits: Callable[[RunSettings], bool]) -> Collection[str]:
        waiting = self._database.read(sa.select(RUNS).where(RUNS.c.state == "queued").order_by(RUNS.c.number))
        wanted = (run for run in waiting if only is None or run.id in only)
        return [run.id for run in islice((run for run in wanted if fits(run.settings)), 1)]

    def hand_over(self, run: Run) -> None:
        """Note of a run that was claimed that another process will train it, and has yet to begin."""
        self.report(run, worker={**(run.worker or {}), "driver": run.worker}, progress=asdict(Progress(phase="torch")))

    def take_over(self, run: Run) -> bool:
        """Begin with a run that another process has claimed for this one; False if it is no longer that one's."""
        worker = {**identity(), "memory": memory_kills(), "driver": healing.driver_of(run)}
        return self.report(run, worker=worker) is not None

    @contextmanager
    def at_home(self, run: Run) -> Iterator["RunStore"]:
        """The store that a claimed run is in; within the block, its files are meant."""
        yield self

    def report(self, run: Run, **values: Any) -> bool | None:
        """Give a sign of life of a running run, and write its progress or that its worker has been asked to stop.

        Returns:
            Whether to go on: False if the run has been cancelled, None if it is no longer this worker's.
        """
        update = sa.update(RUNS).where(*is_held(run)).values(beat=time.time(), beats=RUNS.c.beats + 1, **values)
        with self._database.write(patience_s=0.0) as connection:  # training goes on; the next report says it all
            cancelled = connection.execute(update.returning(RUNS.c.cancel)).scalar_one_or_none()
        return None if cancelled is None else not cancelled

    def tell_waiting(self, phase: str) -> None:
        """Note at the next run of the queue, if there is one, what keeps the worker from it."""
        next_one = sa.select(RUNS).where(RUNS.c.state == "queued").order_by(RUNS.c.number).limit(1)
        for run in self._database.read(next_one):
            if run.progress is None or run.progress.phase != phase:
                same = (RUNS.c.id == run.id, RUNS.c.state == "queued")
                self._database.change(*same, progress=asdict(Progress(phase=phase)))

    @contextmanager
    def holding(self, run: Run) -> Iterator[bool]:
        """Whether the run is still this worker's; if so, nobody takes it away within the block, which must be short."""
        with ExitStack() as until_it_is_done:
            connection = until_it_is_done.enter_context(self._database.write())
            mine = sa.select(RUNS.c.id).where(*is_held(run)).with_for_update()
            yield connection.execute(mine).first() is not None
            with suppress(DatabaseAway):  # what was to be done is done, and this transaction has written nothing
                until_it_is_done.close()

    def beat_owner(self, ids: Collection[str]) -> None:
        """A sign of life of the process that these runs belong to: other machines know it only by that."""
        mine = (RUNS.c.id.in_(ids), RUNS.c.state.in_(ACTIVE))
        self._database.change(*mine, owner_beats=RUNS.c.owner_beats + 1)

    def end(self, run: Run, state: str, *, test_part: str | None = None, **values: Any) -> bool:
        """End a running run; False if it is no longer this worker's.

        Args:
            test_part: names the test pictures that it was tested on, if it was; counted for good.
        """
        values = {"ended": time.time(), "progress": None, "worker": None, **values}
        with self._database.write() as connection:
            ended = connection.execute(sa.update(RUNS).where(*is_held(run)).values(state=state, **values))
            if test_part and ended.rowcount:
                connection.execute(sa.insert(EVALUATIONS).values(run=run.id, test_part=test_part))
        return ended.rowcount == 1

    def give_back(self, run: Run) -> None:
        """Put a running run back into the queue, at its old place: its worker was asked to stop, nothing failed."""
        self.end(run, "queued", ended=None, started=None, epochs=[], watched=None)

    # -- what whoever starts, stops or watches a worker does

    def ask_to_stop(self, pid: int) -> None:
        """Note that a process of this machine is asked to stop, before it is: its end is no crash of its run."""
        for run in healing.held_by(self._database, pid):
            self.report(run, stopping=True)

    def give_up(self, pid: int) -> None:
        """Take the run of a process of this machine that does not answer, before it is killed."""
        for run in healing.held_by(self._database, pid):
            healing.take(self._database, run, healing.after_loss(run, healing.STOPPED_ANSWERING))

    def lose(self, run: Run, loss: str | None) -> bool:
        """Take a run whose process has ended, if that did not write down how; False if it has to be tried again.

        Args:
            loss: why it ended, where somebody knows.
        """
        for row in self._database.read(sa.select(RUNS).where(*is_held(run))):
            return healing.take(self._database, row, healing.after_loss(row, loss or healing.reason(row)))
        return True

    def heal(self) -> list[str]:
        """Whoever looks, heals (`core.runs.healing`); the runs that something has changed for."""
        return healing.heal(self._database)

    def standstill(self, run: Run) -> str | None:
        """What is odd about a running run that may well go on, for whoever watches it; None if nothing is."""
        return healing.standstill(self._database, run)


def _unarchive(connection: sa.Connection, plans: Sequence[RunSettings]) -> None:
    """Whoever runs an experiment again wants to see it."""
    keys = {experiment_key(plan) for plan in plans}
    connection.execute(sa.update(LABELS).where(LABELS.c.key.in_(keys)).values(archived=False))


def _printable(text: str) -> str:
    """No control characters, which a terminal obeys and a database may refuse; lines stay lines."""
    return "".join(sign for sign in text if sign.isprintable() or sign == "\n")


def _new(run_id: str, settings: RunSettings) -> dict[str, Any]:
    """What every new row says."""
    return {"id": run_id, "settings": to_dict(settings), "created": time.time()}


def _begun() -> dict[str, Any]:
    """What a row says when an attempt at its run begins."""
    now, worker = time.time(), {**identity(), "memory": memory_kills()}
    begun = {"state": "running", "attempt": RUNS.c.attempt + 1, "started": now, "beat": now, "worker": worker}
    return begun | {"progress": None, "epochs": [], "watched": None, "cause": None, "stopping": False}
