"""Selects the pieces of passages that answer a question, to be quoted. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.engine.answer.claim_support import says_nothing_alone
from bot.engine.ports.llm import PromptPart
from bot.llm.quoting import question_kinds
from bot.llm.quoting.meaning_weight import meaning_weight
from bot.llm.quoting.quotable_pieces import Kind
from bot.llm.quoting.sentence_ranking import (
    Unit,
    begins_by_referring_back,
    group_score,
    key_sentences,
    refers_back,
    scores_of,
    term_weights,
    terms,
    units_of,
)
from knowledge.question_part_merging import holds
from knowledge.search.followup_queries import carried_words
from knowledge.types.search_results import Passage

MAX_QUOTES = 4
MAX_LISTED = 8
"""Rows of one table, or items of one list, that are quoted together for a question that asks for all of them."""
MAX_TELLING_CHARS = 900
"""The most characters of the quotes that stand for a summary."""
_GOOD_QUOTES = 2
_MIN_SCORE_SHARE = 0.72
"""The second quote must score at least this share of the best one."""
_MIN_SCORE_SHARE_REPEATED = 0.9
"""The share after two quotes, for a quote that adds no word of the question."""
_MIN_SCORE_SHARE_ADDING = 0.5
"""The share for a quote that adds words of the question."""
_MIN_GAIN = 0.12
"""The share of the question's words from which a quote adds some."""
_MAX_SENTENCES_BEFORE = 2
_MAX_REFERRING_CHARS = 500
"""Limits of a quote that refers back: sentences before the one that refers, and characters of the whole quote."""
_MIN_GROUP_SHARE = 0.8
"""A table or list must score at least this share of the best piece."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A literal piece of passage number ``n``, counted from 1. A row has its table's ``header``."""

    n: int
    text: str
    kind: Kind
    header: str = ""


def best_quotes(question: str, passages: Sequence[Passage], carried: Sequence[str] = ()) -> list[Quote]:
    """Return the pieces that answer the question best, the best first: one to four, or a whole table or list.

    ``carried`` are words of earlier questions that a follow-up question leans on. They weigh less than its own words.
    If neither words nor meaning are shared, return nothing. Of attached files, which the asker chose, return the
    openings then.
    """
    units = units_of(passages)
    if not units:
        return []
    weights = term_weights(question, carried, units)
    meaning = meaning_weight(question, passages)
    scores = scores_of(question, weights, units, meaning)
    chosen = _all_of_a_kind(weights, units, scores, meaning) if question_kinds.asks_for_all(question) else []
    chosen = chosen or _with_followers(_choose(weights, units, scores), units)
    if not chosen and not passages[units[0].n - 1].document_id:
        chosen = _opening(passages, units)
    quotes = [Quote(unit.n, _quoted(unit, units, passages), unit.piece.kind, unit.piece.header) for unit in chosen]
    return [quote for place, quote in enumerate(quotes) if not _is_repeated(quote, quotes[:place], quotes)]


def quotes_by_part(
    parts: Sequence[PromptPart], passages: Sequence[Passage], carried: Sequence[str] = ()
) -> list[tuple[str, list[Quote]]]:
    """Return the label and the quotes of each part of a question, from what it found and ``passages`` hold.

    Nothing if fewer than two parts have quotes of their own: then what answers one part answers the others too.
    """
    groups: list[tuple[str, list[Quote]]] = []
    before: tuple[str, ...] = ()
    for part in parts:
        found = [
            replace(quote, n=n)
            for quote in best_quotes(part.text, part.passages, (*carried, *carried_words(part.text, before)))
            for n, passage in enumerate(passages, 1)
            if holds(passage, part.passages[quote.n - 1])
        ]
        seen = {quote for _, quotes in groups for quote in quotes}
        groups.append((part.label, [quote for quote in found if quote not in seen]))
        before = (part.text,)
    answered = [group for group in groups if group[1]]
    return answered if len(answered) > 1 else []


def _quoted(unit: Unit, units: Sequence[Unit], passages: Sequence[Passage]) -> str:
    """Return the words to quote. A bare “Yes.” is quoted with the question that it answers.

    A sentence that begins by referring back, as “Ten of them …”, is quoted with the sentences that it refers to.
    """
    piece = unit.piece
    if piece.question:
        return f"{piece.question} {piece.text}" if says_nothing_alone(piece.text) else piece.text
    first = unit
    if begins_by_referring_back(piece.text):
        while first.place and unit.place - first.place < _MAX_SENTENCES_BEFORE and refers_back(first.piece.text):
            before = units[first.place - 1]
            if (before.n, before.piece.block, before.piece.kind) != (unit.n, piece.block, "sentence"):
                break
            first = before
    start, end = first.piece.start, piece.start + len(piece.text)
    return passages[unit.n - 1].text[start:end] if end - start <= _MAX_REFERRING_CHARS else piece.text


def _is_repeated(quote: Quote, earlier: Sequence[Quote], quotes: Sequence[Quote]) -> bool:
    """Return whether a longer quote of the passage has these words, or an earlier one is the same."""
    longer = [other for other in quotes if other.n == quote.n and len(other.text) > len(quote.text)]
    return quote in earlier or any(quote.text in other.text for other in longer)


def telling_quotes(passages: Sequence[Passage]) -> list[Quote]:
    """Return the pieces that share the most words with the others, in order, one of each passage."""
    quotes: dict[int, Quote] = {}
    for text in key_sentences([passage.text for passage in passages], MAX_TELLING_CHARS):
        n = next((at for at, passage in enumerate(passages, 1) if text in passage.text and at not in quotes), None)
        if n is not None:
            quotes[n] = Quote(n, text, "sentence")
    return [quotes[n] for n in sorted(quotes)]


def _all_of_a_kind(
    weights: Mapping[str, float], units: Sequence[Unit], scores: Sequence[float], meaning: float
) -> list[Unit]:
    """Return the rows of the table, or items of the list, that is what the question asks for; empty if none is."""
    groups: dict[tuple[int, int, Kind], list[Unit]] = {}
    for unit in units:
        if unit.piece.kind in ("row", "item"):
            groups.setdefault((unit.n, unit.piece.block, unit.piece.kind), []).append(unit)
    scored = [
        (group_score(group, weights, meaning), group) for group in groups.values() if 2 <= len(group) <= MAX_LISTED
    ]
    best, chosen = max(scored, key=lambda pair: pair[0], default=(0.0, []))
    return chosen if best > max(scores) * _MIN_GROUP_SHARE else []


def _choose(weights: Mapping[str, float], units: Sequence[Unit], scores: Sequence[float]) -> list[Unit]:
    """Return the best unit, then units that cover further words of the question or score nearly as well.

    What is superseded is quoted only if nothing in force answers better.
    """
    best = max(scores)
    if not best:
        return []
    first = units[scores.index(best)]
    if first.piece.question and weights.keys() <= set(terms(first.piece.question)):
        # The document asks this very question: its answer is the answer.
        return [unit for unit in units if (unit.n, unit.piece.question) == (first.n, first.piece.question)][:MAX_QUOTES]
    chosen: list[Unit] = []
    covered = dict.fromkeys(weights, 0.0)
    for unit, score in sorted(zip(units, scores, strict=True), key=lambda pair: -pair[1]):
        gain = sum(weight * max(0.0, unit.covers(term) - covered[term]) for term, weight in weights.items())
        repeated = _MIN_SCORE_SHARE if len(chosen) < _GOOD_QUOTES else _MIN_SCORE_SHARE_REPEATED
        if unit.superseded and not first.superseded:
            continue
        if score < best * (_MIN_SCORE_SHARE_ADDING if gain >= _MIN_GAIN else repeated):
            continue
        chosen.append(unit)
        covered = {term: max(value, unit.covers(term)) for term, value in covered.items()}
        if len(chosen) == MAX_QUOTES:
            break
    return chosen


def _opening(passages: Sequence[Passage], units: Sequence[Unit]) -> list[Unit]:
    """Return the first units of each attached file."""
    sources = list(dict.fromkeys(passages[unit.n - 1].source for unit in units))[:MAX_QUOTES]
    per_source = MAX_QUOTES // len(sources)
    openings = [[unit for unit in units if passages[unit.n - 1].source == source][:per_source] for source in sources]
    return [unit for opening in openings for unit in opening]


def _with_followers(chosen: Sequence[Unit], units: Sequence[Unit]) -> list[Unit]:
    """Return the chosen units, with the code or items after a sentence that announces them with a colon.

    A list that the best unit announces is quoted whole, unless it is long.
    """
    result: dict[int, Unit] = {}
    for unit in chosen:
        followers = _announced_by(unit, units)
        whole = unit is chosen[0] and len(followers) <= MAX_LISTED
        room = max(0, MAX_QUOTES - len(result))
        result |= {one.place: one for one in ([unit, *followers] if whole else [unit, *followers][:room])}
    return list(result.values())


def _announced_by(unit: Unit, units: Sequence[Unit]) -> list[Unit]:
    """Return the code or the items that a sentence or item announces with a colon at its end."""
    found: list[Unit] = []
    announces = unit.piece.text.rstrip().endswith((":", "："))
    for follower in units[unit.place + 1 :]:
        if not announces or follower.n != unit.n or follower.piece.kind == "sentence":
            break
        found.append(follower)
        announces = follower.piece.kind == "item"
    return found
