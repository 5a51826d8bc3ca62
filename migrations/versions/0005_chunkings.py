"""Chunking methods of sources, sentence windows, dates of documents, and the embedding model that serves a tenant."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DIMENSIONS = (64, 128, 2048)

COLUMNS = (
    ("sources", "chunking", "text"),
    ("chunks", "window_start", "integer"),
    ("chunks", "window_end", "integer"),
    ("documents", "dated_at", "timestamptz"),
    ("knowledge_state", "model", "text"),
    ("knowledge_state", "next_model", "text"),
)


def upgrade() -> None:
    """Add nullable columns, so that processes of the previous version can still write."""
    for table, column, kind in COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    op.execute("CREATE INDEX documents_dated ON documents (tenant_id, dated_at)")
    for dimensions in DIMENSIONS:
        op.execute(
            f"CREATE INDEX embeddings_hnsw_{dimensions} ON embeddings "
            f"USING hnsw ((vector::halfvec({dimensions})) halfvec_ip_ops) WHERE dimensions = {dimensions}"
        )


def downgrade() -> None:
    """Drop the columns and indexes."""
    for dimensions in DIMENSIONS:
        op.execute(f"DROP INDEX embeddings_hnsw_{dimensions}")
    op.execute("DROP INDEX documents_dated")
    for table, column, _ in reversed(COLUMNS):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
