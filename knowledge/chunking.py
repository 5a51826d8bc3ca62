"""Documents into chunks. Pure: the ruler that counts tokens is an argument.

A chunk is a run of whole sentences up to a number of tokens, inside one section where that is long enough to stand
alone. Tables and code stay whole where they fit, and are cut at lines where they do not. The header, title and heading
path, stands in front of a chunk when it is embedded and indexed; it is no part of its text and offsets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from knowledge.sentences import sentence_spans
from knowledge.types import Block, Chunk, Document

CountTokens = Callable[[Sequence[str]], list[int]]

SMALL_SHARE = 0.25
"""A section shorter than this share of a chunk is joined with the section after it."""
HEADER_SHARE = 0.25
"""A header may take this share of a chunk's tokens."""
_WORDS = re.compile(r"\S{1,200}\s*")


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is never cut: a sentence, a row, a line of code, or a whole table or code block."""

    start: int
    end: int
    tokens: int
    block: Block


def header(title: str, heading: Sequence[str]) -> str:
    """What stands in front of a chunk: title and heading path, without saying anything twice in a row."""
    parts: list[str] = []
    for part in (title, *heading):
        if part and (not parts or part.casefold() != parts[-1].casefold()):
            parts.append(part)
    return " > ".join(parts)


def indexed_text(title: str, heading: Sequence[str], text: str) -> str:
    """A chunk as it is embedded and indexed."""
    front = header(title, heading)
    return f"{front}\n{text}" if front else text


def chunk(document: Document, *, count: CountTokens, tokens: int = 256) -> list[Chunk]:
    """The chunks of a document, in order: ``document.text[start:end] == text``, no two of them overlap.

    Header and text together have at most ``tokens`` tokens, as far as one word allows it.
    """
    blocks = [block for block in document.blocks if block.kind != "heading"] or list(document.blocks)
    fronts = sorted({header(document.title, block.heading) for block in blocks})
    most = int(tokens * HEADER_SHARE)
    room = {front: tokens - min(most, used) for front, used in zip(fronts, count(fronts), strict=True)}

    def limit(block: Block) -> int:
        return room[header(document.title, block.heading)]

    units = list(_units(document, blocks, count, limit))
    return [
        _chunk(document, position, run)
        for position, run in enumerate(_pack(units, limit))
        if run[-1].end > run[0].start
    ]


def _units(
    document: Document, blocks: Sequence[Block], count: CountTokens, limit: Callable[[Block], int]
) -> Iterator[_Unit]:
    """Whole tables and code blocks that fit; else sentences and lines; else runs of words."""
    spans: list[tuple[Block, int, int]] = []
    wholes = [block for block in blocks if block.kind in ("table", "code", "message")]
    sizes = dict(zip(wholes, count([document.text[b.start : b.end] for b in wholes]), strict=True))
    for block in blocks:
        if block in sizes and sizes[block] <= limit(block):
            spans.append((block, block.start, block.end))
        elif block.kind in ("table", "code"):
            spans += ((block, start, end) for start, end in _lines(document.text, block))
        else:
            spans += ((block, start, end) for start, end in sentence_spans(document.text, block.start, block.end))
    counts = count([document.text[start:end] for _, start, end in spans])
    for (block, start, end), tokens in zip(spans, counts, strict=True):
        if tokens <= limit(block):
            yield _Unit(start, end, tokens, block)
        else:
            yield from _words(document.text, start, end, block, count, limit(block))


def _lines(text: str, block: Block) -> Iterator[tuple[int, int]]:
    start = block.start
    for line in text[block.start : block.end].splitlines(keepends=True):
        stop = start + len(line)
        if line.strip():
            yield start, start + len(line.rstrip())
        start = stop


def _words(text: str, start: int, end: int, block: Block, count: CountTokens, limit: int) -> Iterator[_Unit]:
    """Runs of words that fit, for text that has no sentences."""
    words = [match.span() for match in _WORDS.finditer(text, start, end)]
    begin, total = start, 0
    for (word, stop), tokens in zip(words, count([text[a:b] for a, b in words]), strict=True):
        if total and total + tokens > limit:
            yield _Unit(begin, word, total, block)
            begin, total = word, 0
        total += tokens
        if stop == words[-1][1]:
            yield _Unit(begin, end, total, block)


def _pack(units: Sequence[_Unit], limit: Callable[[Block], int]) -> Iterator[list[_Unit]]:
    run: list[_Unit] = []
    total = 0
    for unit in units:
        most = min(limit(unit.block), limit(run[0].block)) if run else 0
        ends_section = bool(run) and unit.block.heading != run[-1].block.heading
        if run and (total + unit.tokens > most or (ends_section and total >= SMALL_SHARE * most)):
            yield run
            run, total = [], 0
        run.append(unit)
        total += unit.tokens
    if run:
        yield run


def _chunk(document: Document, position: int, run: Sequence[_Unit]) -> Chunk:
    start, end = run[0].start, run[-1].end
    text = document.text[start:end].rstrip()
    heading = run[0].block.heading
    for unit in run[1:]:
        heading = _shared(heading, unit.block.heading)
    return Chunk(position, text, start, start + len(text), heading, run[0].block.page)


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]


def moved(chunk: Chunk, position: int) -> Chunk:
    """The same chunk at another place in the order."""
    return replace(chunk, position=position)
