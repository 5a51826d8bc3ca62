"""Splits a document into the units that chunks are made of, and counts the tokens that a chunk may have. Does no I/O.

Units are sentences, words, and blocks that are never split, such as tables and code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from knowledge.chunking.chunk_headers import header
from knowledge.chunking.token_counting import MAX_TOKEN_CHARS, CountTokens
from knowledge.text.sentence_splitter import iterate_sentence_spans
from knowledge.types.documents import Block, Document

Span = tuple[int, int]

HEADER_SHARE = 0.25
"""The largest share of a chunk's tokens that its header can count as."""
UNSPLIT_KINDS = ("table", "code", "message")
"""Kinds of blocks that are never split if they fit into a chunk."""
BATCH_UNITS = 256
"""Units that are counted together. They are made a batch at a time, so that few of a large document exist at once."""
CACHED_HEADERS = 1024
_WORD = re.compile(rf"\S{{1,{MAX_TOKEN_CHARS}}}")
_LINE = re.compile("[^\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029]+")
"""What ``str.splitlines`` takes for a line."""


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


class TokenBudget:
    """The tokens that the text of a chunk may have. Its header counts too, up to ``HEADER_SHARE``.

    ``tokens`` is the limit for header and text together.
    """

    def __init__(self, document: Document, count: CountTokens, tokens: int) -> None:
        self.tokens = tokens

        @lru_cache(CACHED_HEADERS)
        def available(heading: tuple[str, ...]) -> int:
            return tokens - min(int(tokens * HEADER_SHARE), count([header(document.title, heading)])[0])

        self._available = available

    def available(self, block: Block) -> int:
        """Return the tokens left for text under the header of the block."""
        return self._available(block.heading)

    def available_for(self, run: Sequence[Unit]) -> int:
        """Return the tokens left for text under the longest header of the run."""
        return min(map(self._available, {unit.block.heading for unit in run}))


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

    A heading is in the heading path of the blocks below it, so it is left out, unless no block is below it. Running
    headers and footers are left out too.
    """
    kept: list[Block] = []
    shallowest: int | None = None
    for block in reversed(document.blocks):
        if block.kind == "running_lines":
            continue
        if block.kind != "heading":
            kept.append(block)
            shallowest = None
        elif not kept or (shallowest is not None and len(block.heading) >= shallowest):
            kept.append(block)
        if block.kind == "heading":
            depth = len(block.heading)
            shallowest = depth if shallowest is None else min(depth, shallowest)
    return kept[::-1]


def sentence_units(
    document: Document, blocks: Sequence[Block], count: CountTokens, budget: TokenBudget
) -> Iterator[Unit]:
    """Yield blocks of ``UNSPLIT_KINDS`` that fit, else sentences or lines that fit, else runs of words."""

    def split(part: _Part, limit: int) -> Iterator[Unit]:
        if part.is_block:
            lines = (_Part(start, end, part.block) for start, end in _spans(document.text, part.block))
            return _measured(document.text, lines, count, budget, split)
        return _word_runs(_words(document.text, part, count, limit), limit)

    parts = _parts(document.text, blocks, budget, _spans)
    return _with_gaps(document.text, _measured(document.text, parts, count, budget, split), count)


def word_units(document: Document, blocks: Sequence[Block], count: CountTokens, budget: TokenBudget) -> Iterator[Unit]:
    """Yield blocks of ``UNSPLIT_KINDS`` that fit, else words."""

    def split(part: _Part, limit: int) -> Iterator[Unit]:
        if part.is_block:
            words = (_Part(start, end, part.block) for start, end in _word_spans(document.text, part.block))
            return _measured(document.text, words, count, budget, split)
        return iter(_split_word(document.text, part.start, part.end, part.block, count, limit))

    parts = _parts(document.text, blocks, budget, _word_spans)
    return _with_gaps(document.text, _measured(document.text, parts, count, budget, split), count)


@dataclass(frozen=True, slots=True)
class _Part:
    """Text that becomes a unit if it fits, and is split if not."""

    start: int
    end: int
    block: Block
    is_block: bool = False


def _parts(
    text: str, blocks: Sequence[Block], budget: TokenBudget, spans: Callable[[str, Block], Iterator[Span]]
) -> Iterator[_Part]:
    """Yield blocks that may stay whole, and the spans of the others."""
    for block in blocks:
        if block.kind in UNSPLIT_KINDS and block.end - block.start <= MAX_TOKEN_CHARS * budget.available(block):
            yield _Part(block.start, block.end, block, is_block=True)
        else:
            yield from (_Part(start, end, block) for start, end in spans(text, block))


def _measured(
    text: str,
    parts: Iterable[_Part],
    count: CountTokens,
    budget: TokenBudget,
    split: Callable[[_Part, int], Iterator[Unit]],
) -> Iterator[Unit]:
    """Yield the parts that fit as units, and the units of the others."""
    iterator = iter(parts)
    while batch := list(islice(iterator, BATCH_UNITS)):
        sizes = count([text[part.start : part.end] for part in batch])
        for part, tokens in zip(batch, sizes, strict=True):
            limit = budget.available(part.block)
            if tokens <= limit:
                yield Unit(part.start, part.end, tokens, part.block, part.is_block)
            else:
                yield from split(part, limit)


def _spans(text: str, block: Block) -> Iterator[Span]:
    """Yield the lines of a table or code block, or the sentences of any other block."""
    if block.kind in ("table", "code"):
        return _lines(text, block)
    return iterate_sentence_spans(text, block.start, block.end)


def _lines(text: str, block: Block) -> Iterator[Span]:
    for match in _LINE.finditer(text, block.start, block.end):
        line = match[0].rstrip()
        if line:
            yield match.start(), match.start() + len(line)


def _word_spans(text: str, block: Block) -> Iterator[Span]:
    return (match.span() for match in _WORD.finditer(text, block.start, block.end))


def _words(text: str, part: _Part, count: CountTokens, limit: int) -> Iterator[Unit]:
    """Yield the words; a word of more than ``limit`` tokens is split into parts."""
    words = _WORD.finditer(text, part.start, part.end)
    while batch := [match.span() for match in islice(words, BATCH_UNITS)]:
        for (start, end), tokens in zip(batch, count([text[a:b] for a, b in batch]), strict=True):
            if tokens <= limit:
                yield Unit(start, end, tokens, part.block)
            else:
                yield from _split_word(text, start, end, part.block, count, limit)


def _split_word(text: str, start: int, end: int, block: Block, count: CountTokens, limit: int) -> list[Unit]:
    """Split a word in half until its parts fit or are one character long."""
    tokens = count([text[start:end]])[0]
    if tokens <= limit or end - start == 1:
        return [Unit(start, end, tokens, block)]
    middle = (start + end) // 2
    return _split_word(text, start, middle, block, count, limit) + _split_word(text, middle, end, block, count, limit)


def _word_runs(words: Iterable[Unit], limit: int) -> Iterator[Unit]:
    """Yield the longest runs of words that fit, for a sentence that does not fit."""
    first: Unit | None = None
    end, total = 0, 0
    for word in words:
        if first is not None and total + word.tokens > limit:
            yield replace(first, end=end, tokens=total)
            first, total = None, 0
        first = first or word
        end, total = word.end, total + word.tokens
    if first is not None:
        yield replace(first, end=end, tokens=total)


def _with_gaps(text: str, units: Iterable[Unit], count: CountTokens) -> Iterator[Unit]:
    """Yield the units with the tokens of the text before each."""
    iterator, end = iter(units), 0
    while batch := list(islice(iterator, BATCH_UNITS)):
        gaps = [text[before : unit.start] for before, unit in zip([end, *(u.end for u in batch)], batch, strict=False)]
        filled = [index for index, gap in enumerate(gaps) if gap.strip()]
        tokens = dict(zip(filled, count([gaps[index] for index in filled]), strict=True))
        for index, (unit, gap) in enumerate(zip(batch, gaps, strict=True)):
            yield replace(unit, gap_tokens=tokens.get(index, 0), gap_start=unit.start - len(gap.lstrip()))
        end = batch[-1].end
