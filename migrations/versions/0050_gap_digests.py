"""Which channel of a tenant gets the weekly digest of what the documents do not answer, and when the next is due."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE gap_digests (
            tenant_id text PRIMARY KEY,
            platform text NOT NULL,
            channel_id text NOT NULL,
            next_at timestamptz NOT NULL
        )
        """
    )
    protect("gap_digests")
    op.execute(
        """
        CREATE POLICY list_without_tenant ON gap_digests FOR SELECT
        USING (current_setting('parley.tenant_id', true) = '-')
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE gap_digests")
