"""A document cut with an embedder: its tokenizer is the ruler, and its vectors tell where the subject changes."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np

from knowledge.chunking import Chunking, chunk, sentences
from knowledge.ports import Embedder
from knowledge.types import Chunk, Document

AT_ONCE = 128
"""Sentences that are handed to the model in one go."""


async def cut(document: Document, embedder: Embedder, chunking: Chunking) -> tuple[list[Chunk], int]:
    """The chunks, none longer than the model reads, and how many tokens it read to cut. Raises EmbeddingError."""
    most = min(chunking.tokens, await asyncio.to_thread(lambda: embedder.max_tokens))
    ready = partial(
        chunk, document, count=embedder.count_tokens, tokens=most, method=chunking.method, overlap=chunking.overlap
    )
    if chunking.method != "semantic":
        return await asyncio.to_thread(ready), 0
    texts = await asyncio.to_thread(partial(sentences, document, count=embedder.count_tokens, tokens=most))
    rows, read = [], 0
    for start in range(0, len(texts), AT_ONCE):
        encoded = await embedder.encode(texts[start : start + AT_ONCE], "passage")
        rows.append(encoded.vectors)
        read += encoded.tokens
    vectors = np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)
    return await asyncio.to_thread(ready, vectors=vectors), read
