"""Verifies facts that a model reports against the messages it quotes. Does no I/O.

A model also reads documents, files and other people's messages, and any of these may inject instructions. So the
model's own words are never stored. The quoted sentence must be in a message of the named author, in that author's own
words, and this sentence is what is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bot.engine.memory.stated_facts import LONGEST, StatedFact, own_words, sentences, subject, tells_of_others
from bot.types.conversation import Fact, FactKind, PastMessage

MOST = 12
"""Maximum number of facts from one report."""
SHORTEST = 8
"""Characters of the shortest quote; a shorter one would match almost anywhere."""
PERSONAL: tuple[FactKind, ...] = ("name", "preference")
"""Kinds of facts that only their author can change."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact that a model reports: ``author`` wrote ``quote``. ``replaces`` numbers an existing fact, from 1."""

    kind: FactKind
    author: str
    quote: str
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of summarizing messages: the next piece of the summary, and facts that are not verified yet."""

    summary: str
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifiedFact:
    """A verified fact. The question of turn ``seq`` contains its words."""

    seq: int
    said: StatedFact


def verify_claims(
    claims: Sequence[Claim],
    messages: Sequence[PastMessage],
    known: Sequence[Fact],
    terms: Callable[[str], list[str]],
) -> tuple[VerifiedFact, ...]:
    """Return the claims that a message of their author confirms, each once. ``known`` are the facts the model saw."""
    found: dict[tuple[int, str], VerifiedFact] = {}
    for claim in claims[:MOST]:
        for quoted in _verified(claim, messages, known, terms):
            found.setdefault((quoted.seq, quoted.said.text.casefold()), quoted)
    return tuple(found.values())


def _verified(
    claim: Claim, messages: Sequence[PastMessage], known: Sequence[Fact], terms: Callable[[str], list[str]]
) -> Iterator[VerifiedFact]:
    """Yield the fact from the latest message of the claim's author that confirms it, if there is one."""
    for message in reversed(messages):
        if message.role != "user" or message.author.casefold() != claim.author.strip().casefold():
            continue
        text = _quoted_sentences(claim, message.text)
        if text:
            about = _replaced_subject(claim, message, known) or subject(claim.kind, text, message.author, terms)
            yield VerifiedFact(message.seq, StatedFact(claim.kind, about, text))
            return


def _quoted_sentences(claim: Claim, text: str) -> str:
    """Return the complete sentences of the author's own words that contain the quote, or an empty string.

    Only complete sentences count, because half of a sentence can mean the opposite.
    """
    if len(claim.quote.strip()) < SHORTEST:
        return ""
    words = re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, claim.quote.split())) + r"(?!\w)", re.IGNORECASE)
    own = own_words(text)
    found = words.search(own)
    if found is None:
        return ""
    quoted = [one for one in sentences(own) if one.start() < found.end() and found.start() < one.end()]
    statement = " ".join(" ".join(one[0].split()) for one in quoted)
    if len(statement) > LONGEST or tells_of_others(statement):
        return ""
    asks = any(one[0].rstrip().endswith("?") for one in quoted)
    return "" if asks and claim.kind != "open question" else statement.strip(" .,:;!")


def _replaced_subject(claim: Claim, message: PastMessage, known: Sequence[Fact]) -> str | None:
    """Return the subject of the fact that the claim corrects: of the same kind and, if personal, the same author."""
    number = claim.replaces or 0
    if not 1 <= number <= len(known):
        return None
    fact = known[number - 1]
    may_change = claim.kind not in PERSONAL or fact.author == message.author
    return fact.subject if fact.kind == claim.kind and may_change and fact.said_at < message.at else None
