"""The runs there are: one row each, in SQLite or any database SQLAlchemy knows. Pages and worker meet only here.

States: queued -> running -> finished | failed | cancelled. A run whose worker is gone goes back to the queue: always
if the worker had been asked to stop, else up to `MAX_CRASHES` times without getting further than before. Every write
of a worker names the attempt it belongs to, so a worker that was given up for dead and wakes again cannot disturb its
successor. A run may belong to a process, as a command line's runs do; without it, it is ended.
"""

import os
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from core.errors import RunError, SettingsError, StorageError, shown
from core.home import thaw_home
from core.records import typed
from core.runs.life import Identity, Signs, Watch, is_from_before, is_gone, is_here
from core.runs.life import identity as _identity
from core.runs.loss import ENDED_UNEXPECTEDLY, RESTARTED, STOPPED_ANSWERING, after_loss
from core.runs.loss import MAX_CRASHES as MAX_CRASHES
from core.settings.schema import RunSettings
from core.settings.versions import from_dict, to_dict
from core.storage import DATABASE, damaged_database, explained
from core.training.history import EpochRecord, Progress

ACTIVE: Final = ("queued", "running")
ENDED: Final = ("finished", "failed", "cancelled")
PATIENCE_MS: Final = 30_000  # that a call waits for another one's
LONGEST_ID: Final = 32
SILENCE_S: Final = 60.0  # without a sign of life, and a worker is given up; it beats each second, whatever it does
CANCEL_WITHIN_S: Final = 30.0  # a worker that does not end a run that was cancelled is no longer waited for
STILL_S: Final = 600.0  # alive but without progress: said, never acted upon, for a batch may really take so long
OWNER_GONE: Final = "The command that trained it was ended, and the run with it."

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
    sa.Column("beats", sa.Integer, nullable=False, default=0, server_default=sa.text("0")),
    sa.Column("stopping", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("reached", sa.JSON),
    sa.Column("owner", sa.JSON(none_as_null=True)),
    sa.Column("owner_beats", sa.Integer, nullable=False, default=0, server_default=sa.text("0")),
)
# which runs have been tested on which pictures; a deleted run has looked at them all the same
_looks = sa.Table(
    "looks",
    _metadata,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("test_part", sa.String(64), index=True, nullable=False),
)
_watch = Watch()


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
    progress: Progress | None
    epochs: list[EpochRecord] | None
    cause: str | None
    summary: dict[str, Any] | None
    beats: int = 0
    """Signs of life of its worker, counted through all attempts."""
    stopping: bool = False
    """Its worker was asked to stop: however it ends, the run has not crashed."""
    reached: Progress | None = None
    """The furthest progress at which a worker was lost."""
    owner: dict[str, Any] | None = None
    """The process that it belongs to and ends with, if any."""
    owner_beats: int = 0

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
            _one_at_a_time(connection)
            _metadata.create_all(connection)
            _add_missing_columns(connection)

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
        """
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
                "owner": owner,
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
            _one_at_a_time(connection)
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
                    stopping=False,
                )
            )
        return self.get(run_id)

    def report(self, run: Run, **values: Any) -> bool:
        """Write progress of a running run; False if the run has been cancelled or is no longer this worker's."""
        written = self._sign(run, **values)
        return written is not None and not written.cancel

    def beat(self, run: Run, stopping: bool = False) -> bool:
        """Give a sign of life; False if the run is no longer this worker's.

        Args:
            stopping: the worker has been asked to stop, so its end will be no crash.
        """
        return self._sign(run, **({"stopping": True} if stopping else {})) is not None

    def _sign(self, run: Run, **values: Any) -> sa.Row[Any] | None:
        update = sa.update(_runs).where(*_is_mine(run)).values(beat=time.time(), beats=_runs.c.beats + 1, **values)
        with self._write() as connection:
            return connection.execute(update.returning(_runs.c.cancel)).one_or_none()

    def beat_owner(self, ids: Collection[str]) -> None:
        """A sign of life of the process that these runs belong to: other machines know it only by that."""
        mine = (_runs.c.id.in_(ids), _runs.c.state.in_(ACTIVE))
        with self._write() as connection:
            connection.execute(sa.update(_runs).where(*mine).values(owner_beats=_runs.c.owner_beats + 1))

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

    # -- what whoever starts and stops a worker does

    def ask_to_stop(self, pid: int) -> None:
        """Note that a process of this machine is asked to stop, before it is: its end is no crash of its run."""
        for run in self._held_by(pid):
            self.beat(run, stopping=True)

    def give_up(self, pid: int) -> None:
        """Take the run of a process of this machine that does not answer, before it is killed."""
        for run in self._held_by(pid):
            self._put(run, after_loss(run, STOPPED_ANSWERING))

    def _held_by(self, pid: int) -> list[Run]:
        return [run for run in self.runs(states=("running",)) if run.worker == _identity(pid)]

    # -- what whoever looks does

    def heal(self) -> list[str]:
        """Whoever looks, heals: runs whose worker is lost go back into the queue or end with their cause.

        A lost process of this machine is known at once; one that is silent, or elsewhere, by looking again and again.
        Runs whose owner is gone end, too.
        """
        url = self._engine.url
        owned = sa.select(_runs).where(_runs.c.state.in_(ACTIVE), _runs.c.owner.is_not(None), ~_runs.c.cancel)
        waiting = self._read(owned)
        healed = [run.id for run in waiting if self._is_orphan(run) and self._end_orphan(run)]
        running = self.runs(states=("running",))
        for run in running:
            loss = self._loss(run, self._look(run))
            if loss and self._put(run, after_loss(run, loss)):
                healed.append(run.id)
        _watch.keep_only(url, [*((run.id, run.attempt) for run in running), *((run.id, "owner") for run in waiting)])
        return list(dict.fromkeys(healed))

    def standstill(self, run: Run) -> str | None:
        """What is odd about a running run that may well go on, for whoever watches it; None if nothing is."""
        if run.state != "running":
            return None
        signs = self._look(run)
        if signs.silent_s > CANCEL_WITHIN_S:
            return f"no sign of life for {signs.silent_s:.0f} seconds; given up after {SILENCE_S:.0f}"
        if signs.still_s > STILL_S:
            return f"no progress for {signs.still_s / 60:.0f} minutes: very slow, or stuck. Stop ends it"
        return None

    def _look(self, run: Run) -> Signs:
        return _watch.look(self._engine.url, (run.id, run.attempt), run.beats, run.progress, run.cancel)

    def _loss(self, run: Run, signs: Signs) -> str | None:
        """Why the worker of a running run is given up; None if it is not."""
        worker = run.worker or {}
        if is_gone(worker):
            return ENDED_UNEXPECTEDLY
        # a database in a file belongs to one machine; else another machine could have the same name
        if self._engine.dialect.name == "sqlite" and is_from_before(worker):
            return RESTARTED
        cancelled_in_vain = signs.asked_s > CANCEL_WITHIN_S
        return STOPPED_ANSWERING if signs.silent_s > SILENCE_S or cancelled_in_vain else None

    def _is_orphan(self, run: Run) -> bool:
        owner = run.owner or {}
        if is_here(owner):
            return is_gone(owner)  # one that was only halted may go on
        if self._engine.dialect.name == "sqlite" and is_from_before(owner):
            return True
        return _watch.look(self._engine.url, (run.id, "owner"), run.owner_beats).silent_s > SILENCE_S

    def _end_orphan(self, run: Run) -> bool:
        """A queued run ends here and now, one that another process trains as if it had been cancelled."""
        ended = {"state": "cancelled", "ended": time.time()} if run.state == "queued" else {}
        same = (_runs.c.id == run.id, _runs.c.state == run.state, _runs.c.attempt == run.attempt)
        with self._write() as connection:
            change = sa.update(_runs).where(*same).values(cancel=True, cause=OWNER_GONE, **ended)
            return bool(connection.execute(change).rowcount)

    def _put(self, run: Run, values: dict[str, Any]) -> bool:
        """Take a running run from its worker; False if it has ended, or its end has got a reason, since it was read."""
        same = (*_is_mine(run), _runs.c.stopping == run.stopping, _runs.c.cancel == run.cancel)
        with self._write() as connection:
            return bool(connection.execute(sa.update(_runs).where(*same).values(**values)).rowcount)

    def _read(self, query: sa.Select[Any]) -> list[Run]:
        try:
            with self._reading() as connection:
                rows = connection.execute(query).mappings().all()
            return [_run_of(row) for row in rows]
        except SettingsError as error:
            raise StorageError(
                f"The database {DATABASE} holds a run of another version of Thaw, which this one cannot read: {error} "
                "Use that version, or name another folder in THAW_HOME."
            ) from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # no JSON, or of another shape
            raise StorageError(damaged_database("a run in it cannot be read")) from error


def _run_of(row: sa.RowMapping) -> Run:
    """Raises what JSON of another shape makes `from_dict` and `typed` raise."""
    values = {str(name): value for name, value in row.items()}  # a column's name is more than a text
    return typed({**values, "settings": from_dict(row["settings"])}, Run)


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


def _add_missing_columns(connection: sa.Connection) -> None:
    """Bring a table that an older Thaw made up to date; what is new has a default. Another program's is left alone."""
    there = {column["name"] for column in sa.inspect(connection).get_columns(_runs.name)}
    missing = [column for column in _runs.columns if column.name not in there]
    for column in missing:
        if not column.nullable and column.server_default is None:
            raise StorageError(
                f"The database is not one that this version of Thaw can use (no such column: {column.name})."
            )
    for column in missing:
        described = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {_runs.name} ADD COLUMN {described}")


def _one_at_a_time(connection: sa.Connection) -> None:
    """Wait for other transactions that say the same, until this one ends. In SQLite every writer does."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x54686177)))  # any number that nobody else uses


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
