"""Splits documents into chunks with one of four methods. Does no I/O; the function that counts tokens is an argument.

- ``packed``: complete sentences up to a number of tokens, within one section if the section is long enough.
- ``fixed``: runs of words up to a number of tokens. Each can repeat the end of the one before.
- ``sentence-window``: one sentence each, which is read with three sentences on each side.
- ``semantic``: a chunk ends where the embeddings of the sentences before and after differ most.

A table or code block that fits is never split. One that does not fit is split at lines, or at words by ``fixed``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from knowledge.chunking.chunk_headers import header, indexed_text, shared_path
from knowledge.chunking.fixed import fixed
from knowledge.chunking.packed import packed
from knowledge.chunking.semantic import semantic
from knowledge.chunking.sentence_windows import NEIGHBORS, windows
from knowledge.chunking.text_units import (
    CountTokens,
    Span,
    TokenBudget,
    Unit,
    content_blocks,
    sentence_units,
    word_units,
)
from knowledge.types import Chunk, ChunkingMethod, Document

__all__ = [
    "METHODS",
    "Chunking",
    "CountTokens",
    "Method",
    "chunk",
    "header",
    "indexed_text",
    "sentences",
]

Method = ChunkingMethod
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Chunking:
    """Settings of chunking.

    ``tokens`` is the maximum for a chunk with its header. ``overlap`` is the number of tokens that ``fixed`` repeats.
    """

    method: Method = "packed"
    tokens: int = 256
    overlap: int = 0

    def recipe(self, model: str) -> str:
        """Return a string that identifies everything that determines where chunks begin.

        It is stored with a document, which is chunked again when the string changes.
        """
        match self.method:
            case "fixed":
                return f"fixed {self.tokens} overlap {self.overlap}"
            case "sentence-window":
                return f"sentence-window {self.tokens} beside {NEIGHBORS}"
            case "semantic":
                return f"semantic {self.tokens} by {model}"
            case "packed":
                return f"packed {self.tokens}"


def chunk(
    document: Document,
    *,
    count: CountTokens,
    tokens: int = 256,
    method: Method = "packed",
    overlap: int = 0,
    vectors: npt.NDArray[np.float32] | None = None,
) -> list[Chunk]:
    """Split a document into chunks, in order: ``document.text[start:end] == text``.

    Chunks do not overlap, except with ``fixed``, by at most ``overlap`` tokens. A header and its text together have at
    most ``tokens`` tokens; a header longer than a quarter of that counts as a quarter. ``vectors`` are the unit vectors
    of ``sentences``, one row each; only ``semantic`` needs them.
    """
    blocks = content_blocks(document)
    budget = TokenBudget.of(document, blocks, count, tokens)
    if method == "fixed":
        runs: Iterator[Sequence[Unit]] = fixed(word_units(document, blocks, count, budget), budget, overlap)
        return [_make_chunk(document, position, run) for position, run in enumerate(runs)]
    units = sentence_units(document, blocks, count, budget)
    if method == "sentence-window":
        spans = zip(units, windows(units), strict=True)
        return [_make_chunk(document, position, [unit], span) for position, (unit, span) in enumerate(spans)]
    if method == "semantic":
        assert vectors is not None
        return [_make_chunk(document, position, run) for position, run in enumerate(semantic(units, vectors, budget))]
    return [_make_chunk(document, position, run) for position, run in enumerate(packed(units, budget))]


def sentences(document: Document, *, count: CountTokens, tokens: int = 256) -> list[str]:
    """Return the texts whose vectors ``semantic`` needs: sentences, tables and code blocks, in order."""
    blocks = content_blocks(document)
    units = sentence_units(document, blocks, count, TokenBudget.of(document, blocks, count, tokens))
    return [document.text[unit.start : unit.end] for unit in units]


def _make_chunk(document: Document, position: int, run: Sequence[Unit], window: Span | None = None) -> Chunk:
    """Make a chunk of a run of units.

    A chunk of several sections has the heading path that they share, and its text begins with the first one's heading.
    """
    first, heading = run[0], shared_path({unit.block.heading for unit in run})
    start = first.gap_start if len(heading) < len(first.block.heading) else first.start
    text = document.text[start : run[-1].end].rstrip()
    return Chunk(position, text, start, start + len(text), heading, first.block.page, window)
