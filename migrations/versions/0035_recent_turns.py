"""Questions are listed by time, over all threads."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX turns_recent ON turns (tenant_id, created_at)")


def downgrade() -> None:
    op.execute("DROP INDEX turns_recent")
