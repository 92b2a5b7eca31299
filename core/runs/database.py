"""The table of runs, in SQLite or any database SQLAlchemy knows: how it is opened, locked, changed and read.

States: queued -> running -> finished | failed | cancelled. A run whose worker is lost goes back to the queue, or ends.
"""

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from core.errors import DatabaseAway, SettingsError, StorageError
from core.home import thaw_home, workspace
from core.models.records import ParameterCount
from core.records import Amount, Share, typed
from core.runs.migrations.upgrade import is_current, upgrade
from core.runs.server import server_engine
from core.settings.schema import RunSettings
from core.settings.versions import from_dict
from core.sqlite import lock_on_begin, open_file
from core.storage import DATABASE, another_database, damaged_database, explained, the_database
from core.training.history import EpochRecord, Progress
from core.training.watched import Watched

ACTIVE: Final = ("queued", "running")
ENDED: Final = ("finished", "failed", "cancelled")
LONGEST_ID: Final = 32
PATIENCE_S: Final = 5.0
"""That a server may take to start anew before its database is said not to answer."""
LOOK_AGAIN_S: Final = 0.2
SETTLED_S: Final = 0.1
"""Since a file was last written; before, it may be written again without its time telling the two apart."""
MOST_REMEMBERED: Final = 100
T = TypeVar("T")

METADATA = sa.MetaData()
"""What the migrations together make."""
RUNS = sa.Table(
    "runs",
    METADATA,
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
    sa.Column("watched", sa.JSON(none_as_null=True)),
)
# which runs have been tested on which pictures; a deleted run has looked at them all the same
EVALUATIONS = sa.Table(
    "looks",
    METADATA,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("test_part", sa.String(64), index=True, nullable=False),
)
LONGEST_NAME: Final = 60
LONGEST_NOTE: Final = 2000
# what people note about experiments, by `core.comparison.experiments.experiment_key`; most have no row
LABELS = sa.Table(
    "labels",
    METADATA,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("name", sa.Unicode(LONGEST_NAME), nullable=False),
    sa.Column("note", sa.UnicodeText, nullable=False),
    sa.Column("archived", sa.Boolean, nullable=False),
)
# which runs are on which tracking server, see `core.runs.exports`
EXPORTS = sa.Table(
    "exports",
    METADATA,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("tracker", sa.String(16), primary_key=True),
    sa.Column("remote", sa.String(64), nullable=False),
    sa.Column("exported", sa.Float, nullable=False),
)
TABLES: Final = tuple(METADATA.sorted_tables)
"""All there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What a person has noted about an experiment."""

    name: str = ""
    """At most `LONGEST_NAME` characters; empty: it is called by its strategy."""
    note: str = ""
    """At most `LONGEST_NOTE` characters, in several lines perhaps."""
    archived: bool = False
    """Put away: neither listed nor offered, until one more run of it starts."""


NO_LABEL: Final = Label()


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
    summary: dict[str, Any] | None
    worker: dict[str, Any] | None = None
    beat: float | None = None
    cancel: bool = False
    progress: Progress | None = None
    epochs: list[EpochRecord] | None = None
    cause: str | None = None
    beats: int = 0
    """Signs of life of its worker, counted through all attempts."""
    stopping: bool = False
    """Its worker was asked to stop: however it ends, the run has not crashed."""
    reached: Progress | None = None
    """The furthest progress at which a worker was lost."""
    owner: dict[str, Any] | None = None
    """The process that it belongs to and ends with, if any."""
    owner_beats: int = 0
    watched: Watched | None = None
    """What its network said last about a few validation pictures."""

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


class _Fingerprint(TypedDict):
    fingerprint: str


class _Split(TypedDict):
    hash: str


class _Summary(TypedDict):
    """What lists of runs read of a finished run's summary; more may stand there."""

    test_accuracy: Share
    val_accuracy: Share
    duration_s: Amount
    parameters: ParameterCount
    dataset: _Fingerprint
    split: _Split
    balanced_accuracy: NotRequired[Share | None]
    lacks: NotRequired[list[str]]


class Database:
    """In a file, a connection is opened for each call and closed: nothing crosses a process start or a thread. On a
    server, a process keeps a few, and waits `patience_s` for one that is being started anew.

    Every call may raise a StorageError: the database is locked, damaged, read-only, or its disk is full; DatabaseAway
    where a server does not answer.
    """

    def __init__(self, url: str | None = None, *, patience_s: float = PATIENCE_S, upgraded: bool = True) -> None:
        """`url`: any SQLAlchemy URL; else `THAW_DATABASE`, else an SQLite file in the home folder.

        Args:
            upgraded: its tables are brought up to date first.
        """
        self.engine = engine_of(url or (None if workspace() else os.environ.get("THAW_DATABASE")))
        self._patience_s = patience_s
        self._known = _Known()
        if upgraded and not self._is_current():
            with self.write() as connection:
                one_at_a_time(connection)
                upgrade(connection)

    @property
    def is_file(self) -> bool:
        """Whether it belongs to one machine; else another machine could have the same name."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self, patience_s: float | None = None) -> Iterator[sa.Connection]:
        """A transaction that may write."""
        with explained(), self._connection(patience_s).execution_options(writes=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with explained(), self._connection() as connection:
            yield connection

    def change(self, *where: sa.ColumnElement[bool], **values: Any) -> bool:
        """Give the runs that fit other values; whether there were any."""
        with self.write() as connection:
            return bool(connection.execute(sa.update(RUNS).where(*where).values(**values)).rowcount)

    def read(self, query: sa.Select[Any]) -> list[Run]:
        """The runs that a query for their rows finds."""
        return self.ask(query, runs_of)

    def ask(self, query: sa.Select[Any], understand: Callable[[sa.Result[Any]], T]) -> T:
        """What a query finds. Where its server was started anew in the middle, it is asked again."""
        try:
            return self._ask(query, understand)
        except DatabaseAway:
            return self._ask(query, understand)

    def _ask(self, query: sa.Select[Any], understand: Callable[[sa.Result[Any]], T]) -> T:
        with self.reading() as connection:
            return understand(connection.execute(query))

    def remembered(self, name: Hashable, look: Callable[[], T]) -> T:
        """What `look` finds, or found under this name in the same file, if nobody has written there since: read-only.

        Pages ask the same again and again, many at once. Of a server nothing is remembered.
        """
        return self._known.found(self._stamp(), name, look)

    def _stamp(self) -> tuple[int, ...] | None:
        """Tells the file as it is from what it will be after the next write; None where that cannot be told."""
        if not self.is_file:
            return None
        try:
            file = os.stat(self.engine.url.database or "")
        except OSError:
            return None
        is_settled = abs(time.time() - file.st_mtime) > SETTLED_S
        return (file.st_ino, file.st_size, file.st_mtime_ns) if is_settled else None

    def _is_current(self) -> bool:
        with self.reading() as connection:
            return is_current(connection)

    def _connection(self, patience_s: float | None = None) -> sa.Connection:
        """One that answers: of a kept one that is asked first."""
        last = time.monotonic() + (self._patience_s if patience_s is None else patience_s)
        while True:
            try:
                return self.engine.connect()
            except sa.exc.OperationalError:
                if self.is_file or time.monotonic() > last:
                    raise
            except sa.exc.TimeoutError as error:
                raise DatabaseAway("All connections to the database are in use. Try again.") from error
            time.sleep(LOOK_AGAIN_S)


class _Known:
    """What was found in one state of a file. One thread looks at a time, for all that wait."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stamp: tuple[int, ...] | None = None
        self._found: dict[Hashable, Any] = {}

    def found(self, stamp: tuple[int, ...] | None, name: Hashable, look: Callable[[], T]) -> T:
        if stamp is None:
            return look()
        with self._lock:
            if stamp != self._stamp or len(self._found) > MOST_REMEMBERED:
                self._stamp, self._found = stamp, {}
            if name not in self._found:
                self._found[name] = look()
            found: T = self._found[name]
            return found


def runs_of(result: sa.Result[Any]) -> list[Run]:
    """Runs from their rows.

    Raises:
        StorageError: another version of Thaw wrote them, or they are damaged.
    """
    try:
        return [_run_of(row) for row in result.mappings()]
    except SettingsError as error:
        raise StorageError(
            f"{the_database()} holds a run of another version of Thaw, which this one cannot read: {error} "
            f"Use that version, or {another_database()}."
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:  # no JSON, or another
        raise StorageError(damaged_database("a run in it cannot be read")) from error


def labels_of(result: sa.Result[Any]) -> dict[str, Label]:
    """What was noted about experiments, by key.

    Raises:
        StorageError: a row is damaged.
    """
    try:
        rows = [{str(name): value for name, value in row.items()} for row in result.mappings()]
        return {str(row.pop("key")): typed(row, Label) for row in rows}
    except (ValueError, LookupError, TypeError) as error:
        raise StorageError(damaged_database("the name of an experiment in it cannot be read")) from error


def check_row(row: Mapping[str, Any]) -> None:
    """Raises what `runs_of` would, before it is explained, where a row that comes from elsewhere cannot be read."""
    _run_of({"number": 0, **row})


def is_held(run: Run) -> tuple[sa.ColumnElement[bool], ...]:
    """That a run is still the attempt that it was when it was read, and at work."""
    return (RUNS.c.id == run.id, RUNS.c.attempt == run.attempt, RUNS.c.state == "running")


def _run_of(row: Mapping[Any, Any]) -> Run:
    """Raises what JSON of another shape makes `from_dict` and `typed` raise."""
    values = {str(name): value for name, value in row.items()}  # a column's name is more than a text
    if row["summary"] is not None:
        typed(row["summary"], _Summary)
    return typed({**values, "settings": from_dict(row["settings"])}, Run)


def engine_of(url: str | None) -> sa.Engine:
    """What opens connections: the home folder's own file by its path, which may hold what means something else in an
    address.

    Raises:
        StorageError: it is no address, or its driver is not installed.
    """
    try:
        if url is None:
            return open_file(thaw_home() / DATABASE)
        address = sa.make_url(url)
        if address.get_backend_name() == "sqlite":
            engine = sa.create_engine(address, poolclass=NullPool)
            lock_on_begin(engine)
            return engine
        return server_engine(address, os.getpid())
    except (sa.exc.ArgumentError, ImportError, ValueError) as error:  # it may hold a password, so it is not shown
        raise StorageError(
            "THAW_DATABASE is no address of a database that can be used here. Give one that SQLAlchemy knows and "
            "whose driver is installed (for PostgreSQL: pip install 'thaw-lab[postgres]'), or unset it to use a file "
            "in the home folder."
        ) from error


def one_at_a_time(connection: sa.Connection) -> None:
    """Wait for other transactions that say the same, until this one ends. In SQLite every writer does."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x54686177)))  # any number that nobody else uses
