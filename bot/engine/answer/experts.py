"""Who might know what no document says: those who wrote about it in channels that were read. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bot.engine.answer.evidence import shares_words
from bot.engine.cache.validity import CHAT
from knowledge.types import Passage

MOST = 2
_SAID = re.compile(r"^(?P<name>[^\n]{1,80}?), \d{4}-\d\d-\d\d \d\d:\d\d: (?P<text>.*)$", re.MULTILINE)
"""A message as the history of a channel is written down."""


def people(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """The names of those who wrote most of what shares words with the question, in the passages that were found.

    The passages are those that the asker may read, so nobody is named to people who could not read it themselves.
    """
    wrote = Counter(
        said["name"]
        for one in passages
        if one.source.startswith(CHAT)
        for said in _SAID.finditer(one.text)
        if shares_words(question, said["text"])
    )
    return tuple(name for name, _ in wrote.most_common(MOST))
