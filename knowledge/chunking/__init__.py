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
from itertools import islice
from typing import get_args

import numpy as np
import numpy.typing as npt

from knowledge.chunking.chunk_headers import header, indexed_text, shared_path
from knowledge.chunking.fixed import fixed
from knowledge.chunking.packed import packed
from knowledge.chunking.semantic import MAX_UNITS, semantic
from knowledge.chunking.sentence_windows import NEIGHBORS, windows
from knowledge.chunking.text_units import Span, TokenBudget, Unit, content_blocks, sentence_units, word_units
from knowledge.chunking.token_counting import CountTokens, limited
from knowledge.types.documents import Chunk, ChunkingMethod, Document

__all__ = [
    "METHODS",
    "Chunking",
    "CountTokens",
    "Method",
    "SemanticSplitter",
    "chunk",
    "chunks",
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
    """Return the chunks of a document as ``chunks`` yields them.

    ``vectors`` are the unit vectors of ``sentences``, one row each; only ``semantic`` needs them.
    """
    if method != "semantic":
        return list(chunks(document, count=count, tokens=tokens, method=method, overlap=overlap))
    assert vectors is not None
    splitter = SemanticSplitter(document, count=count, tokens=tokens)
    found: list[Chunk] = []
    done = 0
    while units := splitter.next_units():
        found += splitter.chunks(units, vectors[done : done + len(units)])
        done += len(units)
    return found


def chunks(
    document: Document, *, count: CountTokens, tokens: int = 256, method: Method = "packed", overlap: int = 0
) -> Iterator[Chunk]:
    """Yield the chunks in order, with any method but ``semantic``: ``document.text[start:end] == text``.

    Chunks do not overlap, except with ``fixed``, by at most ``overlap`` tokens. A header and its text together have at
    most ``tokens`` tokens; a header longer than a quarter of that counts as a quarter. The document is read as far as
    the chunks need, so that few parts of a large document are in memory.
    """
    count = limited(count)
    blocks, budget = content_blocks(document), TokenBudget(document, count, tokens)
    if method == "fixed":
        runs: Iterator[Sequence[Unit]] = fixed(word_units(document, blocks, count, budget), budget, overlap)
        return (_make_chunk(document, position, run) for position, run in enumerate(runs))
    units = sentence_units(document, blocks, count, budget)
    if method == "sentence-window":
        return (_make_chunk(document, at, [unit], span) for at, (unit, span) in enumerate(windows(units)))
    return (_make_chunk(document, position, run) for position, run in enumerate(packed(units, budget)))


class SemanticSplitter:
    """Splits a document with the method ``semantic``, in parts of at most ``semantic.MAX_UNITS`` units."""

    def __init__(self, document: Document, *, count: CountTokens, tokens: int = 256) -> None:
        count = limited(count)
        self._document = document
        self._budget = TokenBudget(document, count, tokens)
        self._units = sentence_units(document, content_blocks(document), count, self._budget)
        self._position = 0

    def next_units(self) -> list[Unit]:
        """Return the units of the next part; none at the end."""
        return list(islice(self._units, MAX_UNITS))

    def text(self, unit: Unit) -> str:
        """Return the text whose vector ``chunks`` needs: a sentence, table or code block."""
        return self._document.text[unit.start : unit.end]

    def chunks(self, units: Sequence[Unit], vectors: npt.NDArray[np.float32]) -> list[Chunk]:
        """Return the chunks of a part. ``vectors`` are the unit vectors of its units, one row each."""
        first = self._position
        found = [
            _make_chunk(self._document, first + at, run)
            for at, run in enumerate(semantic(units, vectors, self._budget))
        ]
        self._position += len(found)
        return found


def sentences(document: Document, *, count: CountTokens, tokens: int = 256) -> list[str]:
    """Return the texts whose vectors ``semantic`` needs: sentences, tables and code blocks, in order."""
    splitter = SemanticSplitter(document, count=count, tokens=tokens)
    return [splitter.text(unit) for units in iter(splitter.next_units, []) for unit in units]


def _make_chunk(document: Document, position: int, run: Sequence[Unit], window: Span | None = None) -> Chunk:
    """Make a chunk of a run of units.

    A chunk of several sections has the heading path that they share, and its text begins with the first one's heading.
    """
    first, heading = run[0], shared_path({unit.block.heading for unit in run})
    start = first.gap_start if len(heading) < len(first.block.heading) else first.start
    text = document.text[start : run[-1].end].rstrip()
    return Chunk(position, text, start, start + len(text), heading, first.block.page, window)
