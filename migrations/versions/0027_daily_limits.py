"""What each person added today, whether an ingestion counts toward it, and how often something was refused."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE added_days (
            tenant_id text NOT NULL,
            user_id text NOT NULL,
            day date NOT NULL,
            bytes bigint NOT NULL DEFAULT 0,
            documents bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (tenant_id, user_id, day)
        )
        """
    )
    protect("added_days")
    op.execute("ALTER TABLE ingests ADD COLUMN limited boolean NOT NULL DEFAULT false")
    op.execute(
        """
        CREATE TABLE refusals (
            tenant_id text NOT NULL DEFAULT '*',
            day date NOT NULL,
            kind text NOT NULL,
            count bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (tenant_id, day, kind)
        )
        """
    )
    protect("refusals")
    op.execute(
        """
        CREATE POLICY use_without_tenant ON refusals
        USING (tenant_id = '*' AND current_setting('parley.tenant_id', true) = '-')
        WITH CHECK (tenant_id = '*' AND current_setting('parley.tenant_id', true) = '-')
        """
    )


def downgrade() -> None:
    """Drop the counts; people can add as much again today."""
    op.execute("DROP TABLE refusals")
    op.execute("ALTER TABLE ingests DROP COLUMN limited")
    op.execute("DROP TABLE added_days")
