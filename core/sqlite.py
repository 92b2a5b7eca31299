"""How databases in the home folder are opened: SQLite, for many processes that write little and seldom."""

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

PATIENCE_MS: Final = 30_000  # that a call waits for another one's


def open_file(path: Path) -> sa.Engine:
    """The database in a file, by its path, which may hold what means something else in an address."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=NullPool)
    lock_on_begin(engine)
    return engine


def lock_on_begin(engine: sa.Engine) -> None:
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
