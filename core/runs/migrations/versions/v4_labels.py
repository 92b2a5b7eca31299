"""What people note about experiments, as on 27 November 2026."""

import sqlalchemy as sa

from core.runs.migrations.steps import by_alembic, created

revision, down_revision = "v4_labels", "v3_signs_of_life"
STEPS = created(
    "labels",
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("name", sa.Unicode(60), nullable=False),
    sa.Column("note", sa.UnicodeText, nullable=False),
    sa.Column("archived", sa.Boolean, nullable=False),
)


def upgrade() -> None:
    by_alembic(STEPS)
