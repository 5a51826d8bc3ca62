"""An index by which the retention finds old turns, instead of reading all of them each time."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX turns_by_age ON turns (tenant_id, created_at)")


def downgrade() -> None:
    op.execute("DROP INDEX turns_by_age")
