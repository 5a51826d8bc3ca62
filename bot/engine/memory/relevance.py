"""What of a thread bears on a question, and which messages ask for nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bot.engine.memory.stated_facts import LONGEST, MOST, own_words, sentences, states
from bot.types.conversation import Fact, PastMessage

BEARS = 0.5
"""A fact, or a sentence, bears on a question that shares this much of its words with it."""
AT_LEAST = 2
"""Words that a sentence must share, for nobody asked to have it kept."""
MOST_SAID = 2
_CHATTER = 8
"""Words of small talk at most."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_CORE = frozenset(
    "thanks thank thx ty cheers great perfect nice cool awesome ok okay hello hi hey morning evening night bye goodbye "
    "danke dankeschön dank super prima hallo moin tschüss servus".split()
)
_AROUND = frozenset(
    "you very much so a lot that that's thats helped helps is it was this all for the your help again got good many "
    "have day see later team everyone everybody there parley bot and to me welcome noted understood dir euch sehr "
    "vielen guten morgen tag abend nacht alles klar das war hilft".split()
)


def about(question: str, facts: Sequence[Fact], terms: Callable[[str], list[str]]) -> list[Fact]:
    """The facts that hold at least half of what the question names, the fullest first."""
    asked = frozenset(terms(question))
    shares = [(len(asked & frozenset(terms(fact.text))) / max(len(asked), 1), fact) for fact in facts]
    return [fact for share, fact in sorted(shares, key=lambda pair: -pair[0]) if share >= BEARS][:MOST]


def said_before(
    question: str, messages: Sequence[PastMessage], terms: Callable[[str], list[str]]
) -> tuple[PastMessage, ...]:
    """Sentences of people's messages that hold at least half of what the question names, the fullest first, of equal
    ones the later. Questions, quotations and code are none, nor is what was kept as a fact: it holds until forgotten.
    """
    asked = frozenset(terms(question))
    shared = [(len(asked & frozenset(terms(one.text))), place, one) for place, one in enumerate(_said(messages))]
    bearing = [each for each in shared if each[0] >= max(AT_LEAST, BEARS * len(asked))]
    fullest: dict[str, PastMessage] = {}
    for _, _, one in sorted(bearing, key=lambda each: (-each[0], -each[1])):
        fullest.setdefault(one.text.casefold(), one)
    return tuple(fullest.values())[:MOST_SAID]


def is_small_talk(message: str) -> bool:
    """Whether the message thanks or greets and asks for nothing."""
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(message)]
    return (
        0 < len(words) <= _CHATTER
        and "?" not in message
        and not any(map(str.isdigit, message))
        and not _CORE.isdisjoint(words)
        and set(words) <= _CORE | _AROUND
    )


def _said(messages: Sequence[PastMessage]) -> Iterator[PastMessage]:
    for message in messages:
        if message.role != "user":
            continue
        for match in sentences(own_words(message.text)):
            sentence = " ".join(match[0].split())
            if sentence and not sentence.endswith("?") and not states(sentence):
                yield replace(message, text=sentence[:LONGEST])
