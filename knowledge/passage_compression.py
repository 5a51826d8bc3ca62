"""Passages cut down to the sentences that speak to the question. Pure; nothing is rewritten, offsets stay exact.

Code and tables are never cut. What is left out was the least likely to matter: a sentence counts by the question's
terms in it and beside it, rare terms more, by how near it is in meaning where that is known, and by how well its
passage was found. All passages share one budget.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from knowledge.search_terms import document_terms, query_terms
from knowledge.sentence_splitter import sentence_spans
from knowledge.types import Passage

LEFT_OUT = " […] "
"""Stands where sentences of a passage are left out."""
BESIDE = 0.5
"""What a neighbour's score counts for a sentence; the neighbour's neighbour counts half of that."""
OF_PASSAGE = 0.5
"""What the passage's own coverage of the question counts for each of its sentences."""
RANK = 0.15
"""What being found first counts; the n-th passage gets the n-th part."""
LENGTH = 40
"""Terms of a sentence beside which longer ones count less."""
MEANING = 0.05
"""What each deviation counts that a sentence's cosine stands above the mean of all."""
REPEATED = 0.2
"""What a sentence loses that stands before in the same words: it tells nothing more."""

_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
_ROWS = re.compile(r"(?:^(?:[ \t]*\||[^\n]*\S[ \t]+\|[ \t]+\S|[^\n\t]*\t).*(?:\n|\Z)){2,}", re.MULTILINE)
_CODE_LINE = re.compile(
    r"^(?:\s{2,}\S.*[(){}\[\]=;:,]\s*$|.*[;{}]\s*$|\s*[)\]}]+[;,]?\s*$|\s*(?://|#!|#include\b|/\*|\*)\s?.*$"
    r"|\s*(?:def|class|import|from|return|if|for|while|fn|func|let|const|var|public|private|use|struct|impl)\b"
    r".*[(:;{]\s*.*$)"
)
CODE_SHARE = 0.35
"""A passage with this share of lines of code is code."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What is kept of a passage: spans of its text in order, half open."""

    passage: Passage
    spans: tuple[tuple[int, int], ...]

    @property
    def text(self) -> str:
        """What is kept, with a mark wherever something between is not."""
        shown, last = "", 0
        for start, end in self.spans:
            between = self.passage.text[last:start]
            shown += (LEFT_OUT if between.strip() else between) + self.passage.text[start:end]
            last = end
        return shown + (LEFT_OUT.rstrip() if self.passage.text[last:].strip() else "")


@dataclass(slots=True)
class _Unit:
    """A sentence, or a table or code block as a whole."""

    passage: int
    start: int
    end: int
    whole: bool
    size: int = 0
    score: float = 0.0


def compress(
    question: str, passages: Sequence[Passage], *, share: float, count: Callable[[str], int] = len
) -> tuple[Extract, ...]:
    """The sentences that matter most, as many as ``share`` of the passages holds. Passages come best first.

    ``count`` measures a text: by its characters, or in the tokens of a model. Every passage of which something is kept
    stands in its place; a passage of which nothing is kept is left out. Tables and code stay even where they alone are
    more than the share.
    """
    units = [unit for place, one in enumerate(passages) for unit in _units(place, one.text)]
    for unit in units:
        unit.size = count(passages[unit.passage].text[unit.start : unit.end])
    _score(question, passages, units)
    chosen = _chosen(units, share * sum(unit.size for unit in units), count(LEFT_OUT))
    return tuple(
        Extract(passage, spans)
        for place, passage in enumerate(passages)
        if (spans := _joined(passage.text, sorted((u.start, u.end) for u in chosen if u.passage == place)))
    )


def _chosen(units: Sequence[_Unit], room: float, mark: int) -> list[_Unit]:
    """Tables and code, then the best sentences that fit, each with the marks that then stand beside it."""
    kept = {place for place, unit in enumerate(units) if unit.whole}
    room -= sum(units[place].size for place in kept)
    shown = {units[place].passage for place in kept}
    for place in sorted(set(range(len(units))) - kept, key=lambda place: (-units[place].score, place)):
        closed = sum(not _beside(units, place, other) or other in kept for other in (place - 1, place + 1))
        marks = 2 - closed - (units[place].passage in shown)
        if units[place].size + marks * mark <= room:
            kept.add(place)
            shown.add(units[place].passage)
            room -= units[place].size + marks * mark
    return [units[place] for place in kept]


def is_code(text: str) -> bool:
    """Whether the text is source code without fences."""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 2 and sum(bool(_CODE_LINE.match(line)) for line in lines) >= CODE_SHARE * len(lines)


def _units(place: int, text: str) -> list[_Unit]:
    if is_code(text):
        return [_Unit(place, 0, len(text), True)]
    kept = sorted(match.span() for pattern in (_FENCE, _ROWS) for match in pattern.finditer(text))
    units: list[_Unit] = []
    position = 0
    for start, end in kept:
        if start < position:
            continue
        units += _sentences(place, text, position, start)
        units.append(_Unit(place, start, end, True))
        position = end
    return units + _sentences(place, text, position, len(text))


def _sentences(place: int, text: str, start: int, end: int) -> list[_Unit]:
    return [_Unit(place, a, b, False) for a, b in sentence_spans(text, start, end)]


def _score(question: str, passages: Sequence[Passage], units: Sequence[_Unit]) -> None:
    terms = [Counter(document_terms(passages[unit.passage].text[unit.start : unit.end])) for unit in units]
    asked = _weights(query_terms(question), terms)
    total = sum(asked.values()) or 1.0
    own = [_match(asked, found) / total for found in terms]
    covered = [
        sum(w for t, w in asked.items() if any(t in f for f, u in zip(terms, units, strict=True) if u.passage == place))
        / total
        for place in range(len(passages))
    ]
    meaning, told = _meanings(passages, units), _told_before(passages, units)
    for place, unit in enumerate(units):
        near = max((own[i] for i in (place - 1, place + 1) if _beside(units, place, i)), default=0.0)
        further = max((own[i] for i in (place - 2, place + 2) if _beside(units, place, i)), default=0.0)
        unit.score = (
            own[place]
            + BESIDE * near
            + BESIDE / 2 * further
            + OF_PASSAGE * covered[unit.passage]
            + RANK / (1 + unit.passage)
            + MEANING * meaning[place]
            - REPEATED * told[place]
        )


def _meanings(passages: Sequence[Passage], units: Sequence[_Unit]) -> list[float]:
    """How many deviations each unit's cosine stands above the mean of all; 0 where it is not known."""
    cosines = [_cosine(passages[unit.passage], unit) for unit in units]
    known = [cosine for cosine in cosines if cosine is not None]
    if not known:
        return [0.0] * len(units)
    mean, deviation = statistics.fmean(known), statistics.pstdev(known) or 1.0
    return [0.0 if cosine is None else (cosine - mean) / deviation for cosine in cosines]


def _cosine(passage: Passage, unit: _Unit) -> float | None:
    """The mean cosine of the unit's characters."""
    start, end = passage.start + unit.start, passage.start + unit.end
    shared = [(min(end, one.end) - max(start, one.start), one.cosine) for one in passage.sentences]
    inside = [(length, cosine) for length, cosine in shared if length > 0]
    length = sum(length for length, _ in inside)
    return sum(part * cosine for part, cosine in inside) / length if length else None


def _told_before(passages: Sequence[Passage], units: Sequence[_Unit]) -> list[bool]:
    seen: set[str] = set()
    told = []
    for unit in units:
        words = " ".join(passages[unit.passage].text[unit.start : unit.end].split()).casefold()
        told.append(words in seen)
        seen.add(words)
    return told


def _beside(units: Sequence[_Unit], one: int, other: int) -> bool:
    return 0 <= other < len(units) and units[one].passage == units[other].passage


def _weights(asked: Sequence[str], terms: Sequence[Counter[str]]) -> Mapping[str, float]:
    """How telling each of the question's terms is among these sentences."""
    having = Counter(term for one in terms for term in one)
    return {term: math.log1p((len(terms) - having[term] + 0.5) / (having[term] + 0.5)) for term in asked}


def _match(asked: Mapping[str, float], found: Counter[str]) -> float:
    length = 0.25 + 0.75 * sum(found.values()) / LENGTH
    return sum(
        weight * 2.2 * found[term] / (found[term] + 1.2 * length) for term, weight in asked.items() if term in found
    )


def _joined(text: str, spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Spans with nothing but white space between them as one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)
