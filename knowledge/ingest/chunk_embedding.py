"""Embeds the chunks of several documents together, each distinct text once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowledge.chunking.chunk_headers import with_header
from knowledge.embedders.token_vectors import TokenEmbedder
from knowledge.ingest.source_run import SourceRun
from knowledge.ports import Embedder, Sessions
from knowledge.store import chunk_writes, kept_vectors
from knowledge.store.chunk_vectors import encode_passages
from knowledge.store.document_rows import EmbeddedChunk

CHUNKS_PER_CALL = 128
"""Maximum number of chunks that one call to the model encodes."""


@dataclass(frozen=True, slots=True)
class ChunkBatch:
    """Chunks of one document that are encoded together. ``every_chunk``: those that are stored need vectors too."""

    uri: str
    chunks: Sequence[EmbeddedChunk]
    every_chunk: bool = False


async def embed_missing_chunks(sessions: Sessions, run: SourceRun, batches: Sequence[ChunkBatch]) -> None:
    """Add the missing vectors to chunks that match no stored chunk. Raises EmbeddingError.

    Texts that were embedded before are not embedded again.
    """
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
                for one in _without_vector(batch, stored[batch.uri], embedder.model):
                    targets[one.chunk.digest].append(one)
            known = await kept_vectors.find(
                session, run.tenant_id, list(targets), embedder.model, with_signs=isinstance(embedder, TokenEmbedder)
            )
        for digest, embedded in known.items():
            for one in targets.pop(digest):
                one.vectors[embedder.model] = embedded
        await _embed(embedder, targets, run)


def _without_vector(batch: ChunkBatch, stored: Counter[str], model: str) -> Iterator[EmbeddedChunk]:
    """Yield the chunks without a vector of the model that match no stored chunk with one."""
    left = Counter[str]() if batch.every_chunk else Counter(stored)
    for one in batch.chunks:
        if left[one.chunk.digest]:
            left[one.chunk.digest] -= 1
        elif model not in one.vectors:
            yield one


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
