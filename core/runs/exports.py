"""Which runs are on which tracking server: what was exported is noted, and is never exported again."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import sqlalchemy as sa
from filelock import FileLock, Timeout

from core.home import server_folder
from core.runs.database import ENDED, EXPORTS, RUNS, Database, Run

_LOCK: Final = 0x54686178  # in PostgreSQL any number that nobody else uses
_MOST: Final = 100  # runs looked at in one go


class Exports:
    """What one tracker has. Every call may raise a StorageError."""

    def __init__(self, tracker: str) -> None:
        """`tracker`: names the server, in at most 16 characters."""
        self._database, self._tracker = Database(), tracker

    def missing(self) -> list[Run]:
        """Runs that have ended and are not there, those that were started first at the front."""
        there = sa.exists().where(EXPORTS.c.run == RUNS.c.id, EXPORTS.c.tracker == self._tracker)
        query = sa.select(RUNS).where(RUNS.c.state.in_(ENDED), ~there).order_by(RUNS.c.number).limit(_MOST)
        return self._database.read(query)

    def count(self) -> int:
        """How many runs are there."""
        query = sa.select(sa.func.count()).select_from(EXPORTS).where(EXPORTS.c.tracker == self._tracker)
        return self._database.ask(query, lambda found: int(found.scalar_one()))

    def note(self, run: Run, remote: str) -> None:
        """That a run is there, whole, under this name."""
        values = {"run": run.id, "tracker": self._tracker, "remote": remote, "exported": time.time()}
        with self._database.write() as connection:
            connection.execute(sa.insert(EXPORTS).values(**values))

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else exports meanwhile, on any machine that shares the database."""
        if self._database.is_file:
            lock = FileLock(server_folder("locks") / "tracking.lock", blocking=False)
            with ExitStack() as held:
                with suppress(Timeout):  # not while it is held: what is done then may wait for locks of its own
                    held.enter_context(lock)
                yield lock.is_locked
            return
        with self._database.reading() as connection:
            mine = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(_LOCK))).scalar_one())
            connection.commit()
            try:
                yield mine
            finally:
                if mine:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK)))
