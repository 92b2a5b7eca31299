"""What a network says about a few validation pictures while it trains, as on 27 November 2026."""

import sqlalchemy as sa

from core.runs.migrations.steps import AddColumn, by_alembic

revision, down_revision = "v5_watched", "v4_labels"
STEPS = (AddColumn("runs", sa.Column("watched", sa.JSON)),)


def upgrade() -> None:
    by_alembic(STEPS)
