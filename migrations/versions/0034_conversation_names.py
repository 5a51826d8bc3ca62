"""Conversations of the browser page can be renamed and pinned."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE threads ADD COLUMN named boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE threads ADD COLUMN pinned boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    """Drop the marks. Titles stay as they are until the first question is edited."""
    op.execute("ALTER TABLE threads DROP COLUMN pinned")
    op.execute("ALTER TABLE threads DROP COLUMN named")
