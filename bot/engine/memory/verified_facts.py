"""Facts that a model reports, taken only as far as the messages bear them out. Pure.

A model reads documents, files and other people's words along with the messages, and any of them may tell it what to
report. So what is kept are never its own words: the sentence must stand in a message of the person it names, in that
person's own words, and it is this sentence that is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bot.engine.memory.stated_facts import LONGEST, Said, own_words, sentences, subject, tells_of_others
from bot.types.conversation import Fact, FactKind, PastMessage

MOST = 12
"""Facts of one report."""
SHORTEST = 8
"""Characters of a quote: a shorter one stands almost anywhere."""
PERSONAL: tuple[FactKind, ...] = ("name", "preference")
"""Kinds that only their author can state otherwise."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a model reports: ``author`` is said to have written ``quote``. ``replaces`` numbers a known fact, from 1."""

    kind: FactKind
    author: str
    quote: str
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a model makes of messages: the next piece of the summary, and facts that are still to be checked."""

    summary: str
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Quoted:
    """A fact whose words stand in the question of turn ``seq``."""

    seq: int
    said: Said


def borne_out(
    claims: Sequence[Claim],
    messages: Sequence[PastMessage],
    known: Sequence[Fact],
    terms: Callable[[str], list[str]],
) -> tuple[Quoted, ...]:
    """The claims that a message of their author bears out, each once. ``known`` are the facts that were shown."""
    found: dict[tuple[int, str], Quoted] = {}
    for claim in claims[:MOST]:
        for quoted in _borne_out(claim, messages, known, terms):
            found.setdefault((quoted.seq, quoted.said.text.casefold()), quoted)
    return tuple(found.values())


def _borne_out(
    claim: Claim, messages: Sequence[PastMessage], known: Sequence[Fact], terms: Callable[[str], list[str]]
) -> Iterator[Quoted]:
    """The fact in the latest message that holds it, if there is one."""
    for message in reversed(messages):
        if message.role != "user" or message.author.casefold() != claim.author.strip().casefold():
            continue
        text = _sentence(claim, message.text)
        if text:
            about = _replaced(claim, message, known) or subject(claim.kind, text, message.author, terms)
            yield Quoted(message.seq, Said(claim.kind, about, text))
            return


def _sentence(claim: Claim, text: str) -> str:
    """The whole sentences of the author's own words that hold the quote; empty where there are none.

    Whole, because half of a sentence can say the opposite of it.
    """
    if len(claim.quote.strip()) < SHORTEST:
        return ""
    words = re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, claim.quote.split())) + r"(?!\w)", re.IGNORECASE)
    own = own_words(text)
    found = words.search(own)
    if found is None:
        return ""
    held = [one for one in sentences(own) if one.start() < found.end() and found.start() < one.end()]
    whole = " ".join(" ".join(one[0].split()) for one in held)
    if len(whole) > LONGEST or tells_of_others(whole):
        return ""
    asks = any(one[0].rstrip().endswith("?") for one in held)
    return "" if asks and claim.kind != "open question" else whole.strip(" .,:;!")


def _replaced(claim: Claim, message: PastMessage, known: Sequence[Fact]) -> str | None:
    """The subject of the earlier fact that the claim puts right: of its kind, and of its author where personal."""
    number = claim.replaces or 0
    if not 1 <= number <= len(known):
        return None
    fact = known[number - 1]
    whose = claim.kind not in PERSONAL or fact.author == message.author
    return fact.subject if fact.kind == claim.kind and whose and fact.said_at < message.at else None
