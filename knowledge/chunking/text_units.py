"""Splits a document into the units that chunks are made of, and counts the tokens that a chunk may have. Does no I/O.

Units are sentences, words, and blocks that are never split, such as tables and code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.chunking.chunk_headers import header
from knowledge.sentence_splitter import sentence_spans
from knowledge.types import Block, Document

CountTokens = Callable[[Sequence[str]], list[int]]
Span = tuple[int, int]

HEADER_SHARE = 0.25
"""The largest share of a chunk's tokens that its header can count as."""
UNSPLIT_KINDS = ("table", "code", "message")
"""Kinds of blocks that are never split if they fit into a chunk."""
_WORD = re.compile(r"\S{1,200}")


@dataclass(frozen=True, slots=True)
class Unit:
    """Text that is never split: ``document.text[start:end]``.

    ``is_block``: the unit is a complete table, code block or message. ``gap_tokens`` counts the text between the unit
    before and this one, such as a heading, which starts at ``gap_start``. It counts if both units are in one chunk.
    """

    start: int
    end: int
    tokens: int
    block: Block
    is_block: bool = False
    gap_tokens: int = 0
    gap_start: int = 0


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """The tokens that the text of a chunk may have. Its header counts too, up to ``HEADER_SHARE``."""

    tokens: int
    title: str
    headers: Mapping[str, int]

    @classmethod
    def of(cls, document: Document, blocks: Sequence[Block], count: CountTokens, tokens: int) -> TokenBudget:
        """Count the tokens of every header of the document. ``tokens`` is the limit for header and text together."""
        headers = sorted({header(document.title, block.heading) for block in blocks})
        return cls(tokens, document.title, dict(zip(headers, count(headers), strict=True)))

    def available(self, block: Block) -> int:
        """Return the tokens left for text under the header of the block."""
        return self.tokens - min(int(self.tokens * HEADER_SHARE), self.headers[header(self.title, block.heading)])

    def available_for(self, run: Sequence[Unit]) -> int:
        """Return the tokens left for text under the longest header of the run."""
        return min(self.available(block) for block in {unit.block for unit in run})


def includes_heading(first: Unit, other: Unit) -> bool:
    """Return whether a chunk of both units includes the first unit's heading in its text.

    It does if the two are in different sections: then the chunk's header lacks part of the first one's heading path.
    """
    return other.block.heading[: len(first.block.heading)] != first.block.heading


def token_count(run: Sequence[Unit]) -> int:
    """Return the tokens of the text of a chunk from the first unit of the run to the last."""
    blocks = {unit.block: unit for unit in run}.values()
    has_heading = any(includes_heading(run[0], unit) for unit in blocks)
    return sum(unit.tokens + unit.gap_tokens for unit in run) - (0 if has_heading else run[0].gap_tokens)


def content_blocks(document: Document) -> list[Block]:
    """Return the blocks that are split into chunks.

    A heading is in the heading path of the blocks below it, so it is left out, unless no block is below it.
    """
    kept: list[Block] = []
    shallowest: int | None = None
    for block in reversed(document.blocks):
        if block.kind != "heading":
            kept.append(block)
            shallowest = None
        elif not kept or (shallowest is not None and len(block.heading) >= shallowest):
            kept.append(block)
        if block.kind == "heading":
            depth = len(block.heading)
            shallowest = depth if shallowest is None else min(depth, shallowest)
    return kept[::-1]


def sentence_units(document: Document, blocks: Sequence[Block], count: CountTokens, budget: TokenBudget) -> list[Unit]:
    """Return blocks of ``UNSPLIT_KINDS`` that fit, else sentences or lines that fit, else runs of words."""
    unsplit = _unsplit_blocks(document, blocks, count, budget)
    units: list[Unit] = []
    spans = [(block, span) for block in blocks if block not in unsplit for span in _spans(document.text, block)]
    sizes = iter(count([document.text[start:end] for _, (start, end) in spans]))
    for block in blocks:
        if block in unsplit:
            units.append(Unit(block.start, block.end, unsplit[block], block, is_block=True))
            continue
        for start, end in _spans(document.text, block):
            tokens = next(sizes)
            limit = budget.available(block)
            if tokens <= limit:
                units.append(Unit(start, end, tokens, block))
            else:
                units += _word_runs(_split_words(document.text, start, end, block, count, limit), limit)
    return _with_gaps(document.text, units, count)


def word_units(document: Document, blocks: Sequence[Block], count: CountTokens, budget: TokenBudget) -> list[Unit]:
    """Return blocks of ``UNSPLIT_KINDS`` that fit, else words."""
    unsplit = _unsplit_blocks(document, blocks, count, budget)
    units: list[Unit] = []
    for block in blocks:
        if block in unsplit:
            units.append(Unit(block.start, block.end, unsplit[block], block, is_block=True))
        else:
            units += _split_words(document.text, block.start, block.end, block, count, budget.available(block))
    return _with_gaps(document.text, units, count)


def _unsplit_blocks(
    document: Document, blocks: Sequence[Block], count: CountTokens, budget: TokenBudget
) -> dict[Block, int]:
    """Return the tokens of each block that is not split because it fits."""
    candidates = [block for block in blocks if block.kind in UNSPLIT_KINDS]
    sizes = count([document.text[block.start : block.end] for block in candidates])
    return {block: tokens for block, tokens in zip(candidates, sizes, strict=True) if tokens <= budget.available(block)}


def _spans(text: str, block: Block) -> list[Span]:
    """Return the lines of a table or code block, or the sentences of any other block."""
    if block.kind in ("table", "code"):
        return list(_lines(text, block))
    return sentence_spans(text, block.start, block.end)


def _lines(text: str, block: Block) -> Iterator[Span]:
    start = block.start
    for line in text[block.start : block.end].splitlines(keepends=True):
        if line.strip():
            yield start, start + len(line.rstrip())
        start += len(line)


def _split_words(text: str, start: int, end: int, block: Block, count: CountTokens, limit: int) -> list[Unit]:
    """Return the words; a word of more than ``limit`` tokens is split into parts."""
    words = [match.span() for match in _WORD.finditer(text, start, end)]
    units: list[Unit] = []
    for (a, b), tokens in zip(words, count([text[a:b] for a, b in words]), strict=True):
        units += [Unit(a, b, tokens, block)] if tokens <= limit else _split_word(text, a, b, block, count, limit)
    return units


def _split_word(text: str, start: int, end: int, block: Block, count: CountTokens, limit: int) -> list[Unit]:
    """Split a word in half until its parts fit or are one character long."""
    tokens = count([text[start:end]])[0]
    if tokens <= limit or end - start == 1:
        return [Unit(start, end, tokens, block)]
    middle = (start + end) // 2
    return _split_word(text, start, middle, block, count, limit) + _split_word(text, middle, end, block, count, limit)


def _word_runs(words: Sequence[Unit], limit: int) -> Iterator[Unit]:
    """Yield the longest runs of words that fit, for a sentence that does not fit."""
    begin, total = 0, 0
    for index, word in enumerate(words):
        if total and total + word.tokens > limit:
            yield replace(words[begin], end=words[index - 1].end, tokens=total)
            begin, total = index, 0
        total += word.tokens
    if words:
        yield replace(words[begin], end=words[-1].end, tokens=total)


def _with_gaps(text: str, units: Sequence[Unit], count: CountTokens) -> list[Unit]:
    """Return the units with the tokens of the text before each."""
    ends = [0, *(unit.end for unit in units)]
    gaps = [text[end : unit.start] for end, unit in zip(ends, units, strict=False)]
    filled = [index for index, gap in enumerate(gaps) if gap.strip()]
    tokens = dict(zip(filled, count([gaps[index] for index in filled]), strict=True))
    return [
        replace(unit, gap_tokens=tokens.get(index, 0), gap_start=unit.start - len(gap.lstrip()))
        for index, (unit, gap) in enumerate(zip(units, gaps, strict=True))
    ]
