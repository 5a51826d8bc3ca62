"""Digests of Slack requests over HTTP, kept while their signatures are valid, so that a replay is recognized."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE slack_requests (
            tenant_id text NOT NULL DEFAULT '*',
            digest text NOT NULL,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, digest)
        )
        """
    )
    op.execute("CREATE INDEX slack_requests_expired ON slack_requests (tenant_id, expires_at)")
    protect("slack_requests")
    op.execute(
        """
        CREATE POLICY use_without_tenant ON slack_requests
        USING (tenant_id = '*' AND current_setting('parley.tenant_id', true) = '-')
        WITH CHECK (tenant_id = '*' AND current_setting('parley.tenant_id', true) = '-')
        """
    )


def downgrade() -> None:
    """Drop the digests; requests of the last minutes can be replayed."""
    op.execute("DROP TABLE slack_requests")
