"""Finds the facts and earlier statements of a thread that a question is about, and detects small talk. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from bot.engine.memory.stated_facts import LONGEST, MOST, own_words, sentences, states
from bot.types.conversation import Fact, PastMessage

SmallTalk = Literal["thanks", "greeting", "about the bot"]

LEAST_SHARE = 0.5
"""Least share of the question's words that a relevant fact or sentence contains."""
LEAST_WORDS = 2
"""Least number of the question's words in a relevant sentence.

A fact needs only the share, because a person stated it in order to have it remembered.
"""
MOST_STATEMENTS = 2
"""Maximum number of earlier statements that are returned."""
_LONGEST_SMALL_TALK = 8
"""Maximum number of words in a message that counts as small talk."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_GREETINGS = frozenset("hello hi hey morning evening hallo moin servus hola bonjour salut".split())
_CORE = _GREETINGS | frozenset(
    "thanks thank thx ty cheers great perfect nice cool awesome ok okay night bye goodbye "
    "danke dankeschön dank super prima tschüss gracias merci".split()
)
_ABOUT_THE_BOT = re.compile(
    r"(?:(?:hello|hi|hey|hallo)[,! ]+)?(?:(?:parley|bot)[,:! ]+)?(?:what (?:can|do) you do|what can i ask(?: you)?"
    r"|what are you|who are you|how do you work|how can you help(?: me)?|can you help(?: me)?|help(?: me)?"
    r"|was kannst du|wer bist du|wie funktionierst du|kannst du mir helfen|hilfe|que peux-tu faire|qui es-tu"
    r"|qu[eé] puedes hacer|qui[eé]n eres)(?: please| bitte)?[\s.!?¿]*",
    re.IGNORECASE,
)
_AROUND = frozenset(
    "you very much so a lot that that's thats helped helps is it was this all for the your help again got good many "
    "have day see later team everyone everybody there parley bot and to me welcome noted understood dir euch sehr "
    "vielen guten morgen tag abend nacht alles klar das war hilft".split()
)


def relevant_facts(question: str, facts: Sequence[Fact], terms: Callable[[str], list[str]]) -> list[Fact]:
    """Return the facts with at least half of the question's terms, the best match first."""
    asked = frozenset(terms(question))
    shares = [(len(asked & frozenset(terms(fact.text))) / max(len(asked), 1), fact) for fact in facts]
    return [fact for share, fact in sorted(shares, key=lambda pair: -pair[0]) if share >= LEAST_SHARE][:MOST]


def earlier_statements(
    question: str, messages: Sequence[PastMessage], terms: Callable[[str], list[str]]
) -> tuple[PastMessage, ...]:
    """Return sentences of users with at least half of the question's terms, the best match first, then the latest.

    Questions, quotations and code do not count. Stated facts do not count either, because they are stored separately
    until they are deleted.
    """
    asked = frozenset(terms(question))
    shared = [(len(asked & frozenset(terms(one.text))), place, one) for place, one in enumerate(_statements(messages))]
    relevant = [each for each in shared if each[0] >= max(LEAST_WORDS, LEAST_SHARE * len(asked))]
    best: dict[str, PastMessage] = {}
    for _, _, one in sorted(relevant, key=lambda each: (-each[0], -each[1])):
        best.setdefault(one.text.casefold(), one)
    return tuple(best.values())[:MOST_STATEMENTS]


def small_talk(message: str) -> SmallTalk | None:
    """Return whether the message only thanks, only greets, or only asks what the bot does; None if it says more."""
    if _ABOUT_THE_BOT.fullmatch(message.strip(" ¿\n")):
        return "about the bot"
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(message)]
    is_small = (
        0 < len(words) <= _LONGEST_SMALL_TALK
        and "?" not in message
        and not any(map(str.isdigit, message))
        and not _CORE.isdisjoint(words)
        and set(words) <= _CORE | _AROUND
    )
    if not is_small:
        return None
    return "thanks" if _GREETINGS.isdisjoint(words) else "greeting"


def _statements(messages: Sequence[PastMessage]) -> Iterator[PastMessage]:
    """Yield each sentence that a user states as a message of its own."""
    for message in messages:
        if message.role != "user":
            continue
        for match in sentences(own_words(message.text)):
            sentence = " ".join(match[0].split())
            if sentence and not sentence.endswith("?") and not states(sentence):
                yield replace(message, text=sentence[:LONGEST])
