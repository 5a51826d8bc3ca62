"""The turn of a shown message is found by the message, which people mark with emoji."""

from __future__ import annotations

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX reply_parts_of_ref ON reply_parts (tenant_id, ref)")


def downgrade() -> None:
    op.execute("DROP INDEX reply_parts_of_ref")
