"""Connections to a database on a server, as PostgreSQL: a few are kept, and each is asked first whether it lives."""

import atexit
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

KEPT: Final = 4
MOST: Final = 16
"""Connections of one process at once; PostgreSQL's own limit is 100 for everybody."""
WAIT_S: Final = 10
"""For a connection: for a free one, and for an answer when one is opened."""
OLD_S: Final = 1800  # routers forget a connection that nothing comes through
_LIFE: Final = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""libpq's: a server whose machine is gone is noticed within a minute, not within two hours."""
_SESSION: Final = (
    "SET lock_timeout = '30s'",  # as in SQLite: a worker that was halted in the middle holds up nobody for ever
    "SET tcp_keepalives_idle = 30",  # and the server drops whose machine is gone, with its locks
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)


@cache
def server_engine(address: sa.URL, process: int) -> sa.Engine:
    """What opens and keeps connections to this address; one for all of a process.

    Args:
        process: its number, so that a child that was forked uses none of its parent's connections.

    Raises:
        ArgumentError, ImportError, ValueError: it is no address of a database, or its driver is not installed.
    """
    if address.drivername in ("postgres", "postgresql"):
        address = address.set(drivername="postgresql+psycopg")
    usual: dict[str, Any] = {}
    if address.drivername == "postgresql+psycopg":
        # a database that says nothing of letters (SQL_ASCII, made where no locale was set) would give bytes
        usual = {"connect_timeout": WAIT_S, "application_name": "thaw", "client_encoding": "utf8", **_LIFE}
    engine = sa.create_engine(
        address,
        pool_size=KEPT,
        max_overflow=MOST - KEPT,
        pool_timeout=WAIT_S,
        pool_recycle=OLD_S,
        pool_pre_ping=True,
        pool_use_lifo=True,
        connect_args={name: value for name, value in usual.items() if name not in address.query},
    )
    atexit.register(engine.dispose)
    if engine.dialect.name != "postgresql":
        return engine
    sa.event.listen(engine, "connect", _begin_session)
    # whatever its own default is: who waited for another sees what it did
    return engine.execution_options(isolation_level="READ COMMITTED")


def _begin_session(connection: Any, record: object) -> None:
    with connection.cursor() as cursor:
        for statement in _SESSION:
            cursor.execute(statement)
    connection.commit()
