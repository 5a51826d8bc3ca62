"""Cost alerts: days whose costs are unusual, and budgets of the whole team that are nearly used up."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE cost_alerts (
            tenant_id text NOT NULL,
            day date NOT NULL,
            kind text NOT NULL,
            level bigint NOT NULL,
            amount numeric(28, 10) NOT NULL,
            usual numeric(28, 10) NOT NULL,
            told_on text[] NOT NULL DEFAULT '{}',
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, day, kind, level)
        )
        """
    )
    protect("cost_alerts")
    op.execute(
        """
        CREATE POLICY list_without_tenant ON cost_alerts FOR SELECT
        USING (current_setting('parley.tenant_id', true) = '-')
        """
    )


def downgrade() -> None:
    """Drop the alerts; people are told once more if the day is still unusual."""
    op.execute("DROP TABLE cost_alerts")
