"""Which runs were tested on which pictures, as on 24 November 2026."""

import sqlalchemy as sa

from core.runs.migrations.steps import by_alembic, created

revision, down_revision = "v2_evaluations", "v1_runs"
STEPS = created(
    "looks",
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("test_part", sa.String(64), index=True, nullable=False),
)


def upgrade() -> None:
    by_alembic(STEPS)
