"""Suggests people who may know what no document says, because they wrote about it in indexed channels. Does no I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bot.engine.answer.claim_support import shares_words
from bot.engine.cache.validity import CHAT
from knowledge.types.search_results import Passage

MAX_PEOPLE = 2
_MESSAGE = re.compile(r"^(?P<name>[^\n]{1,80}?), \d{4}-\d\d-\d\d \d\d:\d\d: (?P<text>.*)$", re.MULTILINE)
"""A message as an indexed channel history contains it."""


def people(question: str, passages: Sequence[Passage]) -> tuple[str, ...]:
    """Return the names of the people whose messages share most words with the question.

    ``passages`` contains only passages that the asker may read, so the asker could have read these people's messages
    too.
    """
    wrote = Counter(
        message["name"]
        for one in passages
        if one.source.startswith(CHAT)
        for message in _MESSAGE.finditer(one.text)
        if shares_words(question, message["text"])
    )
    return tuple(name for name, _ in wrote.most_common(MAX_PEOPLE))
