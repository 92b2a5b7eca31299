"""The runs there are: one row each, in SQLite or any database SQLAlchemy knows. Pages and worker meet only here.

States: queued -> running -> finished | failed | cancelled. A run whose worker is gone goes back to the queue, up to
`MAX_CRASHES` times. Every write of a worker names the attempt it belongs to, so a worker that was given up for dead
and wakes again cannot disturb its successor.
"""

import os
import socket
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psutil
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from core.errors import RunError, StorageError, shown
from core.home import thaw_home
from core.settings import RunSettings, from_dict, to_dict
from core.storage import DATABASE, damaged_database, explained

ACTIVE: Final = ("queued", "running")
ENDED: Final = ("finished", "failed", "cancelled")
MAX_CRASHES: Final = 2
PATIENCE_MS: Final = 30_000  # that a call waits for another one's
LONGEST_ID: Final = 32
SILENCE_S: Final = 120.0  # a worker on another machine is believed dead after this long without a sign of life

_metadata = sa.MetaData()
_runs = sa.Table(
    "runs",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(LONGEST_ID), unique=True, nullable=False),
    sa.Column("race", sa.String(32), index=True),
    sa.Column("state", sa.String(16), index=True, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("crashes", sa.Integer, nullable=False, default=0),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("dataset_title", sa.Unicode(255), nullable=False),
    sa.Column("decode_s", sa.Float, nullable=False, default=0.0),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("worker", sa.JSON),
    sa.Column("beat", sa.Float),
    sa.Column("cancel", sa.Boolean, nullable=False, default=False),
    sa.Column("progress", sa.JSON),
    sa.Column("epochs", sa.JSON),
    sa.Column("cause", sa.UnicodeText),
    sa.Column("summary", sa.JSON),
)
# which runs have been tested on which pictures; a deleted run has looked at them all the same
_looks = sa.Table(
    "looks",
    _metadata,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("test_part", sa.String(64), index=True, nullable=False),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One row, as it was when it was read. Times are seconds since the epoch."""

    number: int
    id: str
    race: str | None
    state: str
    attempt: int
    crashes: int
    settings: RunSettings
    dataset_title: str
    decode_s: float
    """Seconds that decoding took for this run, before it was queued; 0 when the pixels were there already."""
    created: float
    started: float | None
    ended: float | None
    worker: dict[str, Any] | None
    beat: float | None
    cancel: bool
    progress: dict[str, Any] | None
    epochs: list[dict[str, Any]] | None
    cause: str | None
    summary: dict[str, Any] | None

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


class RunStore:
    """Opens a connection for each call and closes it: nothing crosses a process start or a thread."""

    def __init__(self, url: str | None = None) -> None:
        """`url`: any SQLAlchemy URL; else `THAW_DATABASE`, else an SQLite file in the home folder.

        Every call may raise a StorageError: the database is locked, damaged, read-only, or its disk is full.
        """
        self._engine = _engine_of(url or os.environ.get("THAW_DATABASE"))
        if self._engine.dialect.name == "sqlite":
            _lock_on_begin(self._engine)
        with self._write() as connection:
            _metadata.create_all(connection)

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with explained(), self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with explained(), self._engine.connect() as connection:
            yield connection

    # -- what a page or the command line does

    def submit(
        self, plans: Sequence[RunSettings], dataset_title: str, *, race: str | None = None, decode_s: float = 0.0
    ) -> list[str]:
        """Queue runs in this order; the first one carries the decoding time. Returns their ids."""
        ids = [uuid.uuid4().hex[:10] for _ in plans]
        rows = [
            {
                "id": id_,
                "race": race,
                "state": "queued",
                "attempt": 0,
                "crashes": 0,
                "cancel": False,
                "settings": to_dict(plan),
                "dataset_title": dataset_title,
                "decode_s": decode_s if position == 0 else 0.0,
                "created": time.time(),
            }
            for position, (id_, plan) in enumerate(zip(ids, plans, strict=True))
        ]
        with self._write() as connection:
            connection.execute(sa.insert(_runs), rows)
        return ids

    def adopt(
        self, run_id: str, settings: RunSettings, dataset_title: str, summary: dict[str, Any], test_part: str
    ) -> None:
        """Enter a finished run that was trained elsewhere; its files are in its folder already."""
        now = time.time()
        row = {"id": run_id, "state": "finished", "attempt": 1, "crashes": 0, "cancel": False, "decode_s": 0.0}
        row |= {"settings": to_dict(settings), "dataset_title": dataset_title, "summary": summary}
        with self._write() as connection:
            connection.execute(sa.insert(_runs).values(**row, created=now, started=now, ended=now))
            known = connection.execute(sa.select(_looks.c.run).where(_looks.c.run == run_id)).first()
            if known is None:  # a run that was here before, was deleted and comes back has been counted
                connection.execute(sa.insert(_looks).values(run=run_id, test_part=test_part))

    def get(self, run_id: str) -> Run:
        """A run by its id, or by the beginning of it if that is unique.

        Raises:
            RunError: there is none, or several.
        """
        query = sa.select(_runs).where(_runs.c.id.startswith(run_id, autoescape=True)).limit(2)
        found = self._read(query) if run_id.isalnum() and len(run_id) <= LONGEST_ID else []
        if len(found) != 1:
            raise RunError(f"There {'are several runs' if found else 'is no run'} {shown(run_id)}.")
        return found[0]

    def runs(self, states: Collection[str] | None = None, race: str | None = None, limit: int = 500) -> list[Run]:
        """Runs, newest first."""
        query = sa.select(_runs).order_by(_runs.c.number.desc()).limit(limit)
        if states is not None:
            query = query.where(_runs.c.state.in_(states))
        if race is not None:
            query = query.where(_runs.c.race == race)
        return self._read(query)

    def cancel(self, run_id: str) -> None:
        """A queued run ends at once, a running one before its next batch; an ended one stays as it is."""
        with self._write() as connection:
            mine = _runs.c.id == run_id
            connection.execute(
                sa.update(_runs)
                .where(mine, _runs.c.state == "queued")
                .values(state="cancelled", ended=time.time(), cancel=True)
            )
            connection.execute(sa.update(_runs).where(mine, _runs.c.state == "running").values(cancel=True))

    def delete(self, run_id: str) -> None:
        """Forget an ended run; its folder is the caller's to remove.

        Raises:
            RunError: it is queued or running.
        """
        with self._write() as connection:
            gone = connection.execute(sa.delete(_runs).where(_runs.c.id == run_id, _runs.c.state.in_(ENDED)))
        if gone.rowcount == 0:
            raise RunError(f"The run {run_id!r} is still at work or unknown; stop it first.")

    def looks(self, test_part: str) -> int:
        """How many runs have been tested on these test pictures, deleted ones included."""
        query = sa.select(sa.func.count()).select_from(_looks).where(_looks.c.test_part == test_part)
        with self._reading() as connection:
            return int(connection.execute(query).scalar_one())

    # -- what a worker does

    def claim(self, only: Collection[str] | None = None) -> Run | None:
        """Take the oldest queued run, unless another run is at work anywhere."""
        self.heal()
        with self._write() as connection:
            busy = sa.select(sa.func.count()).where(_runs.c.state == "running")
            if connection.execute(busy).scalar_one():
                return None
            query = sa.select(_runs.c.id).where(_runs.c.state == "queued").order_by(_runs.c.number).limit(1)
            if only is not None:
                query = query.where(_runs.c.id.in_(only))
            run_id = connection.execute(query).scalar_one_or_none()
            if run_id is None:
                return None
            connection.execute(
                sa.update(_runs)
                .where(_runs.c.id == run_id)
                .values(
                    state="running",
                    attempt=_runs.c.attempt + 1,
                    started=time.time(),
                    beat=time.time(),
                    worker=_identity(),
                    progress=None,
                    epochs=[],
                    cause=None,
                )
            )
        return self.get(run_id)

    def report(self, run: Run, **values: Any) -> bool:
        """Write progress of a running run; False if the run has been cancelled or is no longer this worker's."""
        with self._write() as connection:
            written = connection.execute(
                sa.update(_runs).where(*_is_mine(run)).values(beat=time.time(), **values).returning(_runs.c.cancel)
            ).one_or_none()
        return written is not None and not written.cancel

    def end(self, run: Run, state: str, *, test_part: str | None = None, **values: Any) -> bool:
        """End a running run; False if it is no longer this worker's.

        Args:
            test_part: names the test pictures that it was tested on, if it was; counted for good.
        """
        values = {"ended": time.time(), "progress": None, "worker": None, **values}
        with self._write() as connection:
            ended = connection.execute(sa.update(_runs).where(*_is_mine(run)).values(state=state, **values))
            if test_part and ended.rowcount:
                connection.execute(sa.insert(_looks).values(run=run.id, test_part=test_part))
        return ended.rowcount == 1

    def give_back(self, run: Run) -> None:
        """Put a running run back into the queue, at its old place: its worker was asked to stop, nothing failed."""
        self.end(run, "queued", ended=None, started=None, epochs=[])

    def heal(self) -> list[str]:
        """Whoever looks, heals: runs whose worker is gone go back into the queue, or fail with their cause."""
        healed = []
        for run in self.runs(states=("running",)):
            if _is_alive(run):
                continue
            cause = "The process that trained this run ended unexpectedly (out of memory, or killed)."
            values: dict[str, Any] = {"state": "failed", "ended": time.time(), "cause": cause}
            if run.cancel:
                values = {"state": "cancelled", "ended": time.time()}
            elif run.crashes < MAX_CRASHES:
                values = {"state": "queued", "started": None, "epochs": []}
            values |= {"crashes": run.crashes + 1, "worker": None, "progress": None}
            with self._write() as connection:
                if connection.execute(sa.update(_runs).where(*_is_mine(run)).values(**values)).rowcount:
                    healed.append(run.id)
        return healed

    def _read(self, query: sa.Select[Any]) -> list[Run]:
        try:
            with self._reading() as connection:
                rows = connection.execute(query).mappings().all()
            settings = [from_dict(row["settings"]) for row in rows]
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # no JSON, or of another shape
            raise StorageError(damaged_database("a run in it cannot be read")) from error
        return [Run(**{**row, "settings": chosen}) for row, chosen in zip(rows, settings, strict=True)]


def _engine_of(url: str | None) -> sa.Engine:
    """The home folder's own file by its path, which may hold what means something else in an address."""
    address = url or sa.URL.create("sqlite", database=str(thaw_home() / DATABASE))
    try:
        return sa.create_engine(address, poolclass=NullPool)
    except (sa.exc.ArgumentError, ImportError, ValueError) as error:  # it may hold a password, so it is not shown
        raise StorageError(
            "THAW_DATABASE is no address of a database that can be used here. Give one that SQLAlchemy knows and "
            "whose driver is installed, or unset it to use a file in the home folder."
        ) from error


def _is_mine(run: Run) -> tuple[sa.ColumnElement[bool], ...]:
    return (_runs.c.id == run.id, _runs.c.attempt == run.attempt, _runs.c.state == "running")


def _identity() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": psutil.Process().create_time()}


def _is_alive(run: Run) -> bool:
    """Whether the worker of a running run lives: by process and birth time here, by signs of life elsewhere."""
    worker = run.worker or {}
    if worker.get("host") != socket.gethostname():
        return time.time() - (run.beat or 0.0) < SILENCE_S
    try:
        process = psutil.Process(worker["pid"])
        same = bool(abs(process.create_time() - worker["born"]) < 1.0)  # pids are used again
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _lock_on_begin(engine: sa.Engine) -> None:
    """Short immediate transactions with a long patience, in rollback-journal mode.

    Deferred transactions that turn into writers fail at once instead of waiting, and WAL could corrupt a database
    until SQLite 3.51.3.
    """

    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # sqlite3 must not begin transactions of its own
        connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")

    @sa.event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
