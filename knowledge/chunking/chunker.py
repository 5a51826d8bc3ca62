"""Chunks a document with an embedder: counts tokens with its tokenizer and gets the vectors for semantic chunking."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np

from knowledge.chunking import Chunking, chunk, sentences
from knowledge.ports import Embedder
from knowledge.types import Chunk, Document

SENTENCES_PER_CALL = 128
"""Maximum number of sentences that one call of the embedder encodes."""


async def chunk_with_embedder(document: Document, embedder: Embedder, chunking: Chunking) -> tuple[list[Chunk], int]:
    """Return the chunks and how many tokens the model read to find their boundaries. Raises EmbeddingError.

    No chunk is longer than the model's input.
    """
    max_tokens = min(chunking.tokens, await asyncio.to_thread(lambda: embedder.max_tokens))
    split = partial(
        chunk,
        document,
        count=embedder.count_tokens,
        tokens=max_tokens,
        method=chunking.method,
        overlap=chunking.overlap,
    )
    if chunking.method != "semantic":
        return await asyncio.to_thread(split), 0
    texts = await asyncio.to_thread(partial(sentences, document, count=embedder.count_tokens, tokens=max_tokens))
    rows, tokens_read = [], 0
    for start in range(0, len(texts), SENTENCES_PER_CALL):
        encoded = await embedder.encode(texts[start : start + SENTENCES_PER_CALL], "passage")
        rows.append(encoded.vectors)
        tokens_read += encoded.tokens
    vectors = np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)
    return await asyncio.to_thread(split, vectors=vectors), tokens_read
