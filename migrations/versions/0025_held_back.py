"""Readings that were held back, runs that may remove many documents, and documents that no longer exist."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sources ADD COLUMN held_back text NOT NULL DEFAULT ''")
    op.execute(
        "ALTER TABLE documents ADD COLUMN gone_since timestamptz, ADD COLUMN gone_readings int NOT NULL DEFAULT 0"
    )
    op.execute("ALTER TABLE ingests ADD COLUMN accept_removals boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE ingests DROP COLUMN accept_removals")
    op.execute("ALTER TABLE documents DROP COLUMN gone_since, DROP COLUMN gone_readings")
    op.execute("ALTER TABLE sources DROP COLUMN held_back")
