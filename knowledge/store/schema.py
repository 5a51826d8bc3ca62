"""The tables of the knowledge layer. Every key starts with ``tenant_id``. The migrations define the schema.

Chunks are numbered within their tenant, so that BM25 can split a number into a segment and a place in the segment.
"""

from __future__ import annotations

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

# One row per tenant. version grows with every change. chunks and terms are the totals that BM25 needs. Questions are
# encoded with model. If next_model is set, its vectors are being computed, and model serves until they are complete.
knowledge_state = Table(
    "knowledge_state",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("next_chunk", BigInteger, nullable=False, server_default="0"),
    Column("chunks", BigInteger, nullable=False, server_default="0"),
    Column("terms", BigInteger, nullable=False, server_default="0"),
    Column("model", Text),
    Column("next_model", Text),
    Column("erased_version", BigInteger, nullable=False, server_default="0"),
)

# chunking and refresh_seconds are the source's own; NULL if it follows the setting. memo is its last mark.
# added_by is the id of the person who added it; NULL means that only admins replace it. upload_name is the URI of an
# upload as its name was given, which differs from uri if the name was taken. held_back says why the last reading
# removed nothing; it is empty if the reading was complete.
sources = Table(
    "sources",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("fetched_at", DateTime(timezone=True), nullable=False),
    Column("memo", Text, nullable=False, server_default=""),
    Column("chunking", Text),
    Column("include_hidden", Boolean, nullable=False, server_default="false"),
    Column("refresh_seconds", Integer),
    Column("added_by", Text),
    Column("upload_name", Text),
    Column("held_back", Text, nullable=False, server_default=""),
    UniqueConstraint("tenant_id", "audience", "uri", name="sources_identity"),
    Index("sources_held_back", "tenant_id", "id", postgresql_where=text("held_back <> ''")),
)

# On which platforms people were told that the source is held back.
held_back_notices = Table(
    "held_back_notices",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("source_id", Uuid, primary_key=True),
    Column("platform", Text, primary_key=True),
    ForeignKeyConstraint(["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], ondelete="CASCADE"),
)

# recipe names how the text was parsed and chunked: a document is unchanged only if its content and recipe are.
# dated_at is the date from the document's metadata, else the time when its content was first seen. memo is text that
# the source receives again at its next run. changed_at is when a stored text was last replaced by another; NULL if it
# never was. warnings say what was left out of the text. attached_to is the name of the mail that a document is
# attached to, in the same source; it is empty for others.
documents = Table(
    "documents",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("source_id", Uuid, nullable=False),
    Column("uri", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("blocks", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text, nullable=False, server_default=""),
    Column("fetched_at", DateTime(timezone=True), nullable=False),
    Column("gone_since", DateTime(timezone=True)),
    Column("gone_readings", Integer, nullable=False, server_default="0"),
    Column("memo", Text, nullable=False, server_default=""),
    Column("dated_at", DateTime(timezone=True)),
    Column("warnings", JSONB, nullable=False, server_default="[]"),
    Column("changed_at", DateTime(timezone=True)),
    Column("attached_to", Text, nullable=False, server_default=""),
    UniqueConstraint("tenant_id", "source_id", "uri", name="documents_identity"),
    ForeignKeyConstraint(["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], ondelete="CASCADE"),
    CheckConstraint("state IN ('ready', 'failed')"),
    Index("documents_dated", "tenant_id", "dated_at"),
    Index("documents_attached", "tenant_id", "source_id", "attached_to", postgresql_where=text("attached_to <> ''")),
)

# The parts of a document's file, if its pages are shown as pictures.
document_files = Table(
    "document_files",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("document_id", Uuid, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant_id", "document_id"], ["documents.tenant_id", "documents.id"], ondelete="CASCADE"),
)

# terms is the chunk's number of terms by the rules of terms_version. A found chunk that has a window is read as the
# text from window_start to window_end, such as the sentences around it.
chunks = Table(
    "chunks",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("chunk_id", BigInteger, primary_key=True, autoincrement=False),
    Column("document_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    Column("audience", Text, nullable=False),
    Column("header", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("start_char", Integer, nullable=False),
    Column("end_char", Integer, nullable=False),
    Column("page", Integer),
    Column("heading", ARRAY(Text), nullable=False),
    Column("digest", Text, nullable=False),
    Column("terms", Integer, nullable=False),
    Column("terms_version", SmallInteger, nullable=False, server_default="1"),
    Column("window_start", Integer),
    Column("window_end", Integer),
    ForeignKeyConstraint(["tenant_id", "document_id"], ["documents.tenant_id", "documents.id"], ondelete="CASCADE"),
    Index("chunks_document", "tenant_id", "document_id", "position"),
    Index("chunks_digest", "tenant_id", "digest"),
    Index("chunks_terms_version", "tenant_id", "terms_version", "chunk_id"),
)

# Separate from chunks: updating a row under an HNSW index is expensive even if the vector does not change.
embeddings = Table(
    "embeddings",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("chunk_id", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),
    Column("audience", Text, nullable=False),
    Column("dimensions", Integer, nullable=False),
    Column("vector", HALFVEC, nullable=False),
    ForeignKeyConstraint(["tenant_id", "chunk_id"], ["chunks.tenant_id", "chunks.chunk_id"], ondelete="CASCADE"),
    Index("embeddings_scope", "tenant_id", "model", "audience", "chunk_id"),
)

# For late interaction: one bit per dimension of every token's vector, token after token.
token_signs = Table(
    "token_signs",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("chunk_id", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),
    Column("signs", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant_id", "chunk_id"], ["chunks.tenant_id", "chunks.chunk_id"], ondelete="CASCADE"),
)

# One byte per dimension of every sentence's vector, sentence after sentence; only their direction counts.
sentence_vectors = Table(
    "sentence_vectors",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("chunk_id", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),
    Column("vectors", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant_id", "chunk_id"], ["chunks.tenant_id", "chunks.chunk_id"], ondelete="CASCADE"),
)

# Vectors of deleted chunks by digest, for 30 days. vector is in pgvector's text format; signs and sentences are as in
# token_signs and sentence_vectors.
kept_vectors = Table(
    "kept_vectors",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("vector", Text, nullable=False),
    Column("signs", LargeBinary),
    Column("sentences", LargeBinary),
    Column("deleted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("kept_vectors_age", "tenant_id", "deleted_at"),
)

# entries has three little-endian u16 per chunk: place in the segment, term frequency, length of the chunk. Each version
# of the terms has ten levels: version 1 has 0 to 9, version 2 has 10 to 19.
postings = Table(
    "postings",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("term", Text, primary_key=True),
    Column("segment", Integer, primary_key=True),
    Column("level", SmallInteger, primary_key=True),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("entries", LargeBinary, nullable=False),
    Index("postings_level", "tenant_id", "segment", "level"),
)

posting_parts = Table(
    "posting_parts",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("segment", Integer, primary_key=True),
    Column("level", SmallInteger, primary_key=True),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
)

# One bit per chunk of the segment. The row with audience '' marks every living chunk and counts the dead ones. The row
# with ' terms 2' marks chunks whose entries of earlier versions of the terms no longer count.
posting_masks = Table(
    "posting_masks",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("segment", Integer, primary_key=True),
    Column("audience", Text, primary_key=True),
    Column("mask", LargeBinary, nullable=False),
    Column("dead", Integer, nullable=False, server_default="0"),
)

# One row per ingestion run over a source, from the request to the report. files: the run was requested in the terminal,
# so it may read paths of the server.
ingests = Table(
    "ingests",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("source_id", Uuid, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("asked_by", Text, nullable=False),
    Column("files", Boolean, nullable=False, server_default=text("false")),
    Column("content_type", Text, nullable=False, server_default=""),
    Column("limited", Boolean, nullable=False, server_default=text("false")),
    Column("job_id", BigInteger),
    Column("done", Integer, nullable=False, server_default="0"),
    Column("total", Integer),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("stop_asked", Boolean, nullable=False, server_default=text("false")),
    Column("accept_removals", Boolean, nullable=False, server_default=text("false")),
    Column("report", JSONB, nullable=False, server_default=text("'{}'")),
    Column("error", Text, nullable=False, server_default=""),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["tenant_id", "source_id"], ["sources.tenant_id", "sources.id"], ondelete="CASCADE"),
    CheckConstraint("state IN ('waiting', 'running', 'done', 'stopped', 'failed')"),
    Index(
        "ingests_one_a_source",
        "tenant_id",
        "source_id",
        unique=True,
        postgresql_where=text("state IN ('waiting', 'running')"),
    ),
)

# The parts of an uploaded file, until the worker has read it.
upload_parts = Table(
    "upload_parts",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("ingest_id", Uuid, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant_id", "ingest_id"], ["ingests.tenant_id", "ingests.id"], ondelete="CASCADE"),
)

# The documents of an active ingestion that counted toward a daily limit, by the SHA-256 of their names.
counted_documents = Table(
    "counted_documents",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("ingest_id", Uuid, primary_key=True),
    Column("name_digest", LargeBinary, primary_key=True),
    ForeignKeyConstraint(["tenant_id", "ingest_id"], ["ingests.tenant_id", "ingests.id"], ondelete="CASCADE"),
)
