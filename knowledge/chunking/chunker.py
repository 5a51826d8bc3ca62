"""Chunks a document with an embedder, a batch at a time: counts tokens with its tokenizer, and gets the vectors that
semantic chunking needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import numpy as np

from knowledge.chunking import Chunking, SemanticSplitter, chunks
from knowledge.ports import Embedder
from knowledge.types.documents import Chunk, Document

SENTENCES_PER_CALL = 128
"""Maximum number of sentences that one call of the embedder encodes."""
BATCH_CHUNKS = 256
BATCH_CHARS = 1_000_000
"""Limits of a batch. A single chunk may have more characters."""


async def chunk_batches(
    document: Document, embedder: Embedder, chunking: Chunking
) -> AsyncIterator[tuple[list[Chunk], int]]:
    """Yield the chunks in batches, and how many tokens the model read to find their boundaries.

    The next batch is made when it is asked for, in a thread. No chunk is longer than the model's input. Raises
    EmbeddingError.
    """
    if chunking.method != "semantic":
        following = _chunks(document, embedder, chunking)
        full = True
        while full:
            batch, full = await asyncio.to_thread(_take, following)
            if batch:
                yield batch, 0
        return
    tokens = min(chunking.tokens, await asyncio.to_thread(lambda: embedder.max_tokens))
    count = embedder.count_tokens
    splitter = await asyncio.to_thread(partial(SemanticSplitter, document, count=count, tokens=tokens))
    while units := await asyncio.to_thread(splitter.next_units):
        rows, tokens_read = [], 0
        for start in range(0, len(units), SENTENCES_PER_CALL):
            texts = [splitter.text(unit) for unit in units[start : start + SENTENCES_PER_CALL]]
            encoded = await embedder.encode(texts, "passage")
            rows.append(encoded.vectors)
            tokens_read += encoded.tokens
        part = iter(await asyncio.to_thread(splitter.chunks, units, np.concatenate(rows)))
        full = True
        while full:
            batch, full = _take(part)
            if batch:
                yield batch, tokens_read
                tokens_read = 0


def _chunks(document: Document, embedder: Embedder, chunking: Chunking) -> Iterator[Chunk]:
    """Yield the chunks of a document. The embedder is asked for the length of its input with the first of them."""
    tokens = min(chunking.tokens, embedder.max_tokens)
    yield from chunks(
        document, count=embedder.count_tokens, tokens=tokens, method=chunking.method, overlap=chunking.overlap
    )


def _take(following: Iterator[Chunk]) -> tuple[list[Chunk], bool]:
    """Return the next batch, and whether it is full; after one that is not, there are no more."""
    batch: list[Chunk] = []
    characters = 0
    for chunk in following:
        batch.append(chunk)
        characters += len(chunk.text)
        if len(batch) == BATCH_CHUNKS or characters >= BATCH_CHARS:
            return batch, True
    return batch, False
