"""Counts texts as Slack does, and cuts them to its limits: one function for each kind of text. Makes no requests.

Slack escapes ``&``, ``<`` and ``>`` before it counts, and counts UTF-16 code units, so an emoji takes two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from bot.engine.markdown import truncated, utf16_units

MESSAGE_SIZE = 13_000
"""Slack refuses a message above about 13,200 characters in all its blocks together."""
MARKDOWN_SIZE = 12_000
"""Slack's limit for all ``markdown`` blocks of a message."""
ELEMENT_SIZE = 3_000
"""Slack's limit for one ``mrkdwn`` or ``plain_text`` element."""
TABLE_SIZE = 10_000
"""Slack's limit for the cells of a table."""
_CUT_ADDRESS = re.compile(r"\S*(?:://|www\.)\S*…$", re.IGNORECASE)
METADATA_SIZE = 3_000
"""Slack's limit for the ``private_metadata`` of a view."""


def size(text: str) -> int:
    """Return how much of a limit a text takes that Slack escapes itself: Markdown, table cells, plain text."""
    return utf16_units(text) + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def escape(text: str) -> str:
    """Return text escaped for ``mrkdwn``, where ``&``, ``<`` and ``>`` are control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str, limit: int) -> str:
    """Return plain text cut to ``limit``."""
    return truncated(text, limit, size)


def mrkdwn(text: str, limit: int) -> str:
    """Return text escaped for ``mrkdwn`` and cut to ``limit``, so that no escape and no address is split.

    Slack would link the part of an address, which may name another host.
    """
    cut = truncated(text, limit, size)
    return escape(cut if cut == text else _CUT_ADDRESS.sub("…", cut))


def metadata(values: Mapping[str, str], shortened: str = "") -> str:
    """Return values as the JSON of ``private_metadata``; the value named ``shortened`` is cut as far as needed."""

    def as_json(text: str) -> str:
        return json.dumps({**values, shortened: text} if shortened else dict(values), ensure_ascii=False)

    room = METADATA_SIZE - size(as_json(""))
    cut = truncated(values.get(shortened, ""), room, lambda text: size(json.dumps(text, ensure_ascii=False)) - 2)
    return as_json(cut)
