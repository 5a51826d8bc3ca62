"""When documents changed, up to which version answers were compared with them, and which threads are to be told."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE documents ADD COLUMN changed_at timestamptz")
    op.execute("ALTER TABLE tenants ADD COLUMN answers_checked bigint NOT NULL DEFAULT 0")
    op.execute(
        """
        CREATE TABLE changed_answer_notices (
            tenant_id text NOT NULL,
            turn_id uuid NOT NULL,
            platform text NOT NULL,
            PRIMARY KEY (tenant_id, turn_id),
            FOREIGN KEY (tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
        )
        """
    )
    protect("changed_answer_notices")
    op.execute(
        """
        CREATE POLICY list_without_tenant ON changed_answer_notices FOR SELECT
        USING (current_setting('parley.tenant_id', true) = '-')
        """
    )


def downgrade() -> None:
    """Drop the columns and the notices. Answers that are marked stay marked."""
    op.execute("DROP TABLE changed_answer_notices")
    op.execute("ALTER TABLE tenants DROP COLUMN answers_checked")
    op.execute("ALTER TABLE documents DROP COLUMN changed_at")
