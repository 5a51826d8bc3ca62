"""Deleted questions whose reply messages still have to be deleted, even after a process restarts."""

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
    """Reply messages that were not deleted yet stay."""
    op.execute("DROP INDEX turns_withdrawn")
    op.execute("ALTER TABLE turns DROP COLUMN withdrawn_at")
