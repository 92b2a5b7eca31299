"""Which runs are on which tracking server, as on 27 November 2026."""

import sqlalchemy as sa

from core.runs.migrations.steps import by_alembic, created

revision, down_revision = "v6_exports", "v5_watched"
STEPS = created(
    "exports",
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("tracker", sa.String(16), primary_key=True),
    sa.Column("remote", sa.String(64), nullable=False),
    sa.Column("exported", sa.Float, nullable=False),
)


def upgrade() -> None:
    by_alembic(STEPS)
