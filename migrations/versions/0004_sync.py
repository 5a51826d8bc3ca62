"""What a source wants handed back at its next reading: with each document, and with the source as a whole."""

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
