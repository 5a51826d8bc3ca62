"""The files of documents whose pages the browser page shows as pictures."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE document_files (
            tenant_id text NOT NULL,
            document_id uuid NOT NULL,
            part integer NOT NULL,
            data bytea NOT NULL,
            PRIMARY KEY (tenant_id, document_id, part),
            FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE
        )
        """
    )
    op.execute("ALTER TABLE document_files ALTER COLUMN data SET STORAGE EXTERNAL")
    protect("document_files")


def downgrade() -> None:
    """Drop the files; the next reading of a source stores them again."""
    op.execute("DROP TABLE document_files")
