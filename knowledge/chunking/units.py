"""What every chunking is made of: sentences, words, and tables and code blocks that stay whole. Pure."""

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
"""A header may take this share of a chunk's tokens."""
WHOLE = ("table", "code", "message")
"""Blocks that are never cut where they fit."""
_WORD = re.compile(r"\S{1,200}")


@dataclass(frozen=True, slots=True)
class Unit:
    """What is never cut: ``document.text[start:end]``.

    ``whole``: a table, code block or message in full. ``lead`` are the tokens of what stands between the unit before
    and this one, such as a heading, and ``led_from`` is where that begins: it counts where both are in one chunk.
    """

    start: int
    end: int
    tokens: int
    block: Block
    whole: bool = False
    lead: int = 0
    led_from: int = 0


@dataclass(frozen=True, slots=True)
class Ruler:
    """How many tokens the text of a chunk may have. A header counts, up to its share."""

    tokens: int
    title: str
    headers: Mapping[str, int]

    @classmethod
    def of(cls, document: Document, blocks: Sequence[Block], count: CountTokens, tokens: int) -> Ruler:
        """``tokens`` for header and text together."""
        fronts = sorted({header(document.title, block.heading) for block in blocks})
        return cls(tokens, document.title, dict(zip(fronts, count(fronts), strict=True)))

    def room(self, block: Block) -> int:
        """The tokens that are left beside the header of the block."""
        return self.tokens - min(int(self.tokens * HEADER_SHARE), self.headers[header(self.title, block.heading)])

    def room_of(self, run: Sequence[Unit]) -> int:
        """The tokens that are left beside the longest header of the run."""
        return min(self.room(block) for block in {unit.block for unit in run})


def leaves(first: Unit, other: Unit) -> bool:
    """Whether a chunk of both has not the whole heading of the first: then its text begins with that heading."""
    return other.block.heading[: len(first.block.heading)] != first.block.heading


def size(run: Sequence[Unit]) -> int:
    """The tokens of the text of a chunk from the first unit to the last."""
    blocks = {unit.block: unit for unit in run}.values()
    led = any(leaves(run[0], unit) for unit in blocks)
    return sum(unit.tokens + unit.lead for unit in run) - (0 if led else run[0].lead)


def content(document: Document) -> list[Block]:
    """The blocks that are cut into chunks. A heading lives on in the path of what stands below it; one that nothing
    stands below is content itself."""
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


def sentence_units(document: Document, blocks: Sequence[Block], count: CountTokens, ruler: Ruler) -> list[Unit]:
    """Whole tables and code blocks that fit; else sentences and lines; else runs of words."""
    whole = _wholes(document, blocks, count, ruler)
    units: list[Unit] = []
    spans = [(block, span) for block in blocks if block not in whole for span in _spans(document.text, block)]
    sizes = iter(count([document.text[start:end] for _, (start, end) in spans]))
    for block in blocks:
        if block in whole:
            units.append(Unit(block.start, block.end, whole[block], block, whole=True))
            continue
        for start, end in _spans(document.text, block):
            tokens = next(sizes)
            if tokens <= ruler.room(block):
                units.append(Unit(start, end, tokens, block))
            else:
                units += _runs(_words(document.text, start, end, block, count, ruler.room(block)), ruler.room(block))
    return _led(document.text, units, count)


def word_units(document: Document, blocks: Sequence[Block], count: CountTokens, ruler: Ruler) -> list[Unit]:
    """Whole tables and code blocks that fit; else words."""
    whole = _wholes(document, blocks, count, ruler)
    units: list[Unit] = []
    for block in blocks:
        if block in whole:
            units.append(Unit(block.start, block.end, whole[block], block, whole=True))
        else:
            units += _words(document.text, block.start, block.end, block, count, ruler.room(block))
    return _led(document.text, units, count)


def _wholes(document: Document, blocks: Sequence[Block], count: CountTokens, ruler: Ruler) -> dict[Block, int]:
    """The tables, code blocks and messages that fit, and their tokens."""
    candidates = [block for block in blocks if block.kind in WHOLE]
    sizes = count([document.text[block.start : block.end] for block in candidates])
    return {block: used for block, used in zip(candidates, sizes, strict=True) if used <= ruler.room(block)}


def _spans(text: str, block: Block) -> list[Span]:
    """The lines of a table or of code, the sentences of anything else."""
    if block.kind in ("table", "code"):
        return list(_lines(text, block))
    return sentence_spans(text, block.start, block.end)


def _lines(text: str, block: Block) -> Iterator[Span]:
    start = block.start
    for line in text[block.start : block.end].splitlines(keepends=True):
        if line.strip():
            yield start, start + len(line.rstrip())
        start += len(line)


def _words(text: str, start: int, end: int, block: Block, count: CountTokens, most: int) -> list[Unit]:
    """The words, those of more than ``most`` tokens in pieces."""
    words = [match.span() for match in _WORD.finditer(text, start, end)]
    units: list[Unit] = []
    for (a, b), tokens in zip(words, count([text[a:b] for a, b in words]), strict=True):
        units += [Unit(a, b, tokens, block)] if tokens <= most else _pieces(text, a, b, block, count, most)
    return units


def _pieces(text: str, start: int, end: int, block: Block, count: CountTokens, most: int) -> list[Unit]:
    """A word halved until its pieces fit, or are one character."""
    tokens = count([text[start:end]])[0]
    if tokens <= most or end - start == 1:
        return [Unit(start, end, tokens, block)]
    middle = (start + end) // 2
    return _pieces(text, start, middle, block, count, most) + _pieces(text, middle, end, block, count, most)


def _runs(words: Sequence[Unit], most: int) -> Iterator[Unit]:
    """Runs of words that fit, for a sentence that does not."""
    begin, total = 0, 0
    for place, word in enumerate(words):
        if total and total + word.tokens > most:
            yield replace(words[begin], end=words[place - 1].end, tokens=total)
            begin, total = place, 0
        total += word.tokens
    if words:
        yield replace(words[begin], end=words[-1].end, tokens=total)


def _led(text: str, units: Sequence[Unit], count: CountTokens) -> list[Unit]:
    """The units with what stands before each."""
    ends = [0, *(unit.end for unit in units)]
    gaps = [text[end : unit.start] for end, unit in zip(ends, units, strict=False)]
    wanted = [place for place, gap in enumerate(gaps) if gap.strip()]
    leads = dict(zip(wanted, count([gaps[place] for place in wanted]), strict=True))
    return [
        replace(unit, lead=leads.get(place, 0), led_from=unit.start - len(gap.lstrip()))
        for place, (unit, gap) in enumerate(zip(units, gaps, strict=True))
    ]
