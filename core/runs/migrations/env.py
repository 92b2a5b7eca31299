"""What Alembic runs: `alembic upgrade head` on the database that THAW_DATABASE names, or on the home folder's.

`--sql` prints the statements for a new database instead. Thaw does the same by itself when it opens a database.
"""

import os

from alembic import context

from core.runs.database import METADATA, Database, one_at_a_time

if context.is_offline_mode():
    context.configure(url=os.environ.get("THAW_DATABASE", "sqlite://"), target_metadata=METADATA)
    context.run_migrations()
else:
    with Database(upgraded=False).write() as connection:
        one_at_a_time(connection)
        context.configure(connection=connection, target_metadata=METADATA)
        context.run_migrations()
