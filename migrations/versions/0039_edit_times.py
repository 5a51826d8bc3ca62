"""Each turn knows when its question was edited, so that an edit that arrives late does not replace a later one."""

from __future__ import annotations

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE turns ADD COLUMN edited_at timestamptz")


def downgrade() -> None:
    """Drop the times. Of two edits that arrive in the wrong order, the first one wins again."""
    op.execute("ALTER TABLE turns DROP COLUMN edited_at")
