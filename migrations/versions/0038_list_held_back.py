"""A transaction without a tenant lists the sources that are held back, so that one statement asks for all tenants."""

from __future__ import annotations

from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX sources_held_back ON sources (tenant_id, id) WHERE held_back <> ''")
    op.execute(
        """
        CREATE POLICY list_held_back ON sources FOR SELECT
        USING (held_back <> '' AND current_setting('parley.tenant_id', true) = '-')
        """
    )
    op.execute(
        """
        CREATE POLICY list_without_tenant ON held_back_notices FOR SELECT
        USING (current_setting('parley.tenant_id', true) = '-')
        """
    )


def downgrade() -> None:
    op.execute("DROP POLICY list_without_tenant ON held_back_notices")
    op.execute("DROP POLICY list_held_back ON sources")
    op.execute("DROP INDEX sources_held_back")
