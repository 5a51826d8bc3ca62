"""Embeds the chunks of several documents together, each distinct text once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from knowledge import chunk_writes
from knowledge.chunk_vectors import Embedded, encode_passages
from knowledge.chunking.chunk_headers import with_header
from knowledge.document_writes import NewDocument
from knowledge.ingest.source_run import SourceRun
from knowledge.ports import Embedder, Sessions

CHUNKS_PER_CALL = 128
"""Maximum number of chunks that one call to the model encodes."""


async def embed_missing_chunks(sessions: Sessions, run: SourceRun, documents: Sequence[NewDocument]) -> None:
    """Compute the vectors that are neither stored nor in ``vectors`` of a document. Raises EmbeddingError."""
    for embedder in run.embedders:
        async with sessions(run.tenant_id) as session:
            stored = await chunk_writes.embedded_digests(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                uris=[new.document.uri for new in documents],
                model=embedder.model,
            )
        targets: dict[str, list[dict[str, Embedded]]] = defaultdict(list)
        texts: dict[str, str] = {}
        for new in documents:
            vectors, stored_digests = _vectors_of(new, embedder.model), stored.get(new.document.uri, ())
            for chunk in new.chunks:
                if chunk.digest not in stored_digests and chunk.digest not in vectors:
                    targets[chunk.digest].append(vectors)
                    texts[chunk.digest] = with_header(chunk.header, chunk.chunk.text)
        await _embed(embedder, texts, targets, run)


async def _embed(
    embedder: Embedder, texts: dict[str, str], targets: dict[str, list[dict[str, Embedded]]], run: SourceRun
) -> None:
    """Encode the texts, by digest, and add each vector to its targets."""
    # Sorted by length, because a batch is padded to its longest text.
    ordered = sorted(texts, key=lambda digest: len(texts[digest]))
    for start in range(0, len(ordered), CHUNKS_PER_CALL):
        digests = ordered[start : start + CHUNKS_PER_CALL]
        encoded, tokens = await encode_passages(embedder, [texts[digest] for digest in digests])
        run.totals.tokens += tokens
        for digest, embedded in zip(digests, encoded, strict=True):
            for vectors in targets[digest]:
                vectors[digest] = embedded


def _vectors_of(new: NewDocument, model: str) -> dict[str, Embedded]:
    """Return the document's vectors of one model, as a dictionary to add to."""
    vectors = new.vectors[model]
    assert isinstance(vectors, dict)
    return vectors
