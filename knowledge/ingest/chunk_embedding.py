"""Embeds the chunks of several documents together, each distinct text once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge import chunk_writes
from knowledge.chunk_vectors import encode_passages
from knowledge.chunking.chunk_headers import with_header
from knowledge.document_rows import EmbeddedChunk
from knowledge.ingest.source_run import SourceRun
from knowledge.ports import Embedder, Sessions

CHUNKS_PER_CALL = 128
"""Maximum number of chunks that one call to the model encodes."""


@dataclass(frozen=True, slots=True)
class ChunkBatch:
    """Chunks of one document that are encoded together."""

    uri: str
    chunks: Sequence[EmbeddedChunk]


async def embed_missing_chunks(sessions: Sessions, run: SourceRun, batches: Sequence[ChunkBatch]) -> None:
    """Add the vectors to the chunks that are neither stored nor in the chunks yet. Raises EmbeddingError."""
    for embedder in run.embedders:
        async with sessions(run.tenant_id) as session:
            stored = await chunk_writes.embedded_digests(
                session,
                tenant_id=run.tenant_id,
                source_id=run.source_id,
                digests={batch.uri: [one.chunk.digest for one in batch.chunks] for batch in batches},
                model=embedder.model,
            )
        targets: dict[str, list[EmbeddedChunk]] = defaultdict(list)
        for batch in batches:
            for one in batch.chunks:
                if embedder.model not in one.vectors and one.chunk.digest not in stored.get(batch.uri, ()):
                    targets[one.chunk.digest].append(one)
        await _embed(embedder, targets, run)


async def _embed(embedder: Embedder, targets: Mapping[str, Sequence[EmbeddedChunk]], run: SourceRun) -> None:
    """Encode each digest's text once, and add the vector to the chunks."""
    # Sorted by length, because a batch is padded to its longest text.
    ordered = sorted(targets.values(), key=lambda same: len(same[0].chunk.chunk.text))
    for start in range(0, len(ordered), CHUNKS_PER_CALL):
        call = ordered[start : start + CHUNKS_PER_CALL]
        texts = [with_header(same[0].chunk.header, same[0].chunk.chunk.text) for same in call]
        encoded, tokens = await encode_passages(embedder, texts)
        run.totals.tokens += tokens
        for same, embedded in zip(call, encoded, strict=True):
            for one in same:
                one.vectors[embedder.model] = embedded
