"""Knowledge: sources, documents, chunks, embeddings and the BM25 postings."""

from __future__ import annotations

from alembic import op

from migrations.security import create_app_role, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DIMENSIONS = (256, 384, 512, 768, 1024, 1536, 3072)

TABLES = (
    """
    CREATE TABLE knowledge_state (
        tenant_id text PRIMARY KEY,
        version bigint NOT NULL DEFAULT 0,
        next_chunk bigint NOT NULL DEFAULT 0,
        chunks bigint NOT NULL DEFAULT 0,
        terms bigint NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE sources (
        tenant_id text NOT NULL,
        id uuid NOT NULL,
        uri text NOT NULL,
        kind text NOT NULL,
        audience text NOT NULL,
        fetched_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT sources_identity UNIQUE (tenant_id, audience, uri)
    )
    """,
    """
    CREATE TABLE documents (
        tenant_id text NOT NULL,
        id uuid NOT NULL,
        source_id uuid NOT NULL,
        uri text NOT NULL,
        title text NOT NULL,
        text text NOT NULL,
        blocks jsonb NOT NULL,
        metadata jsonb NOT NULL,
        content_hash text NOT NULL,
        recipe text NOT NULL,
        audience text NOT NULL,
        state text NOT NULL CHECK (state IN ('ready', 'failed')),
        error text NOT NULL DEFAULT '',
        fetched_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT documents_identity UNIQUE (tenant_id, source_id, uri),
        FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE chunks (
        tenant_id text NOT NULL,
        chunk_id bigint NOT NULL,
        document_id uuid NOT NULL,
        position integer NOT NULL,
        audience text NOT NULL,
        header text NOT NULL,
        text text NOT NULL,
        start_char integer NOT NULL,
        end_char integer NOT NULL,
        page integer,
        heading text[] NOT NULL,
        digest text NOT NULL,
        terms integer NOT NULL,
        PRIMARY KEY (tenant_id, chunk_id),
        FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX chunks_document ON chunks (tenant_id, document_id, position)",
    """
    CREATE TABLE embeddings (
        tenant_id text NOT NULL,
        chunk_id bigint NOT NULL,
        model text NOT NULL,
        audience text NOT NULL,
        dimensions integer NOT NULL,
        vector halfvec NOT NULL,
        PRIMARY KEY (tenant_id, chunk_id, model),
        FOREIGN KEY (tenant_id, chunk_id) REFERENCES chunks (tenant_id, chunk_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX embeddings_scope ON embeddings (tenant_id, model, audience, chunk_id)",
    """
    CREATE TABLE token_signs (
        tenant_id text NOT NULL,
        chunk_id bigint NOT NULL,
        model text NOT NULL,
        signs bytea NOT NULL,
        PRIMARY KEY (tenant_id, chunk_id, model),
        FOREIGN KEY (tenant_id, chunk_id) REFERENCES chunks (tenant_id, chunk_id) ON DELETE CASCADE
    )
    """,
    "ALTER TABLE token_signs ALTER COLUMN signs SET STORAGE EXTERNAL",
    """
    CREATE TABLE postings (
        tenant_id text NOT NULL,
        term text NOT NULL,
        segment integer NOT NULL,
        level smallint NOT NULL,
        part bigint NOT NULL,
        entries bytea NOT NULL,
        PRIMARY KEY (tenant_id, term, segment, level, part)
    )
    """,
    "ALTER TABLE postings ALTER COLUMN entries SET STORAGE EXTERNAL",
    "CREATE INDEX postings_level ON postings (tenant_id, segment, level)",
    """
    CREATE TABLE posting_parts (
        tenant_id text NOT NULL,
        segment integer NOT NULL,
        level smallint NOT NULL,
        part bigint NOT NULL,
        PRIMARY KEY (tenant_id, segment, level, part)
    )
    """,
    """
    CREATE TABLE posting_masks (
        tenant_id text NOT NULL,
        segment integer NOT NULL,
        audience text NOT NULL,
        mask bytea NOT NULL,
        dead integer NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant_id, segment, audience)
    )
    """,
    "ALTER TABLE posting_masks ALTER COLUMN mask SET STORAGE EXTERNAL",
)

NAMES = (
    "knowledge_state",
    "sources",
    "documents",
    "chunks",
    "embeddings",
    "token_signs",
    "postings",
    "posting_parts",
    "posting_masks",
)


def upgrade() -> None:
    """Create the tables, and a partial HNSW index for each number of dimensions that common models have."""
    op.execute(
        """
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN CREATE EXTENSION vector; END IF;
        END $$
        """
    )
    create_app_role()
    for statement in TABLES:
        op.execute(statement)
    for dimensions in DIMENSIONS:
        op.execute(
            f"CREATE INDEX embeddings_hnsw_{dimensions} ON embeddings "
            f"USING hnsw ((vector::halfvec({dimensions})) halfvec_ip_ops) WHERE dimensions = {dimensions}"
        )
    for name in NAMES:
        protect(name)


def downgrade() -> None:
    """Drop the tables. The extension and the role stay, because other schemas may use them."""
    for name in reversed(NAMES):
        op.execute(f"DROP TABLE {name}")
