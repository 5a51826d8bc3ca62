"""What admins changed, by whom and when: limits of budgets, and jobs that they retried or stopped."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE admin_changes (
            tenant_id text NOT NULL,
            change_id uuid NOT NULL,
            admin_id text NOT NULL,
            action text NOT NULL,
            subject text NOT NULL,
            value text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, change_id)
        )
        """
    )
    op.execute("CREATE INDEX admin_changes_recent ON admin_changes (tenant_id, created_at)")
    protect("admin_changes")


def downgrade() -> None:
    """Drop the record of changes. It cannot be restored."""
    op.execute("DROP TABLE admin_changes")
