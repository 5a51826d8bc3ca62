"""Which documents of an ingestion counted toward the daily limit, so that a retry does not count them again."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE counted_documents (
            tenant_id text NOT NULL,
            ingest_id uuid NOT NULL,
            name_digest bytea NOT NULL,
            PRIMARY KEY (tenant_id, ingest_id, name_digest),
            FOREIGN KEY (tenant_id, ingest_id) REFERENCES ingests (tenant_id, id) ON DELETE CASCADE
        )
        """
    )
    protect("counted_documents")


def downgrade() -> None:
    """Drop the table; ingestions that are running count their documents again when they are retried."""
    op.execute("DROP TABLE counted_documents")
