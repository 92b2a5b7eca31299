"""The table of runs, as on 22 November 2026."""

import sqlalchemy as sa

from core.runs.migrations.steps import by_alembic, created

revision, down_revision = "v1_runs", None
STEPS = created(
    "runs",
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), unique=True, nullable=False),
    sa.Column("race", sa.String(32), index=True),
    sa.Column("state", sa.String(16), index=True, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("crashes", sa.Integer, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("dataset_title", sa.Unicode(255), nullable=False),
    sa.Column("decode_s", sa.Float, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("worker", sa.JSON),
    sa.Column("beat", sa.Float),
    sa.Column("cancel", sa.Boolean, nullable=False),
    sa.Column("progress", sa.JSON),
    sa.Column("epochs", sa.JSON),
    sa.Column("cause", sa.UnicodeText),
    sa.Column("summary", sa.JSON),
)


def upgrade() -> None:
    by_alembic(STEPS)
