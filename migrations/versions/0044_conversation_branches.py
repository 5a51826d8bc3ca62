"""Branches of conversations on the browser page: from which conversation and question each one began."""

from __future__ import annotations

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE threads ADD COLUMN branch_of uuid, ADD COLUMN branch_turn uuid")
    op.execute("CREATE INDEX threads_branches ON threads (tenant_id, branch_of) WHERE branch_of IS NOT NULL")
    op.execute("CREATE INDEX turns_copied ON turns (tenant_id) WHERE kind = 'copied'")


def downgrade() -> None:
    """Drop the links; the branches stay as conversations of their own."""
    op.execute("DROP INDEX turns_copied")
    op.execute("DROP INDEX threads_branches")
    op.execute("ALTER TABLE threads DROP COLUMN branch_of, DROP COLUMN branch_turn")
