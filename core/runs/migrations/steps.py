"""What a migration is made of: statements of SQLAlchemy, which Thaw runs itself and Alembic runs as well.

So a plain installation needs no Alembic, and whoever looks after a server has all that Alembic can do: the SQL to read
before it is run, and a role of its own that may change tables. One list; nothing that could differ.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from core.errors import StorageError

VERSION: Final = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Where it stands which migration came last: Alembic's own table, word for word."""
Steps = tuple[ExecutableDDLElement, ...]


class AddColumn(ExecutableDDLElement):
    """`ALTER TABLE ... ADD COLUMN`; rows that are there get its `server_default`, or NULL."""

    def __init__(self, table: str, column: sa.Column[Any]) -> None:
        self.table, self.column = sa.Table(table, sa.MetaData(), column), column


@compiles(AddColumn)
def _added(step: AddColumn, compiler: Any, **_: object) -> str:
    table = compiler.preparer.format_table(step.table)
    return f"ALTER TABLE {table} ADD COLUMN {compiler.get_column_specification(step.column)}"


def created(name: str, *columns: sa.Column[Any]) -> Steps:
    """A new table with its indexes."""
    table = sa.Table(name, sa.MetaData(), *columns)
    return (CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name))))


def take(steps: Iterable[ExecutableDDLElement], execute: Callable[[Any], object], there: sa.Inspector | None) -> None:
    """Take those steps that were not taken: earlier Thaws changed tables and kept no list.

    Args:
        there: says what is there; None where nothing is, or nobody can be asked.

    Raises:
        StorageError: a table of this name is another program's.
    """
    for step in steps:
        if there is None or not _is_taken(step, there):
            execute(step)


def by_alembic(steps: Steps) -> None:
    """The same, within `alembic upgrade`."""
    from alembic import context, op

    take(steps, op.execute, None if context.is_offline_mode() else sa.inspect(op.get_bind()))


def _is_taken(step: ExecutableDDLElement, there: sa.Inspector) -> bool:
    there.clear_cache()
    if isinstance(step, CreateTable):
        return _is_ours(step.element, there)
    if isinstance(step, CreateIndex):
        index = step.element
        assert index.table is not None
        return index.name in {one["name"] for one in there.get_indexes(index.table.name)}
    assert isinstance(step, AddColumn)
    return step.column.name in {one["name"] for one in there.get_columns(step.table.name)}


def _is_ours(table: sa.Table, there: sa.Inspector) -> bool:
    if not there.has_table(table.name):
        return False
    missing = {column.name for column in table.columns} - {one["name"] for one in there.get_columns(table.name)}
    if missing:
        raise StorageError(
            f"The database is not one that this version of Thaw can use (no such column: {min(missing)})."
        )
    return True
