"""Documents into chunks, in one of four ways. Pure: the ruler that counts tokens is an argument.

packed           whole sentences up to a number of tokens, inside one section where that is long enough
fixed            runs of words of one length, each repeating the end of the one before
sentence-window  one sentence each; it is read with three on each side
semantic         ends where the vectors of the sentences before and after are far apart

In each, tables and code stay whole where they fit, and are cut at lines, or at words in ``fixed``, where they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from knowledge.chunking.chunk_headers import header, indexed_text
from knowledge.chunking.fixed import fixed
from knowledge.chunking.packed import packed
from knowledge.chunking.semantic import semantic
from knowledge.chunking.sentence_windows import BESIDE, windows
from knowledge.chunking.units import CountTokens, Ruler, Span, Unit, content, sentence_units, word_units
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
    """How documents are cut: ``tokens`` a chunk at most, header included; ``overlap`` of them repeated by ``fixed``."""

    method: Method = "packed"
    tokens: int = 256
    overlap: int = 0

    def recipe(self, model: str) -> str:
        """Names what decides where a document is cut: another recipe may cut it elsewhere."""
        match self.method:
            case "fixed":
                return f"fixed {self.tokens} overlap {self.overlap}"
            case "sentence-window":
                return f"sentence-window {self.tokens} beside {BESIDE}"
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
    """The chunks of a document, in order: ``document.text[start:end] == text``.

    No two overlap, but for those of ``fixed`` with an ``overlap`` above 0, by that many tokens at most. Header and text
    together have at most ``tokens`` tokens, where a header has no more than a quarter of them; a longer one counts as
    a quarter. ``vectors``, for ``semantic`` alone: the unit vectors of ``sentences``.
    """
    blocks = content(document)
    ruler = Ruler.of(document, blocks, count, tokens)
    if method == "fixed":
        runs: Iterator[Sequence[Unit]] = fixed(word_units(document, blocks, count, ruler), ruler, overlap)
        return [_chunk(document, position, run) for position, run in enumerate(runs)]
    units = sentence_units(document, blocks, count, ruler)
    if method == "sentence-window":
        spans = zip(units, windows(units), strict=True)
        return [_chunk(document, position, [unit], span) for position, (unit, span) in enumerate(spans)]
    if method == "semantic":
        assert vectors is not None
        return [_chunk(document, position, run) for position, run in enumerate(semantic(units, vectors, ruler))]
    return [_chunk(document, position, run) for position, run in enumerate(packed(units, ruler))]


def sentences(document: Document, *, count: CountTokens, tokens: int = 256) -> list[str]:
    """What ``semantic`` compares: the sentences, tables and code blocks of a document, in order."""
    blocks = content(document)
    units = sentence_units(document, blocks, count, Ruler.of(document, blocks, count, tokens))
    return [document.text[unit.start : unit.end] for unit in units]


def _chunk(document: Document, position: int, run: Sequence[Unit], window: Span | None = None) -> Chunk:
    """A chunk of several sections is headed by what they share, and its text begins with the heading of the first."""
    first, heading = run[0], run[0].block.heading
    for block in {unit.block for unit in run[1:]}:
        heading = _shared(heading, block.heading)
    start = first.led_from if len(heading) < len(first.block.heading) else first.start
    text = document.text[start : run[-1].end].rstrip()
    return Chunk(position, text, start, start + len(text), heading, first.block.page, window)


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]
