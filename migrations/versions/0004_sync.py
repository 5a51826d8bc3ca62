"""Memos that a source receives again at its next run: one per document, and one for the source."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE documents ADD COLUMN memo TEXT DEFAULT '' NOT NULL")
    op.execute("ALTER TABLE sources ADD COLUMN memo TEXT DEFAULT '' NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE sources DROP COLUMN memo")
    op.execute("ALTER TABLE documents DROP COLUMN memo")
