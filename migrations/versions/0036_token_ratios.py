"""What was learned about the token counts of models survives a restart."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE token_ratios (
            tenant_id text NOT NULL DEFAULT '*',
            model text NOT NULL,
            ratio double precision NOT NULL,
            PRIMARY KEY (tenant_id, model)
        )
        """
    )
    protect("token_ratios")
    op.execute(
        """
        CREATE POLICY use_without_tenant ON token_ratios
        USING (tenant_id = '*' AND current_setting('parley.tenant_id', true) = '-')
        WITH CHECK (tenant_id = '*' AND current_setting('parley.tenant_id', true) = '-')
        """
    )


def downgrade() -> None:
    """Drop the ratios, which are learned again."""
    op.execute("DROP TABLE token_ratios")
