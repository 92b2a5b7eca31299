"""Brings the tables of any earlier Thaw up to date, when a database is opened."""

from importlib import import_module
from typing import Final

import sqlalchemy as sa

from core.errors import StorageError
from core.runs.migrations.steps import VERSION, take

MIGRATIONS: Final = ("v1_runs", "v2_evaluations", "v3_signs_of_life", "v4_labels", "v5_watched", "v6_exports")
"""In their order: the names of modules in `versions`, each with `STEPS`."""


def is_current(connection: sa.Connection) -> bool:
    """Whether nothing is to be done.

    Raises:
        StorageError: a newer Thaw changed it.
    """
    known = _version(connection)
    if known is not None and known not in MIGRATIONS:
        raise StorageError(
            "The database was changed by a newer version of Thaw. Use that version, or name another database in "
            "THAW_DATABASE or another folder in THAW_HOME."
        )
    return known == MIGRATIONS[-1]


def upgrade(connection: sa.Connection) -> None:
    """Run what has not been run, in a transaction that the caller begins and nobody else is in.

    Raises:
        StorageError: a table of this name is another program's; nothing is changed.
    """
    known = _version(connection)
    is_empty = known is None and not sa.inspect(connection).get_table_names()
    for name in MIGRATIONS[0 if known is None else MIGRATIONS.index(known) + 1 :]:
        steps = import_module(f"core.runs.migrations.versions.{name}").STEPS
        take(steps, connection.execute, None if is_empty else sa.inspect(connection))
    if known is None:
        VERSION.create(connection)
    else:
        connection.execute(sa.delete(VERSION))
    connection.execute(sa.insert(VERSION).values(version_num=MIGRATIONS[-1]))


def _version(connection: sa.Connection) -> str | None:
    """The last migration that was run; None where no list was kept."""
    if not sa.inspect(connection).has_table(VERSION.name):
        return None
    return connection.execute(sa.select(VERSION.c.version_num)).scalar_one_or_none()
