"""Which version of the rules of the search terms each chunk is indexed by."""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE chunks ADD COLUMN terms_version smallint NOT NULL DEFAULT 1")
    op.execute("CREATE INDEX chunks_terms_version ON chunks (tenant_id, terms_version, chunk_id)")


def downgrade() -> None:
    """Forget the versions. Chunks are found by the terms that they have."""
    op.execute("DROP INDEX chunks_terms_version")
    op.execute("ALTER TABLE chunks DROP COLUMN terms_version")
