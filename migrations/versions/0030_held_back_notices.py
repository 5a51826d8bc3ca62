"""On which platforms people were told that a reading of a source was held back."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE held_back_notices (
            tenant_id text NOT NULL,
            source_id uuid NOT NULL,
            platform text NOT NULL,
            PRIMARY KEY (tenant_id, source_id, platform),
            FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id) ON DELETE CASCADE
        )
        """
    )
    protect("held_back_notices")


def downgrade() -> None:
    """Drop the table; people are told once more."""
    op.execute("DROP TABLE held_back_notices")
