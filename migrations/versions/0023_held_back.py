"""Why the last reading of a source removed nothing, and runs that may remove many documents."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sources ADD COLUMN held_back text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE ingests ADD COLUMN accept_removals boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE ingests DROP COLUMN accept_removals")
    op.execute("ALTER TABLE sources DROP COLUMN held_back")
