"""Vectors of deleted chunks, by the hash of their text, so that documents that come back are not embedded again."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE kept_vectors (
            tenant_id text NOT NULL,
            digest text NOT NULL,
            model text NOT NULL,
            vector text NOT NULL,
            signs bytea,
            sentences bytea,
            deleted_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, digest, model)
        )
        """
    )
    op.execute("ALTER TABLE kept_vectors ALTER COLUMN signs SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE kept_vectors ALTER COLUMN sentences SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX kept_vectors_age ON kept_vectors (tenant_id, deleted_at)")
    op.execute("CREATE INDEX chunks_digest ON chunks (tenant_id, digest)")
    protect("kept_vectors")


def downgrade() -> None:
    """Drop the vectors; they can be computed again from the texts."""
    op.execute("DROP INDEX chunks_digest")
    op.execute("DROP TABLE kept_vectors")
