"""A search reads no table again and again, before PostgreSQL has statistics too: as after a large ingestion."""

from __future__ import annotations

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.ports import Sessions
from knowledge.search.question_similarity import read_similarities
from knowledge.store.chunk_lookup import load_chunks
from knowledge.types.scope import Scope

CHUNKS = 3000
WANTED = range(7, CHUNKS, CHUNKS // 50)
FILL = (
    "INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at) "
    "VALUES ('t', gen_random_uuid(), 's', 'data', 'tenant', now())",
    "INSERT INTO documents (tenant_id, id, source_id, uri, title, text, blocks, metadata, content_hash, recipe, "
    "audience, state, fetched_at) SELECT 't', gen_random_uuid(), id, 'd', 'd', '', '[]', '{}', '', '', 'tenant', "
    "'ready', now() FROM sources",
    "INSERT INTO chunks (tenant_id, chunk_id, document_id, position, audience, header, text, start_char, end_char, "
    f"heading, digest, terms) SELECT 't', n, id, n, 'tenant', '', '', 0, 0, '{{}}', md5(CAST(n AS text)), 0 "
    f"FROM documents, generate_series(1, {CHUNKS}) AS n",
    "INSERT INTO embeddings (tenant_id, chunk_id, model, audience, dimensions, vector) "
    "SELECT 't', chunk_id, 'words', 'tenant', 2, '[1,0]' FROM chunks",
    "INSERT INTO token_signs (tenant_id, chunk_id, model, signs) SELECT 't', chunk_id, 'words', 'ab' FROM chunks",
    "INSERT INTO sentence_vectors (tenant_id, chunk_id, model, vectors) "
    "SELECT 't', chunk_id, 'words', 'ab' FROM chunks",
)
READ = text("""
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
    WHERE relname IN ('chunks', 'embeddings', 'token_signs', 'sentence_vectors')
""")


async def rows_read(session: AsyncSession) -> int:
    """Return how many rows of the large tables the connection has read."""
    return int(await session.scalar(READ) or 0)


async def test_a_search_reads_each_table_once_at_most(sessions: Sessions) -> None:
    async with sessions("t") as session:
        for statement in FILL:
            await session.execute(text(statement))
    vector = np.array([1, 0], dtype=np.float32)
    async with sessions("t") as session:
        before = await rows_read(session)
        similar = await read_similarities(session, vector, Scope("t"), list(WANTED), model="words")
        of_similarities = await rows_read(session) - before
        chunks = await load_chunks(session, Scope("t"), list(WANTED), signs_of="words")
        of_chunks = await rows_read(session) - before - of_similarities
    assert len(similar) == len(chunks) == len(WANTED)
    assert {chunk.signs for chunk in chunks.values()} == {b"ab"}
    assert of_similarities <= 3 * CHUNKS, "each of three tables once, at most"
    assert of_chunks <= 2 * CHUNKS
