"""What a thread remembers: recent messages and their summary, old messages recalled, facts that people stated."""

from __future__ import annotations

from bot.engine.memory.facts import Said, stated
from bot.engine.memory.past import (
    MESSAGE_SHARE,
    NOTHING,
    RECALL_SHARE,
    SUMMARY_TOKENS,
    VERBATIM_MESSAGES,
    Selected,
    asked_before,
    fits,
    leans_on_thread,
    select,
    shortened,
    standalone,
    to_summarise,
    without_markers,
)
from bot.engine.memory.recall import Remembered, compose, note, recalled, transcript

__all__ = [
    "MESSAGE_SHARE",
    "NOTHING",
    "RECALL_SHARE",
    "SUMMARY_TOKENS",
    "VERBATIM_MESSAGES",
    "Remembered",
    "Said",
    "Selected",
    "asked_before",
    "compose",
    "fits",
    "leans_on_thread",
    "note",
    "recalled",
    "select",
    "shortened",
    "standalone",
    "stated",
    "to_summarise",
    "transcript",
    "without_markers",
]
