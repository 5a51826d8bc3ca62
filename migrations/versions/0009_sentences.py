"""Vectors of the sentences of chunks, one byte per dimension.

Chunks that the previous version wrote have none, and are found by their own vectors alone.
"""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE sentence_vectors (
            tenant_id text NOT NULL,
            chunk_id bigint NOT NULL,
            model text NOT NULL,
            vectors bytea NOT NULL,
            PRIMARY KEY (tenant_id, chunk_id, model),
            FOREIGN KEY (tenant_id, chunk_id) REFERENCES chunks (tenant_id, chunk_id) ON DELETE CASCADE
        )
        """
    )
    op.execute("ALTER TABLE sentence_vectors ALTER COLUMN vectors SET STORAGE EXTERNAL")
    protect("sentence_vectors")


def downgrade() -> None:
    """Drop the vectors; they can be computed again from the texts."""
    op.execute("DROP TABLE sentence_vectors")
