"""Shortens passages to the sentences that matter for a question. Rewrites nothing, so offsets stay exact. Does no I/O.

Code and tables are never shortened. A sentence's score depends on the question's terms in it and next to it, where rare
terms count more, on its cosine to the question if known, and on the rank of its passage. All passages share one budget.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from knowledge.text.search_terms import main_terms, query_terms
from knowledge.text.sentence_splitter import sentence_spans
from knowledge.types.search_results import Passage

LEFT_OUT = " […] "
"""Marks where sentences of a passage are left out."""
NEIGHBOR_WEIGHT = 0.5
"""The weight of a neighbor's score for a sentence; that of the neighbor after it is half of that."""
COVERAGE_WEIGHT = 0.5
"""The weight, for each sentence, of the share of the question that its whole passage covers."""
RANK_WEIGHT = 0.15
"""The weight of the passage's rank: the n-th passage gets the n-th part."""
TYPICAL_TERMS = 40
"""Reference length in terms: longer sentences count less and shorter ones more, as in BM25."""
COSINE_WEIGHT = 0.05
"""The weight of each standard deviation that a sentence's cosine is above the mean of all."""
REPETITION_PENALTY = 0.2
"""Subtracted from a sentence's score if the same words occurred before."""

_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
_ROWS = re.compile(r"(?:^(?:[ \t]*\||[^\n]*\S[ \t]+\|[ \t]+\S|[^\n\t]*\t).*(?:\n|\Z)){2,}", re.MULTILINE)
_CODE_LINE = re.compile(
    r"^(?:\s{2,}\S.*[(){}\[\]=;:,]\s*$|.*[;{}]\s*$|\s*[)\]}]+[;,]?\s*$|\s*(?://|#!|#include\b|/\*|\*)\s?.*$"
    r"|\s*(?:def|class|import|from|return|if|for|while|fn|func|let|const|var|public|private|use|struct|impl)\b"
    r".*[(:;{]\s*.*$)"
)
CODE_SHARE = 0.35
"""A text with at least this share of code lines counts as code."""


@dataclass(frozen=True, slots=True)
class Extract:
    """The kept parts of a passage: ordered, half-open spans of its text."""

    passage: Passage
    spans: tuple[tuple[int, int], ...]

    @property
    def text(self) -> str:
        """The kept text, with a mark wherever text between two spans is left out."""
        shown, last = "", 0
        for start, end in self.spans:
            between = self.passage.text[last:start]
            shown += (LEFT_OUT if between.strip() else between) + self.passage.text[start:end]
            last = end
        return shown + (LEFT_OUT.rstrip() if self.passage.text[last:].strip() else "")


@dataclass(slots=True)
class _Unit:
    """A sentence, or a table or code block, which is ``indivisible`` and always kept.

    ``passage`` is the index of its passage; ``start`` and ``end`` are offsets in the passage's text.
    """

    passage: int
    start: int
    end: int
    indivisible: bool
    size: int = 0
    score: float = 0.0


def compress(
    question: str, passages: Sequence[Passage], *, share: float, count: Callable[[str], int] = len
) -> tuple[Extract, ...]:
    """Return the most relevant sentences, up to ``share`` of the size of all passages. Passages are given best first.

    ``count`` measures a text, in characters or in the tokens of a model. The extracts keep the order of the passages.
    Passages without any kept text are left out. Tables and code are kept even if they exceed the share by themselves.
    """
    units = [unit for index, passage in enumerate(passages) for unit in _units(index, passage.text)]
    for unit in units:
        unit.size = count(passages[unit.passage].text[unit.start : unit.end])
    _score(question, passages, units)
    chosen = _choose(units, share * sum(unit.size for unit in units), count(LEFT_OUT))
    return tuple(
        Extract(passage, spans)
        for index, passage in enumerate(passages)
        if (spans := _join_spans(passage.text, sorted((u.start, u.end) for u in chosen if u.passage == index)))
    )


def _choose(units: Sequence[_Unit], budget: float, mark_size: int) -> list[_Unit]:
    """Return tables and code, then the best sentences that fit, each together with the marks that it needs."""
    kept = {index for index, unit in enumerate(units) if unit.indivisible}
    budget -= sum(units[index].size for index in kept)
    shown = {units[index].passage for index in kept}
    for index in sorted(set(range(len(units))) - kept, key=lambda index: (-units[index].score, index)):
        unit = units[index]
        closed_sides = sum(not _same_passage(units, index, other) or other in kept for other in (index - 1, index + 1))
        marks = 2 - closed_sides - (unit.passage in shown)
        if unit.size + marks * mark_size <= budget:
            kept.add(index)
            shown.add(unit.passage)
            budget -= unit.size + marks * mark_size
    return [units[index] for index in kept]


def is_code(text: str) -> bool:
    """Return whether the text is source code without fences."""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 2 and sum(bool(_CODE_LINE.match(line)) for line in lines) >= CODE_SHARE * len(lines)


def _units(passage: int, text: str) -> list[_Unit]:
    """Split a passage into sentences, tables and code blocks."""
    if is_code(text):
        return [_Unit(passage, 0, len(text), True)]
    blocks = sorted(match.span() for pattern in (_FENCE, _ROWS) for match in pattern.finditer(text))
    units: list[_Unit] = []
    position = 0
    for start, end in blocks:
        if start < position:
            continue
        units += _sentences(passage, text, position, start)
        units.append(_Unit(passage, start, end, True))
        position = end
    return units + _sentences(passage, text, position, len(text))


def _sentences(passage: int, text: str, start: int, end: int) -> list[_Unit]:
    return [_Unit(passage, a, b, False) for a, b in sentence_spans(text, start, end)]


def _score(question: str, passages: Sequence[Passage], units: Sequence[_Unit]) -> None:
    """Set the score of each unit."""
    terms = [Counter(main_terms(passages[unit.passage].text[unit.start : unit.end])) for unit in units]
    weights = _term_weights(query_terms(question), terms)
    total = sum(weights.values()) or 1.0
    own = [_match(weights, found) / total for found in terms]
    coverage = [_coverage(weights, index, units, terms) / total for index in range(len(passages))]
    deviations, repeated = _cosine_deviations(passages, units), _repetitions(passages, units)
    for index, unit in enumerate(units):
        near = max((own[i] for i in (index - 1, index + 1) if _same_passage(units, index, i)), default=0.0)
        further = max((own[i] for i in (index - 2, index + 2) if _same_passage(units, index, i)), default=0.0)
        unit.score = (
            own[index]
            + NEIGHBOR_WEIGHT * near
            + NEIGHBOR_WEIGHT / 2 * further
            + COVERAGE_WEIGHT * coverage[unit.passage]
            + RANK_WEIGHT / (1 + unit.passage)
            + COSINE_WEIGHT * deviations[index]
            - REPETITION_PENALTY * repeated[index]
        )


def _coverage(
    weights: Mapping[str, float], passage: int, units: Sequence[_Unit], terms: Sequence[Counter[str]]
) -> float:
    """Return the weight of the question's terms that occur anywhere in the passage."""
    found = [unit_terms for unit_terms, unit in zip(terms, units, strict=True) if unit.passage == passage]
    return sum(weight for term, weight in weights.items() if any(term in unit_terms for unit_terms in found))


def _cosine_deviations(passages: Sequence[Passage], units: Sequence[_Unit]) -> list[float]:
    """Return how many standard deviations each unit's cosine is above the mean of all; 0 if it is unknown."""
    cosines = [_cosine(passages[unit.passage], unit) for unit in units]
    known = [cosine for cosine in cosines if cosine is not None]
    if not known:
        return [0.0] * len(units)
    mean, deviation = statistics.fmean(known), statistics.pstdev(known) or 1.0
    return [0.0 if cosine is None else (cosine - mean) / deviation for cosine in cosines]


def _cosine(passage: Passage, unit: _Unit) -> float | None:
    """Return the mean cosine over the unit's characters; None if it is unknown."""
    start, end = passage.start + unit.start, passage.start + unit.end
    shared = [(min(end, one.end) - max(start, one.start), one.cosine) for one in passage.sentences]
    inside = [(length, cosine) for length, cosine in shared if length > 0]
    length = sum(length for length, _ in inside)
    return sum(part * cosine for part, cosine in inside) / length if length else None


def _repetitions(passages: Sequence[Passage], units: Sequence[_Unit]) -> list[bool]:
    """Return, for each unit, whether the same words occurred before."""
    seen: set[str] = set()
    repeated = []
    for unit in units:
        words = " ".join(passages[unit.passage].text[unit.start : unit.end].split()).casefold()
        repeated.append(words in seen)
        seen.add(words)
    return repeated


def _same_passage(units: Sequence[_Unit], one: int, other: int) -> bool:
    return 0 <= other < len(units) and units[one].passage == units[other].passage


def _term_weights(question_terms: Sequence[str], terms: Sequence[Counter[str]]) -> Mapping[str, float]:
    """Return the idf of each of the question's terms among these units."""
    frequency = Counter(term for one in terms for term in one)
    return {term: math.log1p((len(terms) - frequency[term] + 0.5) / (frequency[term] + 0.5)) for term in question_terms}


def _match(weights: Mapping[str, float], found: Counter[str]) -> float:
    """Return the BM25 score of a unit with these terms."""
    length = 0.25 + 0.75 * sum(found.values()) / TYPICAL_TERMS
    return sum(
        weight * 2.2 * found[term] / (found[term] + 1.2 * length) for term, weight in weights.items() if term in found
    )


def _join_spans(text: str, spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join spans that only have white space between them."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)
