"""Threads in which the bot answers mentions alone."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE threads ADD COLUMN quiet boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE threads DROP COLUMN quiet")
