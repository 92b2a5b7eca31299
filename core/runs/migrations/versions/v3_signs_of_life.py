"""By what it is known that a run's worker and its owner live, as on 26 November 2026."""

import sqlalchemy as sa

from core.runs.migrations.steps import AddColumn, by_alembic

revision, down_revision = "v3_signs_of_life", "v2_evaluations"
STEPS = (
    AddColumn("runs", sa.Column("beats", sa.Integer, nullable=False, server_default=sa.text("0"))),
    AddColumn("runs", sa.Column("stopping", sa.Boolean, nullable=False, server_default=sa.false())),
    AddColumn("runs", sa.Column("reached", sa.JSON)),
    AddColumn("runs", sa.Column("owner", sa.JSON)),
    AddColumn("runs", sa.Column("owner_beats", sa.Integer, nullable=False, server_default=sa.text("0"))),
)


def upgrade() -> None:
    by_alembic(STEPS)
