"""Questions that were deleted while messages of their reply may still stand: taking those away outlives a process."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE turns ADD COLUMN withdrawn_at timestamptz")
    op.execute("CREATE INDEX turns_withdrawn ON turns (platform, withdrawn_at) WHERE withdrawn_at IS NOT NULL")


def downgrade() -> None:
    """What was not taken away yet stays."""
    op.execute("DROP INDEX turns_withdrawn")
    op.execute("ALTER TABLE turns DROP COLUMN withdrawn_at")
